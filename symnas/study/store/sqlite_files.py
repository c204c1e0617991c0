"""SQLite files: what one is looked at without being changed, and how one is opened as a store."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from symnas.errors import StoreError
from symnas.study.store.sql_errors import explained

SQLITE_MAGIC = b"SQLite format 3\x00"
WRITE_VERSION = 18
"""Where a SQLite file says how it is written: 2 is a write-ahead log."""
BUSY_SECONDS = 30
"""How long to wait for another process that writes."""


def path_of(target: str | Path) -> Path | None:
    """Return the file that a path or a URL of SQLite names, or None for another database."""
    text = str(target)
    if "://" not in text:
        return Path(text).expanduser().absolute()
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        return None
    plain = url.get_backend_name() == "sqlite" and not url.query
    return Path(url.database).expanduser().absolute() if plain and url.database else None


def tables(path: Path) -> set[str]:
    """Return the names of a file's tables, and leave it as it is.

    Raises:
        StoreError: it is no database, or a damaged one.
    """
    if not path.exists() or not path.stat().st_size:
        return set()
    with path.open("rb") as file:
        head = file.read(WRITE_VERSION + 1)
    # Readers make a write-ahead log too, unless they are told that nobody writes; without one, nobody does.
    logged = head[WRITE_VERSION:] == b"\x02" and not path.with_name(f"{path.name}-wal").exists()
    url = f"file:{quote(str(path))}?mode=ro"
    try:
        if logged:
            try:
                return _tables(f"{url}&immutable=1")
            except sqlite3.Error:
                pass  # somebody has begun to write
        return _tables(url)
    except sqlite3.Error as error:
        raise explained(sa.exc.DatabaseError("look", {}, error), str(path)) from error


def _tables(url: str) -> set[str]:
    with closing(sqlite3.connect(url, timeout=BUSY_SECONDS, uri=True)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for (name,) in found}


def configure(connection: Any, _: object) -> None:
    """Set a new connection up: a write-ahead log, and commits that are on disk when they return."""
    cursor = connection.cursor()
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            # Not waited for by SQLite itself, as everything else is, where another process does the same.
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise
            time.sleep(0.01)
    cursor.execute("PRAGMA synchronous=FULL")  # on disk when the commit returns, power failures included
    cursor.close()


def writable(path: Path) -> bool:
    """Whether a file and what lies beside it can be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def url_of(path: Path, read_only: bool) -> sa.URL:
    """Return the URL by which SQLAlchemy opens a file."""
    if not read_only:
        return sa.URL.create("sqlite", database=str(path))
    # Without a log beside it, nothing can be in flight; SQLite then reads it without making files of its own.
    frozen = "0" if path.with_name(path.name + "-wal").exists() else "1"
    query = {"mode": "ro", "immutable": frozen, "uri": "true"}
    return sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)


def check_file(path: Path, must_exist: bool) -> None:
    """Refuse a file that cannot be a store.

    Raises:
        StoreError: it is something else, or cannot be reached.
    """
    if path.is_dir():
        raise StoreError(
            f"a store is a file; {path} is a folder: name a file in it, such as {path / 'runs.db'}"
        )
    if not path.exists():
        if must_exist:
            raise StoreError(
                f"there is no store at {path}: check the path, or run a search with store={path.name!r}"
            )
        if not path.parent.is_dir():
            raise StoreError(
                f"the folder of a store must exist; {path.parent} does not: make it, or name another"
            )
        return
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE_MAGIC))
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be read: {error.strerror}: check its permissions"
        ) from error
    if head and head != SQLITE_MAGIC:
        raise StoreError(
            f"a store is a SQLite file; {path} is something else (it starts with {head[:8]!r}): name another "
            "file; this one was left as it is"
        )
