"""Studies that end with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from symnas.errors import StoreError
from symnas.study.store.base import Event, StudyRow
from symnas.study.store.lock import LockHolder


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

    def lock(self, key: int, holder: LockHolder, expected: LockHolder | None) -> bool:
        """Make `holder` the driver if the driver is still `expected`; tell whether that worked."""
        with self._guard:
            study = self._at(key)
            current = study.row.holder
            if (current and current.token) != (expected and expected.token):
                return False
            self._put(study, holder=holder)
            return True

    def beat(self, key: int, holder: LockHolder) -> bool:
        """Say that the driver is alive; False when it no longer is the driver."""
        current = self._at(key).row.holder
        return current is not None and current.token == holder.token

    def unlock(self, key: int, holder: LockHolder) -> None:
        """Give the study up, if `holder` drives it."""
        with self._guard:
            study = self._at(key)
            if study.row.holder is not None and study.row.holder.token == holder.token:
                self._put(study, holder=None)

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
