"""Published models, annotated as users would, through everything that a program can do.

`make test-published` runs this in an environment of its own; `PART=2/3` takes every third model, and
`MENDED=fine` lets cells work that are known not to.
"""

from __future__ import annotations

import os

import pytest
from specs import MODELS
from trying import complaints, part_of, tried, unknown_entries


def test_what_is_known_is_of_models_that_there_are() -> None:
    assert unknown_entries() == set()


@pytest.mark.parametrize("name", part_of(list(MODELS), os.environ.get("PART", "")))
def test_model(name: str) -> None:
    found = complaints(name, tried(name), mended=os.environ.get("MENDED", "") != "fine")
    assert not found, "\n\n".join(found)
