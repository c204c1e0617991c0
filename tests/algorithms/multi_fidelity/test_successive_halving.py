"""Rungs and promotions against the papers' tables and against rungs that are filled by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from symnas.algorithms import ASHA, Hyperband, Random, SuccessiveHalving
from symnas.algorithms.multi_fidelity.rungs import best_first, epsilon_net
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.fidelity import Proposal, handed_out, ladder
from symnas.contracts.outcome import Outcome, Status
from symnas.contracts.registry import available, resolve
from symnas.errors import AlgorithmError
from symnas.testing.contract import planted, simulate
from symnas.tree.choices import OneOf
from symnas.tree.space import Batch, Decision, Space

SPACE = Space((OneOf("x", tuple(range(1000))),))


def scored(decision: Decision) -> Outcome:
    return Outcome(Status.DONE, (float(decision["x"]),))  # type: ignore[arg-type]


def ran(
    algorithm: Algorithm, trials: int, evaluate: Any = scored, space: Space = SPACE
) -> list[tuple[int, int]]:
    """Return (x, fidelity) of every trial of a run with one worker."""
    log = simulate(algorithm, space, evaluate, trials=trials)
    return [(int(d["x"]), f or 0) for d, f in zip(log.decisions, log.fidelities, strict=True)]


class Hand:
    """Drives an algorithm by hand: tells it what runs and what came of it."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        algorithm.setup(SPACE)
        self.call = 0

    def ask(self, n: int = 1) -> list[tuple[int, int]]:
        self.call += 1
        batch = self.algorithm.propose(n, np.random.default_rng([0, self.call]))
        assert isinstance(batch, Proposal)
        if len(batch):
            self.algorithm.observe(batch, handed_out(batch))
        return [(int(d["x"]), f) for d, f in zip(batch, batch.fidelities, strict=True)]

    def tell(self, x: int, fidelity: int, *values: float, status: Status = Status.DONE) -> None:
        batch = SPACE.batch([SPACE.decision({"x": x})])
        outcome = Outcome(status, values or None, fidelity=fidelity)
        self.algorithm.observe(batch, [outcome])


class Listed(Random):
    """Proposes 0, 1, 2, … up to `count`, and notes what it is told."""

    capabilities = Capabilities(multi_objective=True)

    def setup(self, space: Space) -> None:
        super().setup(space)
        self.told: list[tuple[int, Outcome]] = []
        self.count = 1000

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        begun = sum(outcome.status is Status.RUNNING for _, outcome in self.told)
        numbers = range(begun, min(begun + n, self.count))
        return self._space.batch([self._space.decision({"x": x}) for x in numbers])

    def observe(self, batch: Batch, outcomes: Any) -> None:
        self.told += [(int(d["x"]), outcome) for d, outcome in zip(batch, outcomes, strict=True)]  # type: ignore[arg-type]

    def ends(self) -> list[tuple[int, int | None, Any]]:
        """Return x, fidelity and first value of everything that is over."""
        over = [(x, outcome) for x, outcome in self.told if outcome.status.final]
        return [(x, o.fidelity, o.values[0] if o.values else o.status.value) for x, o in over]


@pytest.fixture
def over_list(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], tuple[Hand, Listed]]:
    def make(algorithm: Any) -> tuple[Hand, Listed]:
        monkeypatch.setattr(algorithm, "_make", Listed)
        hand = Hand(algorithm)
        return hand, algorithm._inner

    return make


@pytest.mark.parametrize(
    ("low", "high", "factor", "rungs"),
    [
        (1, 81, 3, (1, 3, 9, 27, 81)), (1, 27, 3, (1, 3, 9, 27)), (1, 50, 3, (2, 6, 17, 50)),
        (1, 5, 3, (2, 5)), (1, 256, 4, (1, 4, 16, 64, 256)), (3, 81, 3, (3, 9, 27, 81)), (5, 9, 3, (9,)),
        (1, 10, 2, (1, 2, 5, 10)),
    ],
)  # fmt: skip
def test_rungs_are_anchored_at_the_highest(low: int, high: int, factor: int, rungs: tuple[int, ...]) -> None:
    assert ladder(low, high, factor) == rungs


