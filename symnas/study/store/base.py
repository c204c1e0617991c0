"""Where studies live: an append-only log of events per study, in memory or in a database.

A study is a header (what is searched, decided once) and a list of events in order. Everything else, the
trials, the best of them, the state of the algorithm, is computed from the events, the same way while a
search runs and after it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from symnas.errors import StoreError
from symnas.study.store.lock import Owner

PROPOSE = "propose"
START = "start"
CRASH = "crash"
STOP = "stop"
IMPORT = "import"
TRANSFER = "transfer"
"""Kinds of events; a trial's end has the name of its status as the kind."""


class Event(NamedTuple):
    """One thing that happened in a study.

    Args:
        kind: `propose`, `start`, `crash`, `import`, `transfer`, `stop`, or the final status of a trial.
        trial: number of the trial it is about (of the first one, for a proposal), or -1.
        at: seconds since the epoch.
        payload: what else there is to say; plain data.
    """

    kind: str
    trial: int
    at: float
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class StudyRow:
    """A study as its store lists it.

    Args:
        key: the store's own number for it.
        name: unique within the store.
        header: what the study is about: space, objectives, fingerprints, algorithm, seed.
        state: `running`, `done`, `stopped` or `interrupted`.
        owner: the process that drives it now, or last did without saying goodbye.
        created: seconds since the epoch.
    """

    key: int
    name: str
    header: dict[str, Any]
    state: str
    owner: Owner | None
    created: float


class Store(Protocol):
    """What a search asks of a place for studies; every method may raise `StoreError`."""

    @property
    def location(self) -> str:
        """Where it is, in words for messages."""

    @property
    def durable(self) -> bool:
        """Whether it outlives the process."""

    @property
    def folder(self) -> Path | None:
        """Where files that belong to it go (trained weights), or None to keep them in memory."""

    def create(self, name: str, header: dict[str, Any]) -> StudyRow:
        """Add a study; the name is not taken yet."""

    def find(self, name: str) -> StudyRow | None:
        """Return the study of that name, if there is one."""

    def rows(self) -> list[StudyRow]:
        """Return all studies, in the order of their creation."""

    def set_state(self, key: int, state: str) -> None:
        """Record how a study stands."""

    def rename(self, key: int, name: str) -> None:
        """Give a study another name, to make room for one that takes its place."""

    def lock(self, key: int, owner: Owner, expected: Owner | None) -> bool:
        """Make `owner` the driver if the driver is still `expected`; tell whether that worked."""

    def beat(self, key: int, owner: Owner) -> bool:
        """Say that the driver is alive; False when it no longer is the driver."""

    def unlock(self, key: int, owner: Owner) -> None:
        """Give the study up, if `owner` drives it."""

    def append(self, key: int, seq: int, events: Sequence[Event]) -> None:
        """Write events at position `seq` and on, all or none; they are safe when this returns."""

    def events(self, key: int) -> Iterator[Event]:
        """Yield a study's events in order."""

    def counts(self, key: int) -> dict[str, int]:
        """Return how many events of each kind there are."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass
class _Study:
    row: StudyRow
    events: list[Event] = field(default_factory=list)


class MemoryStore:
    """Studies that end with the process; pass the same object again to continue them."""

    location = "memory"
    durable = False
    folder = None

    def __init__(self) -> None:
        self._studies: dict[str, _Study] = {}
        self._by_key: list[_Study] = []
        self._guard = threading.Lock()

    def create(self, name: str, header: dict[str, Any]) -> StudyRow:
        """Add a study; the name is not taken yet."""
        with self._guard:
            if name in self._studies:
                raise StoreError(
                    f"names of studies are unique in a store; {name!r} is taken in {self.location}"
                )
            row = StudyRow(len(self._studies), name, header, "running", None, time.time())
            self._studies[name] = _Study(row)
            self._by_key.append(self._studies[name])
            return row

    def find(self, name: str) -> StudyRow | None:
        """Return the study of that name, if there is one."""
        study = self._studies.get(name)
        return None if study is None else study.row

    def rows(self) -> list[StudyRow]:
        """Return all studies, in the order of their creation."""
        return [study.row for study in list(self._studies.values())]

    def set_state(self, key: int, state: str) -> None:
        """Record how a study stands."""
        self._change(key, state=state)

    def rename(self, key: int, name: str) -> None:
        """Give a study another name."""
        study = self._at(key)
        self._studies = {name if held is study else old: held for old, held in self._studies.items()}
        self._change(key, name=name)

    def lock(self, key: int, owner: Owner, expected: Owner | None) -> bool:
        """Make `owner` the driver if the driver is still `expected`; tell whether that worked."""
        with self._guard:
            study = self._at(key)
            current = study.row.owner
            if (current and current.token) != (expected and expected.token):
                return False
            self._put(study, owner=owner)
            return True

    def beat(self, key: int, owner: Owner) -> bool:
        """Say that the driver is alive; False when it no longer is the driver."""
        current = self._at(key).row.owner
        return current is not None and current.token == owner.token

    def unlock(self, key: int, owner: Owner) -> None:
        """Give the study up, if `owner` drives it."""
        with self._guard:
            study = self._at(key)
            if study.row.owner is not None and study.row.owner.token == owner.token:
                self._put(study, owner=None)

    def append(self, key: int, seq: int, events: Sequence[Event]) -> None:
        """Write events at position `seq` and on."""
        study = self._by_key[key]
        if seq != len(study.events):
            raise StoreError(f"another driver has written to study {study.row.name!r} in {self.location}")
        study.events.extend(events)

    def events(self, key: int) -> Iterator[Event]:
        """Yield a study's events in order."""
        return iter(list(self._at(key).events))

    def counts(self, key: int) -> dict[str, int]:
        """Return how many events of each kind there are."""
        counts: dict[str, int] = {}
        for event in self._at(key).events:
            counts[event.kind] = counts.get(event.kind, 0) + 1
        return counts

    def close(self) -> None:
        """Nothing to let go of: a memory store may be used again."""

    def _at(self, key: int) -> _Study:
        return self._by_key[key]

    def _change(self, key: int, **fields: Any) -> None:
        with self._guard:
            self._put(self._at(key), **fields)

    @staticmethod
    def _put(study: _Study, **fields: Any) -> None:
        study.row = StudyRow(**{**study.row.__dict__, **fields})


def open_store(store: Store | str | Path | None, must_exist: bool = False) -> Store:
    """Return the store that a user names.

    Args:
        store: None for memory, the path of a SQLite file, a SQLAlchemy URL (`postgresql+psycopg://…`), or
            a store.
        must_exist: refuse to make a new file.

    Raises:
        StoreError: it cannot be opened; the message says why, and nothing was changed.
    """
    if store is None:
        return MemoryStore()
    if isinstance(store, str | Path):
        from symnas.study.store.sql import SqlStore

        return SqlStore(store, must_exist=must_exist)
    return store
