"""Driving a DNA generator of PyGlove so that it can be asked without being changed, and the way around.

Only the adapter imports this module, because it imports PyGlove.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np
import pyglove as pg
from pyglove.core import geno

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import AlgorithmError
from symnas.interop.pyglove import dna_spec, from_dna, space_from_spec, to_dna
from symnas.tree.space import Decision, Space

# How many proposals are seeded by the search; the decisions they lead to seed the rest.
ROOTS = 4

MUTATORS = ("swap", "uniform")
EMPTY: Mapping[str, Any] = MappingProxyType({})


@contextmanager
def seeded(*parts: bytes | int) -> Iterator[None]:
    """Seed the generator of `random`, which PyGlove draws from, and put back what was there."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.to_bytes(8, "big"))
    state = random.getstate()
    random.seed(int.from_bytes(digest.digest(), "big"))
    try:
        yield
    finally:
        random.setstate(state)


def make_generator(generator: Any, options: dict[str, Any], dedup: bool) -> geno.DNAGenerator:
    """Return a new DNA generator.

    Args:
        generator: a name, `module:function`, a function, or a generator to copy.
        options: arguments of the function.
        dedup: whether to leave out what was proposed and answered before.

    Raises:
        AlgorithmError: there is no such function, or it refuses the options.
    """
    if isinstance(generator, geno.DNAGenerator):
        if options:
            raise AlgorithmError(
                f"options belong to a generator's function, and a generator was given; got {options}: set "
                "them where the generator is made"
            )
        made = generator.clone(deep=True)
    else:
        made = _called(_function(generator), dict(options))
    return geno.Deduping(made) if dedup else made


def _function(generator: Any) -> Callable[..., Any]:
    if callable(generator):
        function: Callable[..., Any] = generator
        return function
    if generator in ("random", "sweeping"):
        return geno.Random if generator == "random" else geno.Sweeping  # type: ignore[no-any-return]
    if ":" not in generator:
        found: Callable[..., Any] = getattr(pg.evolution, generator)
        return found
    module, _, name = generator.partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AlgorithmError(
            f"a generator's function is named as 'module:function'; {generator!r} cannot be imported: {error}"
        ) from error
    return function


def _called(function: Callable[..., Any], options: dict[str, Any]) -> geno.DNAGenerator:
    name = getattr(function, "__name__", repr(function))
    mutator = options.get("mutator")
    if isinstance(mutator, str):
        if mutator not in MUTATORS:
            raise AlgorithmError(
                f"mutator is one of {', '.join(map(repr, MUTATORS))}, or one of PyGlove's; got {mutator!r}"
            )
        options["mutator"] = getattr(pg.evolution.mutators, mutator.capitalize())()
    try:
        made = function(**options)
    except (TypeError, ValueError) as error:
        raise AlgorithmError(f"PyGlove's {name} refuses {options}: {error}") from error
    if not isinstance(made, geno.DNAGenerator):
        raise AlgorithmError(f"a generator's function returns a pg.DNAGenerator; {name} returned {made!r}")
    return made


@dataclass(eq=False)
class Handed:
    """A proposal that was handed out.

    Args:
        decision: what it tries.
        dna: what the generator made for it; None where the generator had nothing more.
    """

    decision: Decision
    dna: geno.DNA | None