# Li et al. 2018, table 1 (R = 81, eta = 3): per round, the trials and the fidelity of each rung.
TABLE = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(27, 3), (9, 9), (3, 27), (1, 81)],
    [(9, 9), (3, 27), (1, 81)],
    [(6, 27), (2, 81)],
    [(5, 81)],
]


def test_hyperband_runs_the_rounds_of_the_papers_table() -> None:
    trials = sum(count for bracket in TABLE for count, _ in bracket)
    run = ran(Hyperband(high=81), trials + 81)
    at = 0
    for bracket in [*TABLE, TABLE[0][:1]]:
        earlier: list[int] = []
        for count, fidelity in bracket:
            rung = run[at : at + count]
            at += count
            assert {reached for _, reached in rung} == {fidelity}
            if earlier:
                assert [x for x, _ in rung] == sorted(earlier, reverse=True)[:count]
            earlier = [x for x, _ in rung]


def test_successive_halving_repeats_one_round() -> None:
    run = ran(SuccessiveHalving(high=8, factor=2), 30)
    assert [fidelity for _, fidelity in run] == [1] * 8 + [2] * 4 + [4] * 2 + [8] + [1] * 8 + [2] * 4 + [
        4
    ] * 2 + [8]
    assert run[14][0] == max(x for x, _ in run[:8])
    assert [fidelity for _, fidelity in ran(SuccessiveHalving(high=9, size=5), 7)] == [1] * 5 + [3, 9]


def test_a_rung_waits_for_its_last_trial_and_the_next_round_begins_meanwhile(over_list: Any) -> None:
    hand, inner = over_list(SuccessiveHalving(high=4, factor=2))
    assert hand.ask(4) == [(0, 1), (1, 1), (2, 1), (3, 1)]
    for x in (0, 1, 2):
        hand.tell(x, 1, x)
    assert hand.ask(1) == [(4, 1)]  # of the second round
    assert inner.ends() == []  # nobody has left the first
    hand.tell(3, 1, -1.0)
    assert hand.ask(3) == [(2, 2), (1, 2), (5, 1)]
    assert inner.ends() == [(0, 1, 0.0), (3, 1, -1.0)]
    hand.tell(1, 2, 5.0)
    hand.tell(2, 2, 4.0)
    assert hand.ask(1) == [(1, 4)]
    hand.tell(1, 4, 7.0)
    assert inner.ends()[2:] == [(2, 2, 4.0), (1, 4, 7.0)]  # each once, at the highest fidelity it reached


def test_what_failed_never_goes_on(over_list: Any) -> None:
    hand, inner = over_list(SuccessiveHalving(high=4, factor=2))
    hand.ask(4)
    hand.tell(0, 1, status=Status.FAILED)
    hand.tell(1, 1, float("nan"), status=Status.PRUNED)
    hand.tell(2, 1, 1.0)
    hand.tell(3, 1, status=Status.NAN)
    assert hand.ask(2) == [(2, 2), (4, 1)]
    hand.tell(2, 2, status=Status.OOM)
    assert [end for end in inner.ends() if end[0] == 2] == [(2, 2, "oom")]
    assert hand.ask(4) == [(5, 1), (6, 1), (7, 1), (8, 1)]
    for x in (4, 5, 6, 7):
        hand.tell(x, 1, status=Status.TIMEOUT)
    assert hand.ask(1) == [(9, 1)]


def test_a_rung_that_nothing_new_fills_is_closed_early(over_list: Any) -> None:
    hand, inner = over_list(SuccessiveHalving(high=9))
    inner.count = 6
    assert len(hand.ask(9)) == 6
    assert hand.ask() == []
    for x in range(6):
        hand.tell(x, 1, float(x))
    assert hand.ask(9) == [(5, 3), (4, 3)]
    hand.tell(5, 3, 5.0)
    hand.tell(4, 3, 4.0)
    assert hand.ask(9) == [(5, 9)]
    hand.tell(5, 9, 5.0)
    assert hand.ask(9) == []
    assert sorted(inner.ends()) == [(0, 1, 0), (1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 3, 4), (5, 9, 5)]


