"""Plain data kept on disk, so that the next process need not compute it again.

One file an entry, called by the hash of all that it follows from (`identity`): a line with the hash of what
comes after it, and JSON. Reading executes nothing. Whatever cannot be read, or is not what its hash says, is
as if it were not there; whatever cannot be written is not kept. Files are put in place by renaming, so
processes may share the folder, and each use sets a file's time: those used longest ago go first.

`SYMNAS_CACHE=off` switches it off, and `SYMNAS_CACHE=FOLDER` puts it elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

VARIABLE = "SYMNAS_CACHE"
MOST_BYTES = 64 * 2**20
MOST_FILES = 1000
_OFF = ("off", "0", "no", "false")


def folder() -> Path | None:
    """Return where entries are kept, or None where they are not."""
    given = os.environ.get(VARIABLE, "").strip()
    if given.lower() in _OFF:
        return None
    if given:
        return Path(given).expanduser()
    with contextlib.suppress(RuntimeError):  # nobody's home
        if sys.platform == "win32":
            return (
                Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "symnas" / "Cache"
            )
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "symnas"
        given = os.environ.get("XDG_CACHE_HOME", "")
        # By the XDG rules a relative path counts as none.
        return (Path(given) if Path(given).is_absolute() else Path.home() / ".cache") / "symnas"
    return None


def read(key: str) -> Any:
    """Return what was kept under a key, or None."""
    place = folder()
    if place is None:
        return None
    file = place / f"{key}.json"
    try:
        digest, _, body = file.read_bytes().partition(b"\n")
        if digest.decode() != _digest(body):
            return None
        found = json.loads(body)
    except (OSError, ValueError, RecursionError):
        return None
    with contextlib.suppress(OSError):
        os.utime(file)
    return found


def write(key: str, value: Any) -> None:
    """Keep plain data under a key."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        body = json.dumps(value, separators=(",", ":")).encode()
        if len(body) > MOST_BYTES // 4:
            return
        place.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=place, prefix=".", suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_digest(body).encode() + b"\n" + body)
            Path(name).replace(place / f"{key}.json")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _prune(place)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _prune(place: Path) -> None:
    """Drop the entries used longest ago, so that number and bytes stay bounded."""
    found = []
    for entry in os.scandir(place):
        if entry.name.endswith((".json", ".part")):
            with contextlib.suppress(OSError):  # another process drops them, too
                stat = entry.stat()
                found.append((stat.st_mtime, stat.st_size, entry.path))
    total = 0
    for number, (_, size, path) in enumerate(sorted(found, reverse=True)):
        total += size
        if number >= MOST_FILES or total > MOST_BYTES:
            Path(path).unlink(missing_ok=True)
