"""Where events are kept: in memory, or in an SQL database.

To read in this order: `base` (events, rows, and what a store does), `sql`, `lock` (who drives a study),
`sql_errors` and `interrupts` (what can come in between).

Laws, in `tests/study/store`: what is read is what was written; one driver at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.study.store.base import Event as Event
    from symnas.study.store.base import MemoryStore as MemoryStore
    from symnas.study.store.base import Store as Store
    from symnas.study.store.base import StudyRow as StudyRow
    from symnas.study.store.base import open_store as open_store

_HOMES = {
    "Event": "base",
    "MemoryStore": "base",
    "Store": "base",
    "StudyRow": "base",
    "open_store": "base",
}

__all__ = [
    "Event",
    "MemoryStore",
    "Store",
    "StudyRow",
    "open_store",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
