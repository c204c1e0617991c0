"""Code that is nested hundreds of levels deep: read and compiled all the same, or refused in words."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from symnas.errors import ProgramError

LEVELS = 20_000
"""Frames of Python's for a walk over syntax trees; a level takes several."""


@contextlib.contextmanager
def deep(what: str) -> Iterator[None]:
    """Let walks over syntax trees go deeper than Python usually allows.

    Args:
        what: is read, for the message.

    Raises:
        ProgramError: it is nested too deep even so, as Python's own compiler has bounds.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, LEVELS))
    try:
        yield
    except (RecursionError, MemoryError) as error:
        raise ProgramError(
            f"{what}: an expression or annotation is nested too deep to be read or compiled, as sums of "
            "thousands of terms and chains of thousands of attributes are; write it in several statements"
        ) from error
    finally:
        sys.setrecursionlimit(limit)