def test_asha_promotes_by_the_papers_rule(over_list: Any) -> None:
    hand, inner = over_list(ASHA(high=9, factor=3))
    assert hand.ask(2) == [(0, 1), (1, 1)]
    hand.tell(0, 1, 5.0)
    hand.tell(1, 1, 3.0)
    assert hand.ask() == [(2, 1)]  # of two results, none is among the best third
    hand.tell(2, 1, 4.0)
    assert hand.ask() == [(0, 3)]  # the best of three goes on
    assert hand.ask() == [(3, 1)]
    for x, value in ((3, 9.0), (4, 8.0)):
        hand.tell(x, 1, value)
    assert hand.ask() == [(3, 3)]  # of five, one goes on: the best, though another has gone on before
    hand.tell(5, 1, 1.0)
    # Two of six are the best third, 3 and 4; 0, third by now, is at 3 already.
    assert hand.ask(2) == [(4, 3), (4, 1)]
    hand.tell(0, 3, 1.0)
    hand.tell(3, 3, 2.0)
    hand.tell(4, 3, 3.0)
    assert hand.ask(1) == [(4, 9)]  # the highest rung is looked at first
    assert (0, 1, 5.0) in inner.ends()
    assert (0, 3, 1.0) in inner.ends()  # told again, with what it reached


