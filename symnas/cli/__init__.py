"""The command line: `symnas check | show | search | status | best | export | algorithms`.

`app` is the group; each command has a module, imported when it runs; `common` has what they share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.cli.app import main as main

_HOMES = {
    "main": "app",
}

__all__ = [
    "main",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
