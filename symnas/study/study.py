"""A study: the trials of one search, live or read from a store."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.objectives import Objectives
from symnas.contracts.outcome import Status
from symnas.errors import StudyError, nearest
from symnas.study.replay import rebuild
from symnas.study.state import StudyState
from symnas.study.store.base import Store, StudyRow, reading
from symnas.study.store.open import open_store
from symnas.study.trials.kept_weights import KeptWeights
from symnas.study.trials.trial import StudyContext, Trial
from symnas.study.trials.trial_context import blame
from symnas.tree.space import Space
from symnas.tree.statistics import Statistics


class Study:
    """The trials of one search; returned by `symnas.search` and `symnas.load_study`.

    Args:
        store: where it lives.
        row: its entry there.
        state: its state.
    """

    def __init__(self, store: Store, row: StudyRow, state: StudyState) -> None:
        self.store = store
        self._row = row
        self._state = state

    @property
    def name(self) -> str:
        """Its name, unique within its store."""
        return self._row.name

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self._state.context.space

    @property
    def seed(self) -> int:
        """The seed that everything random in it comes from."""
        return self._state.context.seed

    @property
    def objectives(self) -> dict[str, str]:
        """Directions by metric; empty where the evaluator's only metric is maximised."""
        return self._state.objectives.to_json()

    @property
    def program(self) -> Any:
        """The program or space that is searched; a study read from a store imports it from where it was.

        Raises:
            StudyError: where it was is not known, or another one is there now.
            ProgramError: nothing is there now.
        """
        return self._state.context.subject()

    @property
    def locator(self) -> Mapping[str, Any] | None:
        """What the store keeps to find the program again, as plain data; None where nothing could be kept."""
        locator: Mapping[str, Any] | None = self._row.header.get("program")
        return locator

    @property
    def algorithm(self) -> str:
        """The algorithm, as the call that makes it."""
        return str(self._row.header["algorithm"])

    @property
    def state(self) -> str:
        """`running`, `done`, `interrupted`, `stopped` (it gave up), or `killed` (its driver died)."""
        return _standing(self.store.find(self.name) or self._row)

    @property
    def warm_started_from(self) -> dict[str, int]:
        """How many trials of which other studies its algorithm was shown before it began."""
        return dict(self._state.warm_started_from)

    @property
    def learnt(self) -> dict[str, int]:
        """The old name of `warm_started_from`, which goes in the next version."""
        _warn("learnt", "warm_started_from")
        return self.warm_started_from

    @property
    def note(self) -> Mapping[str, Any] | None:
        """The old name of `locator`, which goes in the next version."""
        _warn("note", "locator")
        return self.locator

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order, running ones included."""
        return tuple(self._state.trials)

    @property
    def counts(self) -> dict[Status, int]:
        """How many trials ended in which way."""
        return {status: count for status, count in self._state.counts.items() if count}

    @property
    def best(self) -> Trial:
        """The best trial, the earliest of equals.

        Where trials go differently far, only those that went furthest are compared.

        Raises:
            StudyError: no trial has a result, or there are several objectives.
        """
        if self._state.objectives.count > 1:
            raise blame(
                StudyError(
                    "with several objectives there is a front, not a best trial; this study has "
                    f"{', '.join(self.objectives)}: use study.front"
                )
            )
        if self._state.best is None:
            counts = (
                ", ".join(f"{count} {status.value}" for status, count in self.counts.items()) or "none yet"
            )
            raise StudyError(
                f"the best of a study is among its trials that are done, and {self.name!r} has none "
                f"({counts}): look at study.trials[0].error"
            )
        return self._state.best

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other dominates, in order; with one objective, the best.

        Where trials go differently far, only those that went furthest are compared.
        """
        return tuple(self._state.front())

    def frame(self) -> Any:
        """Return one row per trial: a `pandas.DataFrame` where pandas is installed, else a list of dicts.

        Columns are number, status, the metrics, the decision's points (`point.ADDRESS`), seconds, worker
        and error; and where trials go differently far, fidelity and resumes.
        """
        rows = [_row_of(trial) for trial in self.trials]
        try:
            import pandas  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            return rows
        return pandas.DataFrame(rows)

    def replay(self, algorithm: Algorithm | None = None) -> Algorithm:
        """Make every proposal again out of the log, check that it comes out the same; return the algorithm.

        Args:
            algorithm: a fresh one with the study's hyperparameters; without it, it is made from the log.

        Raises:
            StudyError: a proposal comes out otherwise.
        """
        if algorithm is None:
            from symnas.contracts.registry import resolve

            header = self._row.header
            algorithm = resolve(header["algorithm_name"], header["options"])
        algorithm = algorithm.fresh()
        algorithm.setup(self.space)
        rebuild(algorithm, self._state, self.store.events(self._row.key), verify=True)
        return algorithm

    def statistics(self) -> Statistics:
        """Return how every candidate of every point did, by the first objective, larger being better."""
        from symnas.study.statistics import study_statistics

        return study_statistics(self._state, self._row.header)

    def __repr__(self) -> str:
        """Show the name, what became of the trials, and the best."""
        counts = ", ".join(f"{count} {status.value}" for status, count in self.counts.items()) or "no trials"
        best = self._state.best
        several = self._state.objectives.count > 1
        shown = "" if best is None or several else f"; best {dict(best.metrics)} in trial {best.number}"
        return f"<Study {self.name!r} in {self.store.location}: {counts}{shown}>"