def test_asha_is_the_paper_s_algorithm_on_random_results() -> None:
    """Algorithm 2 of Li et al. written down again, with lists and sorting."""

    def top(rung: dict[int, float], count: int) -> list[int]:
        return sorted(rung, key=lambda x: -rung[x])[:count]

    algorithm = ASHA(high=27, factor=3, inner_options="repeats=false")
    hand, rng = Hand(algorithm), np.random.default_rng(5)
    rungs: list[dict[int, float]] = [{} for _ in range(4)]
    gone: list[set[int]] = [set() for _ in range(4)]
    running: list[tuple[int, int]] = []
    for _ in range(300):
        if len(running) < 4:
            ((x, fidelity),) = hand.ask()
            for level in (2, 1, 0):
                able = [y for y in top(rungs[level], len(rungs[level]) // 3) if y not in gone[level]]
                if able:
                    assert (x, fidelity) == (able[0], 3 ** (level + 1))
                    gone[level].add(x)
                    break
            else:
                assert fidelity == 1
            running.append((x, fidelity))
        else:
            x, fidelity = running.pop(int(rng.integers(4)))
            value = float(rng.normal())
            rungs[{1: 0, 3: 1, 9: 2, 27: 3}[fidelity]][x] = value
            hand.tell(x, fidelity, value)
    assert all(rungs)


def test_what_may_go_on_is_named_best_first(over_list: Any) -> None:
    def names(hand: Hand, limit: int = 10) -> list[int]:
        return [int(d["x"]) for d in hand.algorithm.paused(limit) or ()]  # type: ignore[arg-type]

    hand, _ = over_list(SuccessiveHalving(high=9))
    assert names(hand) == []
    hand.ask(9)
    for x in range(5):
        hand.tell(x, 1, float(x))
    assert names(hand) == [4, 3, 2]
    for x in range(5, 9):
        hand.tell(x, 1, 0.5)
    assert names(hand, 2) == [4, 3]
    hand.ask(1)
    assert names(hand) == [3, 2]
    hand, _ = over_list(ASHA(high=9, factor=3))
    hand.ask(4)
    for x in range(4):
        hand.tell(x, 1, float(x))
    assert names(hand) == [3, 2, 1, 0]
    hand.ask(1)
    hand.tell(3, 3, 1.0)
    assert names(hand) == [3, 2, 1, 0]
    assert names(hand, 2) == [3, 2]


def test_an_import_at_a_rung_may_go_on_in_asha(over_list: Any) -> None:
    hand, inner = over_list(ASHA(high=9, factor=3))
    for x in range(100, 103):
        hand.tell(x, 1, float(x))
    assert hand.ask(1) == [(102, 3)]
    hand.tell(500, 7, 1.0)  # no rung
    assert inner.ends()[-1] == (500, 7, 1.0)


def test_fronts_come_first_and_then_what_lies_apart() -> None:
    values = [
        (0.0, 0.0),
        (1.0, 0.0),
        (0.0, 1.0),
        (0.6, 0.6),
        (0.59, 0.61),
        None,
        (float("nan"), 1.0),
        (0.1, 0.1),
    ]
    # The front is 1, 2, 3, 4: best in the first objective, farthest from it, and then the middle, where one
    # of two near points comes last. 7 dominates 0.
    assert best_first(values) == [1, 2, 3, 4, 7, 0]
    assert best_first([(1.0,), None, (3.0,), (3.0,)]) == [2, 3, 0]
    assert best_first([None]) == []


def test_an_epsilon_net_takes_the_farthest_point_each_time() -> None:
    points = np.random.default_rng(0).random((12, 2))
    order = epsilon_net(points)
    assert sorted(order) == list(range(12))
    assert order[0] == points[:, 0].argmax()
    for place in range(1, 12):
        distances = [
            min(float(np.linalg.norm(points[p] - points[q])) for q in order[:place]) for p in range(12)
        ]
        assert distances[order[place]] == max(distances)


@pytest.mark.parametrize("algorithm", [SuccessiveHalving(high=9), ASHA(high=9, factor=3)], ids=repr)
def test_several_objectives_keep_a_front_alive(algorithm: Algorithm) -> None:
    def two(decision: Decision) -> Outcome:
        x = int(decision["x"])  # type: ignore[call-overload]
        return Outcome(Status.DONE, (float(x), float(-x)) if x % 4 else (x - 2000.0, -x - 2000.0))

    run = ran(algorithm, 60, two)
    assert Counter(fidelity for _, fidelity in run)[9] >= 3
    assert all(x % 4 for x, fidelity in run if fidelity > 1)
    assert not all(x % 4 for x, _ in run)


def test_inner_evolution_finds_more_than_inner_random_search() -> None:
    wins = losses = 0
    for seed in range(12):
        space, evaluate = planted(seed)
        options = {"high": 9, "inner_options": "population=20,tournament=5"}
        breeding = resolve("hyperband", {"inner": "evolution", **options})
        chance = resolve("hyperband", {"high": 9})
        own, other = (
            simulate(algorithm, space, evaluate, trials=300, seed=seed).best
            for algorithm in (breeding, chance)
        )
        wins, losses = wins + (own > other), losses + (own < other)
    assert wins >= 10  # of twelve: p = 0.02 by luck
    assert losses <= 2


@pytest.mark.parametrize("make", [SuccessiveHalving, Hyperband, ASHA])
def test_mistakes_are_told(make: Any) -> None:
    with pytest.raises(AlgorithmError, match=r"no algorithm named 'evolutoin' .did you mean 'evolution'"):
        make(inner="evolutoin")
    with pytest.raises(AlgorithmError, match="has no option 'size'"):
        make(inner="evolution", inner_options="size=3")
    with pytest.raises(AlgorithmError, match="inner_options are pairs of name and value, or a text; got 3"):
        make(inner_options=3)
    with pytest.raises(AlgorithmError, match="takes an inner algorithm that proposes whole decisions"):
        make(inner="hyperband")
    with pytest.raises(AlgorithmError, match="factor is a whole number of at least 2"):
        make(factor=1)
    with pytest.raises(AlgorithmError, match="needs to know how far a trial goes at most"):
        make().setup(SPACE)
    with pytest.raises(AlgorithmError, match="raise high"):
        make(high=10, low=9).setup(SPACE)


def test_options_come_as_a_text_as_pairs_and_as_json_has_them() -> None:
    text = ASHA(inner="evolution", inner_options="population=7,tournament=2", high=4)
    for pairs in ((("population", 7), ("tournament", 2)), [["population", 7], ["tournament", 2]]):
        made = ASHA(inner="evolution", inner_options=pairs, high=4)  # type: ignore[arg-type]
        assert eval(repr(made)).hyperparameters == made.hyperparameters
        assert made.parts[0].hyperparameters == text.parts[0].hyperparameters
    assert made.parts[0].hyperparameters["population"] == 7


def test_the_listing_knows_which_algorithms_have_fidelities() -> None:
    able = {info.name: info.capabilities for info in available() if info.capabilities is not None}
    assert {name for name, has in able.items() if has.fidelity} == {"asha", "hyperband", "successive-halving"}
    assert ASHA(inner="evolution").capabilities == replace(able["evolution"], fidelity=True)
