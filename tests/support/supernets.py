"""Supernets of the models that look as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from real_models import CASES, program_of

import symnas
from symnas.supernet import Supernet


def supernet_of(name: str, traced: bool = True, **options: Any) -> Supernet:
    case, known = CASES[name], program_of(name)
    program = symnas.program(known.target, inputs=case.feed if traced or case.inputs else None)
    program.space = known.space  # surveyed once; inputs change nothing about it
    made: Supernet = program.supernet(**options)
    return made


LARGE = ("densenet", "gpt", "graph_net", "mobilenet", "resnet")
"""Models that take seconds; the others stand for them where time is short."""


def cases(names: Iterable[str]) -> list[Any]:
    """Return names as parameters of a test, the large ones marked as slow."""
    return [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in sorted(names)]
