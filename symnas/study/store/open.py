"""Opening a store by what a user names it."""

from __future__ import annotations

import re
from pathlib import Path

from symnas.study.store.base import Store
from symnas.study.store.memory import MemoryStore


def open_store(store: Store | str | Path | None, must_exist: bool = False) -> Store:
    """Return the store that a user names.

    Args:
        store: None for memory, the path of a SQLite file, a SQLAlchemy URL (`postgresql+psycopg://…`), or
            a store.
        must_exist: refuse to make a new file.

    Raises:
        StoreError: it cannot be opened; the message says why, and nothing was changed.
    """
    if store is None or re.fullmatch(r"sqlite(\+\w+)?://(/(:memory:)?)?", str(store)):
        return MemoryStore()
    if isinstance(store, str | Path):
        # Importing SQLAlchemy takes a third of a second, which studies in memory need not pay.
        from symnas.study.store.sql import SqlStore

        return SqlStore(store, must_exist=must_exist)
    return store
