"""Contract tests of search algorithms, for third parties to inherit.

    from symnas.testing import AlgorithmContract

    class TestHillClimb(AlgorithmContract):
        def make(self):
            return HillClimb(patience=5)

Pytest collects the inherited tests; nothing here imports it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from symnas.algorithms.random import Random
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.fidelity import fidelities_of, handed_out
from symnas.contracts.outcome import Outcome, Status
from symnas.contracts.pareto import hypervolume
from symnas.testing.another_interpreter import another_interpreter
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import Branch, FloatRange, IntRange, OneOf
from symnas.tree.space import Batch, Decision, Space

Evaluate = Callable[[Decision], Outcome]

__all__ = [
    "AlgorithmContract",
    "Log",
    "planted",
    "planted_pair",
    "random_space",
    "simulate",
    "small_space",
]


@dataclass
class Log:
    """What happened in a simulated search.

    Args:
        decisions: everything that was handed out, in order.
        values: the first objective of each finished trial, in order of finishing; NaN where there is none.
        results: all objectives of each trial that ended with a result, in order of finishing.
        events: all calls of `observe`.
        calls: how often `propose` was called.
        exhausted: whether the algorithm had nothing left to propose.
        fidelities: how far each trial was to go, in the order of `decisions`; None where that is not said.
    """

    decisions: list[Decision] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    results: list[tuple[float, ...]] = field(default_factory=list)
    events: list[tuple[Batch, Sequence[Outcome]]] = field(default_factory=list)
    calls: int = 0
    exhausted: bool = False
    fidelities: list[int | None] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The largest value; minus infinity when there is none."""
        return max((value for value in self.values if not math.isnan(value)), default=-math.inf)

    def volume(self, reference: Sequence[float]) -> float:
        """Return the volume between the front of the results and a point that is worse than all of it."""
        finite = [result for result in self.results if all(map(math.isfinite, result))]
        return hypervolume(finite, reference)


def simulate(
    algorithm: Algorithm,
    space: Space,
    evaluate: Evaluate,
    *,
    trials: int,
    seed: int = 0,
    workers: int = 1,
    log: Log | None = None,
) -> Log:
    """Run a search in memory, as a study would: same generators, same order of calls.

    Args:
        algorithm: set up already when `log` is given, set up here otherwise.
        space: where it searches.
        evaluate: the outcome of a decision.
        trials: how many to hand out in total, those in `log` included.
        seed: seed of the study.
        workers: how many trials run at once; they end in a random but reproducible order.
        log: what happened before; it is continued in place. No trial of it may be running.
    """
    if log is None:
        algorithm.setup(space)
        log = Log()
    # Which trial ends next is drawn by a generator that no proposal has: those are named [seed, call], as in
    # a study (the law of `Algorithm`), and calls do not get to 2^31.
    chance = np.random.default_rng([seed, 2**31 + log.calls])
    running: deque[tuple[Batch, int | None]] = deque()
    while len(log.decisions) < trials or running:
        free = min(workers - len(running), trials - len(log.decisions))
        batch = _ask(algorithm, log, seed, free) if free > 0 else None
        if batch is not None and len(batch):
            fidelities = log.fidelities[-len(batch) :]
            running.extend((batch[row : row + 1], fidelities[row]) for row in range(len(batch)))
        elif not running:
            log.exhausted = True
            break
        # One at a time ends, so that algorithms see results out of the order in which they proposed.
        running.rotate(int(chance.integers(len(running))))
        ended, fidelity = running.popleft()
        outcome = replace(evaluate(ended[0]), fidelity=fidelity)
        log.values.append(math.nan if outcome.values is None else outcome.values[0])
        if outcome.values is not None:
            log.results.append(outcome.values)
        _tell(algorithm, log, ended, [outcome])
    return log


def _ask(algorithm: Algorithm, log: Log, seed: int, n: int) -> Batch:
    batch = algorithm.propose(n, np.random.default_rng([seed, log.calls]))
    assert len(batch) <= n, f"propose({n}) returned {len(batch)} decisions"
    log.calls += 1
    log.decisions.extend(batch)
    log.fidelities.extend(fidelities_of(batch) or [None] * len(batch))
    if len(batch):
        _tell(algorithm, log, batch, handed_out(batch))
    return batch


