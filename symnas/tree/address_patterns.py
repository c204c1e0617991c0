"""Choosing addresses by pattern: `*` stands for one segment or a part of one, `**` for any number of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from symnas.tree.serialization import segments


def matching(pattern: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses that a pattern matches, in their order.

    Args:
        pattern: an address in which `*` stands for any text within a segment (`stage[*].k`) and a
            segment `**` for any number of segments, none included (`**.act`, `net.**`).
        addresses: what is searched.
    """
    tests = [None if part == "**" else _test(part) for part in segments(pattern)]
    return tuple(address for address in addresses if _matches(tests, segments(address)))


def _test(part: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece) for piece in part.split("*")), re.DOTALL)


def _matches(tests: list[re.Pattern[str] | None], parts: tuple[str, ...]) -> bool:
    # `reached` holds how many tests may have been used up before each segment.
    reached = _skip(tests, {0})
    for part in parts:
        after = set()
        for done in reached:
            if done < len(tests):
                test = tests[done]
                if test is None:
                    after.add(done)
                elif test.fullmatch(part):
                    after.add(done + 1)
        reached = _skip(tests, after)
    return len(tests) in reached


def _skip(tests: list[re.Pattern[str] | None], reached: set[int]) -> set[int]:
    grown = set(reached)
    for done in sorted(reached):
        while done < len(tests) and tests[done] is None:
            done += 1
            grown.add(done)
    return grown
