"""What a study begins with: decisions to try first, and what other studies have learnt."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from symnas._typing import Value
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.objectives import Objectives, undefined
from symnas.contracts.outcome import Status
from symnas.errors import DecisionError, EvaluatorError, StudyError
from symnas.study.state import comparable, remembered
from symnas.study.store.base import WARM_START, Event
from symnas.study.study import Study, load_study
from symnas.tree.layout import REAL
from symnas.tree.rows import build_row
from symnas.tree.space import Decision, Space

Given = Decision | Mapping[str, Any]
Source = Study | str | Path


def carried(space: Space, decision: Mapping[str, Value]) -> Decision:
    """Carry a decision over into another space, by addresses.

    Points of the space that the decision has, with a value that is allowed, keep it. All others that exist
    then take their defaults, and what the space does not know is dropped.

    Args:
        space: where it goes.
        decision: of any space.
    """
    layout = space.compiled.layout
    kept: dict[str, Value] = {}
    for address, value in decision.items():
        number = layout.index.get(address)
        if number is None or layout.entries[number].tied:
            continue
        entry = layout.entries[number]
        try:
            entry.domain.real(value) if entry.shape == REAL else entry.domain.code(value)  # type: ignore[attr-defined]
        except DecisionError:
            continue
        kept[address] = value
    # As a base to fall back on: a value at a point that does not exist then is passed by.
    return Decision(space, build_row(layout, {}, kept))


def first_decisions(space: Space, initial: Iterable[Given]) -> list[Decision]:
    """Return the decisions that a study is to try first.

    Args:
        space: what is searched.
        initial: decisions, those of other spaces being carried over; or mappings from addresses to values,
            flat or nested, where what is left out takes its default.

    Raises:
        DecisionError: a mapping names a point that does not exist, or a value that is not allowed.
    """
    if isinstance(initial, Mapping):
        initial = [initial]  # a single decision is meant
    found = []
    for place, given in enumerate(initial):
        if isinstance(given, Decision):
            found.append(given if given.space == space else carried(space, given))
            continue
        try:
            found.append(space.decision(given))
        except DecisionError as error:
            raise DecisionError(f"initial decision {place}: {error}") from None
    return found


def listed(warm_start: Source | Sequence[Source] | None) -> list[Source]:
    """Return the sources of a warm start, of which one may be given without a list.

    Raises:
        StudyError: something is neither a study nor a text.
    """
    if warm_start is None:
        return []
    sources: list[Any] = list(warm_start) if isinstance(warm_start, list | tuple) else [warm_start]
    for source in sources:
        if not isinstance(source, Source):
            raise StudyError(
                "a warm start is a study, the path of a store, 'STORE:NAME', or a list of these; got "
                f"{source!r}"
            )
    return sources


def source_name(source: Source) -> str:
    """Return what a source is called in the log of the study that learns from it."""
    return source.name if isinstance(source, Study) else Path(source).name


def opened(source: Source) -> Study:
    """Return the study that a source names.

    Args:
        source: a study, the path or URL of a store with one study, or `STORE:NAME`.
    """
    if isinstance(source, Study):
        return source
    text = str(source)
    places = [place for place, sign in enumerate(text) if sign == ":"]
    # Names may have colons, paths too: the last cut that leaves the path of a file.
    cuts = [place for place in places if Path(text[:place]).is_file()]
    if "://" in text or not cuts:
        return load_study(text)
    return load_study(text[: cuts[-1]], text[cuts[-1] + 1 :])


def warm_start_events(
    sources: Iterable[Source], space: Space, objectives: Objectives, algorithm: Algorithm
) -> list[Event]:
    """Return the events that tell a study what others have learnt.

    Args:
        sources: the others.
        space: what it searches.
        objectives: what it optimises.
        algorithm: what it searches with.

    Raises:
        StudyError: nothing of a source fits.
    """
    events = []
    for source in sources:
        study = opened(source)
        trials = list(_fitting(study, space, objectives, algorithm))
        if not trials:
            raise StudyError(
                f"a warm start learns from trials that are done, whose decisions are decisions of this space "
                f"and whose metrics have the objectives' names; of the {len(study.trials)} trials of "
                f"{study.name!r} none is: leave warm_start= out, or try its best decisions first, by "
                "initial=[trial.decision for trial in study.front]"
            )
        payload = {"from": f"{study.store.location}:{study.name}", "trials": trials}
        events.append(Event(WARM_START, -1, time.time(), payload))
    return events


def _fitting(
    study: Study, space: Space, objectives: Objectives, algorithm: Algorithm
) -> Iterator[dict[str, Any]]:
    level = max((trial.fidelity or 0 for trial in study.trials if trial.status is Status.DONE), default=0)
    for trial in study.trials:
        reached, compares = comparable(trial, level, algorithm)
        if trial.status is not Status.DONE or trial.copied_from is not None or not compares:
            continue
        try:
            # Complete, so that nothing is made up: an outcome belongs to all of a decision.
            decision = space.decision(trial.decision.flat(), complete=True)
            values = objectives.values(trial.metrics)
        except (DecisionError, EvaluatorError):
            continue
        if not undefined(values):
            yield remembered(trial, decision, values, reached)
