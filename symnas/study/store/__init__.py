"""Where events are kept: in memory, or in an SQL database.

To read in this order: `lock` (who drives a study), `base` (events, rows, and what a store does), `memory`,
`interrupts` and `sql_errors` (what can come in between), `sqlite_files` (how one is looked at), `sql`, `open`
(which store a user means).

Laws, in `tests/study/store`: what is read is what was written; one driver at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.study.store.base import Event as Event
    from symnas.study.store.base import Store as Store
    from symnas.study.store.base import StudyRow as StudyRow
    from symnas.study.store.memory import MemoryStore as MemoryStore
    from symnas.study.store.open import open_store as open_store

_HOMES = {
    "Event": "base",
    "MemoryStore": "memory",
    "Store": "base",
    "StudyRow": "base",
    "open_store": "open",
}

__all__ = [
    "Event",
    "MemoryStore",
    "Store",
    "StudyRow",
    "open_store",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