@dataclass(frozen=True)
class StudySummary:
    """A study as a list of studies shows it.

    Args:
        name: unique within the store.
        state: `running`, `done`, `interrupted`, `stopped` or `killed`.
        counts: how many trials ended in which way.
        algorithm: the call that makes it.
        driver: the process that runs it now, or None.
        created: seconds since the epoch.
    """

    name: str
    state: str
    counts: Mapping[Status, int]
    algorithm: str
    driver: str | None
    created: float

    @property
    def trials(self) -> int:
        """How many trials are over."""
        return sum(self.counts.values())

    @property
    def age(self) -> float:
        """Seconds since it was created."""
        return time.time() - self.created


def studies(store: Store | str | Path) -> list[StudySummary]:
    """List the studies of a store, in the order of their creation.

    Args:
        store: the path of a store, its URL, or the store itself.

    Raises:
        StoreError: there is no store there, or it cannot be read.
    """
    opened = open_store(store, must_exist=True)
    found = [_summary(row, opened.counts(row.key)) for row in opened.rows()]
    if opened is not store:
        opened.close()
    return found


def load_study(store: Store | str | Path, name: str | None = None, *, program: Any = None) -> Study:
    """Return a study to look at; nothing is run or changed.

    Args:
        store: the path of a store, its URL, or the store itself.
        name: the study's name; may be left out where the store has one study (nested ones are not counted).
        program: what was searched, to `build` and `load` children with; by default the study's own locator
            is followed when a child is first built, which runs the code that is there.

    Raises:
        StudyError: there is no such study, or several and no name was given.
    """
    opened = open_store(store, must_exist=True)
    try:
        return _loaded(opened, name, program)
    finally:
        if opened is not store:
            opened.close()


def _loaded(opened: Store, name: str | None, program: Any) -> Study:
    row = _pick(opened, name)
    with reading(opened.location, f"the header of study {row.name!r}"):
        context = StudyContext(Space.from_json(row.header["space"]), row.header["seed"])
        objectives = Objectives.parse(row.header["objectives"] or None)
        fingerprint = row.header["fingerprints"]["program"]
    if program is not None:
        context.target = program
        space = program if isinstance(program, Space) else program.space
        if space != context.space:
            raise StudyError(
                f"a study's children are built by the program it searched; the space of {program!r} is "
                f"another one than that of study {row.name!r}: pass the program as it was, or leave program= "
                "out"
            )
        context.space = space
    elif not fingerprint:
        context.target = context.space
    else:
        context.locator = row.header.get("program")  # stores of earlier versions have none
    context.weights = KeptWeights(opened.folder, row.name)
    state = StudyState(context, objectives)
    with reading(opened.location, f"the log of study {row.name!r}"):
        state.apply_all(opened.events(row.key))
    return Study(opened, row, state)


def _warn(old: str, new: str) -> None:
    text = f"Study.{old} is called {new} now; the old name will be gone in the next version"
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def _summary(row: StudyRow, kinds: Mapping[str, int]) -> StudySummary:
    counts = {status: kinds[status.value] for status in Status if kinds.get(status.value)}
    driver = str(row.holder) if row.holder is not None and row.holder.alive else None
    return StudySummary(row.name, _standing(row), counts, row.header["algorithm"], driver, row.created)


def _pick(store: Store, name: str | None) -> StudyRow:
    rows = store.rows()
    if name is not None:
        for row in rows:
            if row.name == name:
                return row
        known = [row.name for row in rows]
        raise StudyError(
            f"there is no study {name!r} in {store.location}{nearest(name, known)}; "
            f"it has {', '.join(map(repr, known[:10])) or 'none'}"
        )
    outer = [row for row in rows if not row.header.get("outer")]
    if len(outer) != 1:
        raise StudyError(
            f"a store with several studies needs a name; {store.location} has "
            f"{', '.join(repr(row.name) for row in outer[:10]) or 'none'}: pass one of these"
        )
    return outer[0]


def _standing(row: StudyRow) -> str:
    if row.state == "running" and (row.holder is None or not row.holder.alive):
        return "killed"
    return row.state


def _row_of(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "status": trial.status.value,
        **({} if trial.fidelity is None else {"fidelity": trial.fidelity, "resumes": trial.resumes}),
        **trial.metrics,
        **{f"point.{address}": value for address, value in trial.decision.items()},
        "seconds": trial.seconds,
        "worker": trial.worker,
        "error": trial.error,
    }