def _tell(algorithm: Algorithm, log: Log, batch: Batch, outcomes: Sequence[Outcome]) -> None:
    log.events.append((batch, outcomes))
    algorithm.observe(batch, outcomes)


def small_space(*, conditional: bool = True) -> Space:
    """Return a space of 36 decisions; of 54 without conditions."""
    kernel = OneOf("k", (1, 3, 5))
    op = OneOf("op", ("conv", "pool"), branches=(Branch((0,), (kernel,)),) if conditional else ())
    roots = [OneOf("width", (16, 32, 64)), op, IntRange("depth", 1, 3)]
    return Space(tuple(roots if conditional else [*roots, kernel]))


def planted(seed: int, *, points: int = 12, candidates: int = 5) -> tuple[Space, Evaluate]:
    """Return a space of `candidates ** points` decisions and a score with one best decision hidden in it.

    The score is the share of points at which a decision agrees with the hidden one, so that good decisions
    have good neighbours, which is all that searching can build on.
    """
    space = Space(tuple(OneOf(f"p{number}", tuple(range(candidates))) for number in range(points)))
    # Three numbers, as no call of `propose` has: an algorithm that samples must not draw the hidden decision.
    hidden = space.sample(1, np.random.default_rng([seed, 0, 1]))[0]

    def evaluate(decision: Decision) -> Outcome:
        share = sum(decision[address] == hidden[address] for address in decision) / points
        return Outcome(Status.DONE, (share,), {"share": share})

    return space, evaluate


def planted_pair(seed: int, *, points: int = 12, candidates: int = 5) -> tuple[Space, Evaluate]:
    """Return a space as `planted` does, and two scores: agreement with one hidden decision and with another.

    The front is all that agrees with one of the two at every point; at most points they differ.
    """
    space = Space(tuple(OneOf(f"p{number}", tuple(range(candidates))) for number in range(points)))
    first, second = space.sample(2, np.random.default_rng([seed, 0, 2]))

    def evaluate(decision: Decision) -> Outcome:
        shares = tuple(sum(decision[a] == hidden[a] for a in decision) / points for hidden in (first, second))
        return Outcome(Status.DONE, shares, dict(zip(("first", "second"), shares, strict=True)))

    return space, evaluate


def _hashed(decision: Decision) -> Outcome:
    value = int(decision.key[:8], 16) / 2**32
    return Outcome(Status.DONE, (value,), {"value": value})


