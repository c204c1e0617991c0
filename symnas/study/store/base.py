"""What a store is: a header and an append-only log of events per study.

A study is a header (what is searched, decided once) and a list of events in order. Everything else, the
trials, the best of them, the state of the algorithm, is computed from the events, the same way while a
search runs and after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from symnas.errors import EvaluatorError, StoreError, StudyError
from symnas.study.store.lock import LockHolder

PROPOSE = "propose"
START = "start"
CRASH = "crash"
STOP = "stop"
IMPORT = "import"
WARM_START = "transfer"
"""Kinds of events; a trial's end has the name of its status as the kind."""


@contextmanager
def reading(location: str, what: str) -> Iterator[None]:
    """Turn what goes wrong in reading what a store holds into a `StoreError`.

    Args:
        location: of the store.
        what: is read.

    Raises:
        StoreError: it is not what SymNAS wrote.
    """
    try:
        yield
    except (EvaluatorError, StudyError):
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"what is read from a store is what SymNAS wrote; {what} in {location} is not "
            f"({type(error).__name__}: {error}): the store is damaged. Copy it somewhere safe, and restore "
            "it from a backup or name another one; this one was left as it is"
        ) from error


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
        holder: the process that drives it now, or last did without saying goodbye.
        created: seconds since the epoch.
    """

    key: int
    name: str
    header: dict[str, Any]
    state: str
    holder: LockHolder | None
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

    def lock(self, key: int, holder: LockHolder, expected: LockHolder | None) -> bool:
        """Make `holder` the driver if the driver is still `expected`; tell whether that worked."""

    def beat(self, key: int, holder: LockHolder) -> bool:
        """Say that the driver is alive; False when it no longer is the driver."""

    def unlock(self, key: int, holder: LockHolder) -> None:
        """Give the study up, if `holder` drives it."""

    def append(self, key: int, seq: int, events: Sequence[Event]) -> None:
        """Write events at position `seq` and on, all or none; they are safe when this returns."""

    def events(self, key: int) -> Iterator[Event]:
        """Yield a study's events in order."""

    def counts(self, key: int) -> dict[str, int]:
        """Return how many events of each kind there are."""

    def close(self) -> None:
        """Let go of files and connections."""
