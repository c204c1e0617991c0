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
from symnas.study.state import REPEATABLE, Ledger, comparable, remembered
from symnas.study.store.base import IMPORT, Event, Store, StudyRow
from symnas.study.store.lock import Owner
from symnas.study.trials.kept_weights import WeightsKeeper
from symnas.study.trials.trial import Home
from symnas.tree.space import Space

BEAT_SECONDS = 10.0


def open_study(
    store: Store,
    identity: Identity,
    home: Home,
    objectives: Objectives,
    on_change: str,
    algorithm: Algorithm,
) -> StudyRow:
    """Find the study of an identity, or make it.

    Args:
        store: where.
        identity: what the search is.
        home: the space and the seed of its trials.
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
    changed = identity.changes(row.header)
    if not changed:
        started = identity.begins_otherwise(row.header)
        if started:
            raise StudyError(
                f"what a study begins with is given when it begins; study {identity.name!r} in "
                f"{store.location} has begun, and these are others: {'; '.join(started)}. Leave them out to "
                "go on, or give the search another name="
            )
        return row
    answered = changed == [CHANGES["objectives"]] and _asks_direction(store, row, home)
    if on_change != "import" and not answered:
        raise StudyError(
            f"a study goes on with what it began with; since study {identity.name!r} in {store.location} "
            f"was made, "
            f"there changed: {'; '.join(changed)}. Give the search another name=, undo the change, or pass "
            "on_change='import' to begin anew with the trials that still fit"
        )
    return _import(store, row, identity, home, objectives, algorithm)


def load(store: Store, row: StudyRow, home: Home, objectives: Objectives) -> Ledger:
    """Return the state of a study, with what was interrupted queued again."""
    ledger = Ledger(home, objectives)
    ledger.apply_all(store.events(row.key))
    ledger.requeue_interrupted()
    return ledger


@contextmanager
def driving(store: Store, row: StudyRow) -> Iterator[Owner]:
    """Hold a study's lock, with a heartbeat where the store outlives the process.

    Raises:
        StudyError: another driver that lives holds it.
    """
    owner = Owner.of_this_process()
    stop = threading.Event()
    beats = threading.Thread(
        target=_beat, args=(store, row.key, owner, stop), daemon=True, name="symnas-heartbeat"
    )
    try:
        _lock(store, row, owner)  # an interrupt may come while it is taken
        if store.durable:
            beats.start()
        yield owner
    finally:
        stop.set()
        if beats.ident is not None:
            beats.join(timeout=BEAT_SECONDS)
        with suppress(StoreError):
            store.unlock(row.key, owner)


def _lock(store: Store, row: StudyRow, owner: Owner) -> None:
    for _ in range(5):
        current = store.find(row.name)
        if current is None:
            raise StoreError(
                f"study {row.name!r} is gone from {store.location} since this search began: run it again"
            )
        if current.owner is not None and current.owner.alive:
            raise StudyError(
                f"one driver runs a study at a time; {current.owner} runs {row.name!r} in {store.location} "
                f"now: let "
                "it finish, stop it, or give this search another name= (workers=N shares one study)"
            )
        if store.lock(row.key, owner, current.owner):
            return
    raise StudyError(
        f"several drivers are starting on study {row.name!r} in {store.location}: run this one again"
    )


def _beat(store: Store, key: int, owner: Owner, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        # A failing heartbeat is no reason to end a search: the next commit tells what is wrong.
        with suppress(StoreError):
            if not store.beat(key, owner):
                return


def _import(
    store: Store,
    row: StudyRow,
    identity: Identity,
    home: Home,
    objectives: Objectives,
    algorithm: Algorithm,
) -> StudyRow:
    if row.owner is not None and row.owner.alive:
        raise StudyError(
            f"{row.owner} runs study {row.name!r} in {store.location} now: let it finish, then import"
        )
    old_home = Home(
        Space.from_json(row.header["space"]) if row.header["space"] else home.space, row.header["seed"]
    )
    old = Ledger(old_home, Objectives.parse(row.header["objectives"] or None))
    old.apply_all(store.events(row.key))
    fitting = list(_fitting(old, home.space, objectives, algorithm))
    number = 1
    while store.find(f"{row.name}@{number}") is not None:
        number += 1
    store.rename(row.key, f"{row.name}@{number}")
    WeightsKeeper(store.folder, row.name).move_to(f"{row.name}@{number}")
    made = store.create(identity.name, identity.header)
    if fitting:
        store.append(
            made.key, 0, [Event(IMPORT, 0, time.time(), {"from": f"{row.name}@{number}", "trials": fitting})]
        )
    return made


def _asks_direction(store: Store, row: StudyRow, home: Home) -> bool:
    """Whether a study ended by asking for the direction of its only metric (`Driver`), which is given now."""
    if row.header["objectives"]:
        return False
    old = load(store, row, Home(home.space, row.header["seed"]), Objectives())
    done = next((trial for trial in old.trials if trial.status is Status.DONE), None)
    return done is not None and less_is_better(next(iter(done.metrics)))


def _fitting(
    old: Ledger, space: Space, objectives: Objectives, algorithm: Algorithm
) -> Iterator[dict[str, Any]]:
    for trial in old.trials:
        fidelity, compares = comparable(trial, old.level, algorithm)
        if trial.status not in REPEATABLE or not compares:
            continue
        try:
            decision = space.decision(trial.decision.flat())
            values = objectives.values(trial.metrics) if trial.status is Status.DONE else None
        except (DecisionError, EvaluatorError):
            continue
        yield remembered(trial, decision, values, fidelity)
