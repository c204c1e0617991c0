"""Exchanges the code of functions while a program runs, and puts it back whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

_LOCK = threading.RLock()
"""Held for the length of a run: two runs in two threads would exchange the same functions' code under each
other."""


@dataclass(frozen=True)
class Swap:
    """A function, the code that takes its place, and the defaults that do (None: its own)."""

    function: FunctionType
    code: CodeType
    defaults: tuple[Any, ...] | None = None
    kwdefaults: dict[str, Any] | None = None


@dataclass(frozen=True)
class AttributeSwap:
    """A class or module, and what one of its own attributes is meanwhile."""

    owner: Any
    name: str
    value: Any


@contextmanager
def swapped(swaps: Sequence[Swap | AttributeSwap]) -> Iterator[None]:
    """Run with other code in the functions; the originals return also after an exception."""
    with _LOCK:
        saved: list[tuple[FunctionType, CodeType, Any, Any]] = []
        held: list[tuple[Any, str, Any]] = []
        try:
            # The functions themselves stay, so whoever holds one calls the other code.
            for swap in swaps:
                if isinstance(swap, AttributeSwap):
                    # As it stands in the class: a static method by itself, not what it wraps.
                    held.append((swap.owner, swap.name, vars(swap.owner)[swap.name]))
                    setattr(swap.owner, swap.name, swap.value)
                    continue
                function = swap.function
                saved.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))
                function.__code__ = swap.code
                if swap.defaults is not None:
                    function.__defaults__ = swap.defaults
                if swap.kwdefaults is not None:
                    function.__kwdefaults__ = swap.kwdefaults
            yield
        finally:
            # In reverse, should a function be exchanged twice.
            for owner, name, value in reversed(held):
                setattr(owner, name, value)
            for function, code, defaults, kwdefaults in reversed(saved):
                function.__code__ = code
                if function.__defaults__ is not defaults:
                    function.__defaults__ = defaults
                if function.__kwdefaults__ is not kwdefaults:
                    function.__kwdefaults__ = kwdefaults
