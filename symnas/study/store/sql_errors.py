"""What databases say when they fail, in words that tell what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from symnas.errors import StoreError

KEPT = "everything written before is kept"

# (part of the database's message, what it means, what to do); the first that fits wins.
TROUBLES = (
    ("database or disk is full", "the disk is full", "make room and run the same command again"),
    ("disk i/o error", "the disk refused to read or write (full, over a quota, or failing)",
     "check the disk and run the same command again"),
    ("no space left", "the disk is full", "make room and run the same command again"),
    ("readonly database", "the file is read-only",
     "make the file and its folder writable, or name another store"),
    ("unable to open database", "the file cannot be opened (no such folder, or no permission)",
     "check the path and the folder's permissions"),
    ("malformed", "the file is damaged",
     "copy it somewhere safe and recover it with `sqlite3 FILE .recover`, or name another store"),
    ("not a database", "the file is not a database", "name another file; this one was left as it is"),
    ("locked", "another process held the file for longer than 30 seconds",
     "close what else uses it and run the same command again"),
    ("connection", "the database server cannot be reached", "check that it runs and that the URL is right"),
)  # fmt: skip


@contextmanager
def friendly(location: str) -> Iterator[None]:
    """Turn a database's errors into `StoreError`s that say the trouble and the remedy."""
    try:
        yield
    except SQLAlchemyError as error:
        raise explained(error, location) from error


def explained(error: SQLAlchemyError, location: str) -> StoreError:
    """Return the error in a user's words."""
    text = str(getattr(error, "orig", None) or error)
    if isinstance(error, IntegrityError):
        return StoreError(
            f"one driver writes a study at a time; another one has written to this study in {location} "
            f"({text}): let that one finish; {KEPT}"
        )
    for part, meaning, remedy in TROUBLES:
        if part in text.lower():
            return StoreError(
                f"the store {location} cannot be used: {meaning} ({text}). Do this: {remedy}; {KEPT}"
            )
    return StoreError(f"the store {location} cannot be used: {text}; {KEPT}")