class Driver:
    """A generator, what it was shown, and what it has proposed ahead.

    Args:
        space: where decisions come from.
        make: returns a new generator.
    """

    def __init__(self, space: Space, make: Callable[[], geno.DNAGenerator]) -> None:
        self.space = space
        self.spec = dna_spec(space)
        self._make = make
        self._handed: list[Handed] = []
        # In order: a proposal that was handed out, or what came of one.
        self._log: list[Handed | tuple[Handed, tuple[float, ...]]] = []
        self._start()

    def _start(self) -> None:
        self._generator = self._make()
        self._generator.setup(self.spec)
        # What was proposed and not handed out: decision, DNA, and whether the search's generator seeded it.
        self._ahead: list[tuple[Decision, geno.DNA, bool]] = []
        self._made = 0

    @property
    def learns(self) -> bool:
        """Whether results matter to the generator."""
        return bool(self._generator.needs_feedback)

    def propose(self, n: int, rng: np.random.Generator, waits: bool) -> list[Decision]:
        """Return up to `n` proposals, made ahead.

        Args:
            n: how many.
            rng: seeds the first ones of a study.
            waits: whether trials run; a generator that cannot go on then waits for them.
        """
        self._catch_up()
        if not self.space.compiled.layout.own:
            return [] if self._handed else [self.space.default]
        rows = [handed.decision.row for handed in self._handed[:ROOTS]]
        found: list[Decision] = []
        while len(found) < n:
            # A proposal is drawn under its number and the first four decisions, which the log has. Before
            # there are four of them, the search's generator gives seeds, which the log does not have.
            own = self._made < ROOTS
            lot: list[bytes | int] = [int(rng.integers(2**63))] if own else [*rows[:ROOTS], self._made]
            try:
                dna = self._next(lot)
            except Exception as error:
                if waits or found:
                    break
                raise AlgorithmError(f"PyGlove's generator cannot go on: {error}") from error
            if dna is None:
                break
            found.append(self._decision(dna))
            rows.append(found[-1].row)
            self._ahead.append((found[-1], dna, own))
        return found

    def hand_out(self, decision: Decision) -> Handed:
        """Take a proposal, or a decision from elsewhere in its place, for good."""
        # Drawn under what the log has, and the next in order: a replay would make it again, with the
        # generator in the same state. Everything else is made again now, just as a replay will make it.
        if self._ahead and self._ahead[0][0] == decision and not self._ahead[0][2]:
            handed = Handed(decision, self._ahead.pop(0)[1])
        else:
            self._catch_up()
            handed = Handed(decision, self._again(decision))
        self._handed.append(handed)
        self._log.append(handed)
        return handed

    def feed_back(self, handed: Handed, values: tuple[float, ...]) -> None:
        """Tell the generator what came of a proposal."""
        self._catch_up()
        self._log.append((handed, values))
        self._tell(handed, values, len(self._log))

    # ------------------------------------------------------------ the generator

    def _next(self, lot: Sequence[bytes | int]) -> geno.DNA | None:
        with seeded(*lot):
            try:
                dna = self._generator.propose()
            except StopIteration:
                return None
        self._made += 1
        return dna

    def _again(self, decision: Decision) -> geno.DNA | None:
        """Let the generator propose once more, and put `decision` in the place of what it proposes."""
        if not self.space.compiled.layout.own:
            return None
        if isinstance(self._generator, geno.Deduping) and not self.learns:
            # It notes what it proposes when it proposes it, so what it would propose now must not be noted.
            dna = self._bound(decision)
            self._generator.recover([(dna, None)])
            self._made += 1
            return dna
        # The generator goes on as if it had proposed `decision`: it draws as often, and what it notes with a
        # proposal (the metadata of its DNA) is noted with this one.
        rows = [handed.decision.row for handed in self._handed[: min(self._made, ROOTS)]]
        try:
            dna = self._next([*rows, self._made])
        except Exception:  # whatever foreign operations raise; the decision came from elsewhere then
            return None
        if dna is None or self._decision(dna) == decision:
            return dna
        return self._bound(decision, dna.metadata)

    def _decision(self, dna: geno.DNA) -> Decision:
        """Return the decision of a DNA; where a clause refuses it, the closest admitted one stands for it."""
        return self.space.mend(self.space.batch([from_dna(self.space, dna)]))[0]

    def _bound(self, decision: Decision, metadata: Mapping[str, Any] = EMPTY) -> geno.DNA:
        dna = to_dna(decision, self.spec)
        for key, value in metadata.items():
            dna.set_metadata(key, value)
        if isinstance(self._generator, geno.Deduping):
            dna.set_metadata("dedup_key", (self._generator.hash_fn or pg.hash)(dna))
        return dna

    def _tell(self, handed: Handed, values: tuple[float, ...], number: int) -> None:
        if handed.dna is None:
            return
        reward: Any = values if self._generator.multi_objective else values[0]
        # Told by the number in the log, so that what feedback draws (survivors, say) is drawn again in a
        # replay.
        with seeded(number, handed.decision.row):
            self._generator.feedback(handed.dna, reward)

    def _catch_up(self) -> None:
        """Undo proposals that were made ahead and not handed out."""
        if not self._ahead:
            return
        # A generator cannot take a proposal back: a new one is shown the log from its beginning.
        self._start()
        log, self._log, self._handed = self._log, [], []
        for event in log:
            if isinstance(event, Handed):
                event.dna = self._again(event.decision)
                self._handed.append(event)
            self._log.append(event)
            if isinstance(event, tuple):
                self._tell(*event, len(self._log))


# ---------------------------------------------------------------- the other way around


@pg.members(
    [
        ("algorithm", pg.typing.Any(), "An algorithm of SymNAS."),
        ("seed", pg.typing.Int(default=0), "Everything random comes from it."),
    ]
)
class AlgorithmGenerator(geno.DNAGenerator):  # type: ignore[misc]
    """An algorithm as a DNA generator; `as_dna_generator` makes one."""

    def _setup(self) -> None:
        self._space = space_from_spec(self.dna_spec)
        self._asked: Algorithm = self.algorithm.fresh()
        able = self._asked.capabilities
        if not able.real_valued and self._space.size == float("inf"):
            raise AlgorithmError(f"{type(self._asked).__name__} takes finite spaces, and this one has floats")
        self._asked.setup(self._space)
        self._calls = 0

    @property
    def multi_objective(self) -> bool:
        """Whether rewards are tuples."""
        return bool(self.algorithm.capabilities.multi_objective)

    @property
    def needs_feedback(self) -> bool:
        """Rewards are always wanted."""
        return True

    def _propose(self) -> geno.DNA:
        batch = self._asked.propose(1, np.random.default_rng([self.seed, self._calls]))
        if not len(batch):
            raise StopIteration
        self._calls += 1
        self._asked.observe(batch, [RUNNING])
        return to_dna(batch[0], self.dna_spec)

    def _feedback(self, dna: geno.DNA, reward: float | tuple[float, ...]) -> None:
        values = tuple(map(float, reward)) if isinstance(reward, tuple) else (float(reward),)
        nan = any(value != value for value in values)
        outcome = Outcome(Status.NAN) if nan else Outcome(Status.DONE, values)
        self._asked.observe(self._space.batch([from_dna(self._space, dna)]), [outcome])

    def _replay(self, trial_id: int, dna: geno.DNA, reward: Any) -> None:  # noqa: ARG002 - PyGlove's signature
        self._calls += 1
        self._asked.observe(self._space.batch([from_dna(self._space, dna)]), [RUNNING])
        if reward is not None:
            self._feedback(dna, reward)
