"""Opening a study to drive it: finding or making it, taking its lock, bringing its state up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.objectives import Objectives, less_is_better
from symnas.contracts.outcome import Status
from symnas.errors import DecisionError, EvaluatorError, StoreError, StudyError
from symnas.study.identity import CHANGES, Identity
from symnas.study.state import REPEATABLE, StudyState, comparable, remembered
from symnas.study.store.base import IMPORT, Event, Store, StudyRow, reading
from symnas.study.store.lock import LockHolder
from symnas.study.trials.kept_weights import KeptWeights
from symnas.study.trials.trial import StudyContext
from symnas.study.trials.trial_context import blame
from symnas.tree.space import Space

BEAT_SECONDS = 10.0


def open_study(
    store: Store,
    identity: Identity,
    context: StudyContext,
    objectives: Objectives,
    on_change: str,
    algorithm: Algorithm,
) -> StudyRow:
    """Find the study of an identity, or make it.

    Args:
        store: where.
        identity: what the search is.
        context: the space and the seed of its trials.
        objectives: what is optimised.
        on_change: `refuse` or `import`, where a study of that name searched something else.
        algorithm: what searches from now on.

    Raises:
        StudyError: it searched something else, and `on_change` is `refuse`.
    """
    row = store.find(identity.name)
    if row is None:
        try:
            return store.create(identity.name, identity.header)
        except StoreError:
            row = store.find(identity.name)  # another process may have made it at the same moment
            if row is None:
                raise
    with reading(store.location, f"the header of study {row.name!r}"):
        changed = identity.changes(row.header)
        started = [] if changed else identity.begins_otherwise(row.header)
    if not changed:
        if started:
            raise StudyError(
                f"what a study begins with is given when it begins; study {identity.name!r} in "
                f"{store.location} has begun, and these are others: {'; '.join(started)}. Leave them out to "
                "go on, or give the search another name="
            )
        return row
    answered = changed == [CHANGES["objectives"]] and _asks_direction(store, row, context)
    if on_change != "import" and not answered:
        raise StudyError(
            f"a study goes on with what it began with; since study {identity.name!r} in {store.location} was "
            f"made, there changed: {'; '.join(changed)}. Give the search another name=, undo the change, or "
            "pass on_change='import' to begin anew with the trials that still fit"
        )
    return _import(store, row, identity, context, objectives, algorithm)


def load(store: Store, row: StudyRow, context: StudyContext, objectives: Objectives) -> StudyState:
    """Return the state of a study, with what was interrupted queued again."""
    state = StudyState(context, objectives)
    with reading(store.location, f"the log of study {row.name!r}"):
        state.apply_all(store.events(row.key))
    state.requeue_interrupted()
    return state


@contextmanager
def driving(store: Store, row: StudyRow) -> Iterator[LockHolder]:
    """Hold a study's lock, with a heartbeat where the store outlives the process.

    Raises:
        StudyError: another driver that lives holds it.
    """
    holder = LockHolder.of_this_process()
    stop = threading.Event()
    beats = threading.Thread(
        target=_beat, args=(store, row.key, holder, stop), daemon=True, name="symnas-heartbeat"
    )
    try:
        _lock(store, row, holder)  # an interrupt may come while it is taken
        if store.durable:
            beats.start()
        yield holder
    finally:
        # The heartbeat ends before the lock is given up, or it might beat in the next driver's name.
        stop.set()
        if beats.ident is not None:
            beats.join(timeout=BEAT_SECONDS)
        try:
            store.unlock(row.key, holder)
        except BaseException as error:
            threading.Thread(
                target=_unlock, args=(store, row.key, holder), daemon=True, name=holder.farewell
            ).start()
            if not isinstance(error, StoreError):
                raise


def _lock(store: Store, row: StudyRow, holder: LockHolder) -> None:
    # Compare and swap: the lock is taken only from whom it was seen to belong to, and only if that one is
    # dead. Of two that see the same dead holder, one swap succeeds; the other looks again.
    for _ in range(5):
        current = store.find(row.name)
        if current is None:
            raise StoreError(
                f"study {row.name!r} is gone from {store.location} since this search began: run it again"
            )
        if current.holder is not None and current.holder.alive:
            raise blame(
                StudyError(
                    f"one driver runs a study at a time; {current.holder} runs {row.name!r} in "
                    f"{store.location} now: let it finish, stop it, or give this search another name= "
                    "(workers=N shares one study)"
                )
            )
        if store.lock(row.key, holder, current.holder):
            return
    raise StudyError(
        f"several drivers are starting on study {row.name!r} in {store.location}: run this one again"
    )


def _beat(store: Store, key: int, holder: LockHolder, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        # A failing heartbeat is no reason to end a search: the next commit tells what is wrong.
        with suppress(StoreError):
            if not store.beat(key, holder):
                return


def _unlock(store: Store, key: int, holder: LockHolder) -> None:
    """Give up a lock as soon as its store can be told; in this process it counts as given up until then."""
    while True:
        time.sleep(BEAT_SECONDS)
        with suppress(StoreError):
            store.unlock(key, holder)
            return


def _import(
    store: Store,
    row: StudyRow,
    identity: Identity,
    context: StudyContext,
    objectives: Objectives,
    algorithm: Algorithm,
) -> StudyRow:
    if row.holder is not None and row.holder.alive:
        raise StudyError(
            f"{row.holder} runs study {row.name!r} in {store.location} now: let it finish, then import"
        )
    old_context = StudyContext(
        Space.from_json(row.header["space"]) if row.header["space"] else context.space, row.header["seed"]
    )
    old = StudyState(old_context, Objectives.parse(row.header["objectives"] or None))
    with reading(store.location, f"the log of study {row.name!r}"):
        old.apply_all(store.events(row.key))
    fitting = list(_fitting(old, context.space, objectives, algorithm))
    number = 1
    while store.find(f"{row.name}@{number}") is not None:
        number += 1
    # The old study makes room before the new one is made: a kill in between leaves it whole under its new
    # name, and the name free.
    store.rename(row.key, f"{row.name}@{number}")
    KeptWeights(store.folder, row.name).move_to(f"{row.name}@{number}")
    made = store.create(identity.name, identity.header)
    if fitting:
        store.append(
            made.key, 0, [Event(IMPORT, 0, time.time(), {"from": f"{row.name}@{number}", "trials": fitting})]
        )
    return made


def _asks_direction(store: Store, row: StudyRow, context: StudyContext) -> bool:
    """Whether a study ended by asking for the direction of its only metric (`Driver`), which is given now."""
    if row.header["objectives"]:
        return False
    old = load(store, row, StudyContext(context.space, row.header["seed"]), Objectives())
    done = next((trial for trial in old.trials if trial.status is Status.DONE), None)
    return done is not None and less_is_better(next(iter(done.metrics)))


def _fitting(
    old: StudyState, space: Space, objectives: Objectives, algorithm: Algorithm
) -> Iterator[dict[str, Any]]:
    for trial in old.trials:
        fidelity, compares = comparable(trial, old.level, algorithm)
        if trial.status not in REPEATABLE or not compares:
            continue
        try:
            decision = space.decision(trial.decision.flat(), complete=True)
            values = objectives.values(trial.metrics) if trial.status is Status.DONE else None
        except (DecisionError, EvaluatorError):
            continue
        yield remembered(trial, decision, values, fidelity)
