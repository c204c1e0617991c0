"""Large spaces in notebooks, and deep ones wherever a space is written down."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from symnas import Space
from symnas.tree.choices import Branch, IntRange, OneOf, Point
from symnas.tree.outline import MOST_LINES


def chain(length: int) -> tuple[Point, ...]:
    """Return points of which each exists under the one before."""
    below: tuple[Point, ...] = ()
    for number in reversed(range(length)):
        branches = (Branch((1,), below),) if below else ()
        below = (OneOf(f"a{number}", (1, 2), 1, branches=branches),)
    return below


LARGE: dict[str, Callable[[], tuple[Point, ...]]] = {
    "flat": lambda: tuple(OneOf(f"a{i}", (1, 2, 3), 1) for i in range(10_000)),
    "many candidates": lambda: tuple(OneOf(f"a{i}", tuple(range(20)), 1) for i in range(3_000)),
    "ranges": lambda: tuple(IntRange(f"x{i}", 0, 10 + i) for i in range(5_000)),
    "two levels": lambda: tuple(
        OneOf(f"a{i}", (1, 2), 1, branches=(Branch((1,), tuple(
            OneOf(f"a{i}.b{j}", (1, 2), 1) for j in range(40))),))
        for i in range(100)
    ),
    "indices that are not alike": lambda: tuple(
        OneOf(f"s[{i}].b[{j}].k{i * j}", (1, 2, 3), 1) for i in range(60) for j in range(60)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LARGE)
def test_html_shows_the_first_lines_and_says_how_many_are_left_out(kind: str) -> None:
    space = Space(LARGE[kind]())
    _ = space._headline
    html = space._repr_html_()
    shown = html.count("<li>") - 1
    left = re.search(r"… and ([\d,]+) more lines", html)
    assert shown >= MOST_LINES
    assert left is not None
    assert sum(int(found.replace(",", "")) for found in re.findall(r"and ([\d,]+) more", html)) > 0
    if kind == "flat":
        assert (shown, left[1]) == (MOST_LINES, "9,000")


def test_small_spaces_are_whole() -> None:
    html = Space(tuple(OneOf(f"a{i}", (1, 2, 3), 1) for i in range(MOST_LINES)))._repr_html_()
    assert "more line" not in html
    assert f"a{MOST_LINES - 1}" in html


def test_alike_points_stay_one_line() -> None:
    html = Space(tuple(OneOf(f"a[{i}].k", (1, 2, 3), 1) for i in range(10_000)))._repr_html_()
    assert "i = 0..9999" in html


def test_hundreds_of_nested_points_are_written_and_read() -> None:
    space = Space(chain(400))
    assert Space.from_json(space.to_json()).fingerprint == space.fingerprint
    assert "a259" in Space(chain(260))._repr_html_()
    assert len(space) == 400