class AlgorithmContract:
    """Inherit, implement `make`, and let pytest collect.

    Attributes:
        exhausts: whether the algorithm as made never repeats a decision (at the same fidelity) and ends when
            none is left.
        learns: whether it promises to beat random search on a problem with structure.
        trials: budget of a search on the planted problem.
        seeds: how many such problems.
        significance: largest probability of as many wins by luck (one-sided sign test; ties are left out).
    """

    exhausts = True
    learns = True
    trials = 300
    seeds = 20
    significance = 0.01

    def make(self) -> Algorithm:
        """Return the algorithm under test, newly made."""
        raise NotImplementedError("implement make() to return the algorithm under test")

    def space(self, seed: int) -> Space:
        """Return a random space that the algorithm's capabilities allow."""
        takes = self.make().capabilities
        rng = np.random.default_rng([seed, 1])
        return random_space(rng, conditional=takes.conditional, real=takes.real_valued)

    @property
    def workers(self) -> int:
        """How many trials run at once in these tests."""
        return 4 if self.make().capabilities.parallel else 1

    def test_the_repr_makes_an_equal_algorithm(self) -> None:
        """Hyperparameters are kept under their names, and the repr reads back."""
        made = self.make()
        again = eval(repr(made), {type(made).__name__: type(made)})
        assert again.hyperparameters == made.hyperparameters == made.fresh().hyperparameters

    def test_proposals_are_valid_on_random_spaces(self) -> None:
        """Whatever the tree, proposals belong to it, and there is at least one."""
        for seed in range(15):
            space = self.space(seed)
            log = simulate(self.make(), space, _hashed, trials=25, seed=seed, workers=self.workers)
            assert log.decisions, f"nothing proposed on {space!r} (seed {seed})"
            for decision in log.decisions:
                space.validate(decision.flat())

    def test_the_same_seed_gives_the_same_proposals(self) -> None:
        """Two instances and two uses of one instance agree; another seed does not change validity."""
        space, used = self.space(3), self.make()
        runs = [simulate(a, space, _hashed, trials=30, seed=5) for a in (used, used, self.make())]
        assert runs[0].decisions == runs[1].decisions == runs[2].decisions

    def test_another_process_gives_the_same_proposals(self) -> None:
        """Neither hash seeds nor addresses in memory matter."""
        made = self.make()
        there = another_interpreter().run(proposed_keys, made)
        assert there == proposed_keys(made), "another process, with other hashes, gave other proposals"

    def test_proposing_changes_nothing(self) -> None:
        """What is asked and not handed out leaves no trace."""
        for space in (self.space(4), self._small()):
            asked, plain = self.make(), self.make()
            log, other = (simulate(a, space, _hashed, trials=12, seed=1) for a in (asked, plain))
            # Generators that none of these searches has, so that nothing asked here is asked for again.
            for call in range(3):
                asked.propose(call + 1, np.random.default_rng([9, call]))
            for algorithm, so_far in ((asked, log), (plain, other)):
                simulate(algorithm, space, _hashed, trials=30, seed=1, log=so_far)
            assert log.decisions == other.decisions, "asking again changed what is proposed"

    def test_a_replayed_log_continues_like_the_original(self) -> None:
        """Observing the same events without proposing rebuilds the state, with trials still running too."""
        for space, workers in ((self.space(0), 1), (self.space(1), self.workers), (self._small(), 1)):
            log = simulate(self.make(), space, _mixed, trials=30, workers=workers)
            for cut in (1, len(log.events) // 2, len(log.events)):
                first, second = self.make(), self.make()
                first.setup(space)
                second.setup(space)
                for position, (batch, outcomes) in enumerate(log.events[:cut]):
                    # Only the first is asked in between: what it proposes then must not matter.
                    if position % 3 == 0:
                        first.propose(2, np.random.default_rng(position))
                    first.observe(batch, outcomes)
                    second.observe(batch, outcomes)
                proposals = [a.propose(5, np.random.default_rng(11)) for a in (first, second)]
                assert proposals[0] == proposals[1], "a replay without proposing gave another state"

    def _small(self) -> Space:
        return small_space(conditional=self.make().capabilities.conditional)

    def test_small_spaces_are_exhausted_without_repeats(self) -> None:
        """Every decision comes once, then nothing; opt out with `exhausts = False`."""
        if not self.exhausts:
            return
        space = self._small()
        size = int(space.size)
        for workers in {1, self.workers}:
            # More trials than decisions: the search must end by itself.
            log = simulate(self.make(), space, _hashed, trials=2 * size, workers=workers)
            assert log.exhausted
            tried = list(zip(log.decisions, log.fidelities, strict=True))
            assert len(tried) == len(set(tried))
            assert len(set(log.decisions)) == size

    def test_trials_without_a_result_are_survived(self) -> None:
        """All ways to end, one after the other, and a study in which nothing ever succeeds."""
        for evaluate in (_mixed, lambda _: Outcome(Status.FAILED), lambda _: Outcome(Status.NAN)):
            space, _ = planted(2)
            log = simulate(self.make(), space, evaluate, trials=60, workers=self.workers)
            assert len(log.decisions) == 60

    def test_decisions_from_elsewhere_are_learned_from(self) -> None:
        """Imported trials come without having been proposed."""
        space, evaluate = planted(3)
        algorithm = self.make()
        algorithm.setup(space)
        batch = space.sample(20, np.random.default_rng(0))
        algorithm.observe(batch, [evaluate(decision) for decision in batch])
        assert len(algorithm.propose(1, np.random.default_rng(1))) == 1

    def test_it_proposes_while_trials_run(self) -> None:
        """Nothing has ended yet, and proposals still come and still differ where repeats are off."""
        algorithm, (space, _) = self.make(), planted(4)
        if not algorithm.capabilities.parallel:
            return
        algorithm.setup(space)
        log = Log()
        for _ in range(5):
            assert len(_ask(algorithm, log, 0, 3)) == 3
        if self.exhausts:
            assert len(set(log.decisions)) == 15

    def test_it_beats_random_search(self) -> None:
        """It finds better decisions than chance, beyond luck; opt out with `learns = False`."""
        if not self.learns:
            return
        scores = []
        for seed in range(self.seeds):
            space, evaluate = planted(seed)
            scores.append(
                [
                    simulate(algorithm, space, evaluate, trials=self.trials, seed=seed).best
                    for algorithm in (self.make(), Random())
                ]
            )
        self._assert_ahead(scores)

    def test_several_objectives_replay_like_one(self) -> None:
        """Results of every kind with two objectives each, where the algorithm takes several."""
        if not self.make().capabilities.multi_objective:
            return
        for space in (self.space(5), self._small()):
            log = simulate(self.make(), space, _mixed_pair, trials=40, workers=self.workers)
            first, second = self.make(), self.make()
            for algorithm in (first, second):
                algorithm.setup(space)
            for position, (batch, outcomes) in enumerate(log.events):
                if position % 4 == 0:
                    first.propose(3, np.random.default_rng(position))
                first.observe(batch, outcomes)
                second.observe(batch, outcomes)
            proposals = [algorithm.propose(5, np.random.default_rng(12)) for algorithm in (first, second)]
            assert proposals[0] == proposals[1], "a replay without proposing gave another state"

    def test_its_front_dominates_more_than_random_search(self) -> None:
        """With two objectives its front is further out, beyond luck; `learns = False` opts out here too."""
        if not (self.learns and self.make().capabilities.multi_objective):
            return
        scores = []
        for seed in range(self.seeds):
            space, evaluate = planted_pair(seed)
            scores.append(
                [
                    simulate(algorithm, space, evaluate, trials=self.trials, seed=seed).volume((0.0, 0.0))
                    for algorithm in (self.make(), Random())
                ]
            )
        self._assert_ahead(scores)

    def _assert_ahead(self, scores: Sequence[Sequence[float]]) -> None:
        """Fail unless the first of each pair is larger more often than luck explains."""
        wins = sum(own > chance for own, chance in scores)
        losses = sum(own < chance for own, chance in scores)
        decided = wins + losses
        # One-sided sign test: of n decided pairs as many wins or more, if each were a fair coin,
        #     p = 2^-n sum_{k >= wins} C(n, k). Ties say nothing and are left out.
        luck = sum(math.comb(decided, k) for k in range(wins, decided + 1)) / 2**decided
        tally = f"{wins} wins, {losses} losses against random search: p = {luck:.3f}"
        assert luck <= self.significance, tally


_ENDINGS = (*Status, Status.DONE, Status.DONE)


def _mixed(decision: Decision) -> Outcome:
    """Return an ending of every kind, chosen by the decision itself."""
    # By the decision's hash: any order of trials gives each the same ending.
    status = _ENDINGS[int(decision.key[:4], 16) % len(_ENDINGS)]
    if status in (Status.RUNNING, Status.DONE):
        return _hashed(decision)
    if status is Status.PRUNED:
        return Outcome(status, (math.nan,) if int(decision.key[4:6], 16) % 2 else (0.5,))
    return Outcome(status)


def _mixed_pair(decision: Decision) -> Outcome:
    """Return an ending of every kind, with two values where it has some."""
    outcome = _mixed(decision)
    if outcome.values is None:
        return outcome
    other = int(decision.key[8:16], 16) / 2**32
    return Outcome(outcome.status, (*outcome.values, other))


def proposed_keys(algorithm: Algorithm) -> list[str]:
    """Return the keys of the decisions that a fresh algorithm proposes in a short search.

    Args:
        algorithm: the algorithm; its space has all kinds of points that it takes.
    """
    takes = algorithm.capabilities
    space = Space(
        (
            *small_space(conditional=takes.conditional).points,
            *((FloatRange("rate", 0.001, 0.1, log=True),) if takes.real_valued else ()),
        )
    )
    return [decision.key for decision in simulate(algorithm, space, _hashed, trials=25, seed=3).decisions]
