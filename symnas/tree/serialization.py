"""Plain data and back: addresses by segments and patterns, decisions nested by these, spaces as trees."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar

from symnas._typing import Value
from symnas.errors import DecisionError, SpaceError
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, OneOf, Permutation, Point, Tied
from symnas.tree.requirements.requirement import Requirement

OWN = "="

KINDS: dict[str, type[Point]] = {
    kind.kind: kind for kind in (OneOf, ManyOf, Permutation, IntRange, FloatRange, Tied)
}

_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def segments(address: str) -> tuple[str, ...]:
    """Cut an address into segments, of which those that start with `[` or `:` follow without a dot.

    Dots, colons and brackets inside brackets or quotes belong to a label. An address that would not join
    back to itself stays whole.
    """
    # A scanner with a stack: `closing` has the brackets that are open, innermost last, `quote` the quote if
    # any.
    parts, start, closing, quote = [], 0, "", ""
    for position, char in enumerate(address):
        if quote:
            quote = "" if char == quote else quote
        elif closing:
            if char in _BRACKETS:
                closing += _BRACKETS[char]
            elif char == closing[-1]:
                closing = closing[:-1]
            elif char in "'\"":
                quote = char
        elif char in "'\"":
            quote = char
        elif char in ".:[" and position > start:
            parts.append(address[start:position])
            start = position + (char == ".")
        if not quote and not closing and char in _BRACKETS:
            closing = _BRACKETS[char]
    parts.append(address[start:])
    return tuple(parts) if join(parts) == address and all(parts) and OWN not in parts else (address,)


def join(parts: Iterable[str]) -> str:
    """Write segments as an address."""
    text = ""
    for part in parts:
        text += part if not text or part[:1] in "[:" else "." + part
    return text


def plain(value: Value) -> Any:
    """Return a value as JSON writes it: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


def nest(values: Mapping[str, Value]) -> dict[str, Any]:
    """Nest a mapping by segments; a value that has others below it stands under `=`."""
    nested: dict[str, Any] = {}
    for address, value in values.items():
        place = nested
        *above, last = segments(address)
        for part in above:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                # A value was there already, so it moves under `=`.
                inner = place[part] = {OWN: inner}
            place = inner
        if isinstance(place.get(last), dict):
            place[last][OWN] = plain(value)
        else:
            place[last] = plain(value)
    return nested


def flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return address to value for nested or flat plain data; lists become tuples."""
    if not isinstance(data, Mapping):
        raise DecisionError(f"a decision is read from a mapping of addresses to values, got {data!r}")
    flat: dict[str, Any] = {}
    stack: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            # Reversed, so that a stack gives them in their order.
            items = [((*path, str(key)) if key != OWN else path, item) for key, item in value.items()]
            stack.extend(reversed(items))
        else:
            address = join(path)
            if address in flat:
                raise DecisionError(f"{address}: the address is given twice, nested and flat; keep one")
            flat[address] = tuple(value) if isinstance(value, list) else value
    return flat


# -------------------------------------------------------------------- spaces

P = ParamSpec("P")
R = TypeVar("R")


def deep(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function go as deep as points are nested, some frames for each: that is no endless recursion."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, 40_000))
        try:
            return function(*args, **kwargs)
        finally:
            sys.setrecursionlimit(limit)

    return called


def point_to_json(point: Point) -> dict[str, Any]:
    """Return a point and everything below it as plain data, leaving out what is at its ordinary value."""
    data: dict[str, Any] = {"kind": point.kind}
    for item in dataclasses.fields(point):
        value = getattr(point, item.name)
        ordinary = item.default is not dataclasses.MISSING and type(value) is type(item.default)
        if item.name in {"branches", "guards"} or (ordinary and value == item.default):
            continue
        data[item.name] = [plain(v) for v in value] if item.name == "only" else plain(value)
    if point.guards:
        data["guards"] = [
            {"addresses": list(guard.addresses), "allowed": sorted(map(list, guard.allowed))}
            for guard in point.guards
        ]
    if point.branches:
        data["branches"] = [_branch_to_json(branch) for branch in point.branches]
    return data


def _branch_to_json(branch: Branch) -> dict[str, Any]:
    when = branch.when
    data: dict[str, Any] = {
        "when": {"from": when.start, "to": when.stop - 1} if isinstance(when, range) else list(when),
        "points": [point_to_json(point) for point in branch.points],
    }
    if branch.occurrence:
        data["occurrence"] = branch.occurrence
    return data


def point_from_json(data: Mapping[str, Any]) -> Point:
    """Return the point that `point_to_json` wrote."""
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise SpaceError(f"a point's kind is one of {sorted(KINDS)}, got {kind!r}")
    for name in ("candidates", "weights"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    if isinstance(fields.get("default"), list):
        fields["default"] = tuple(fields["default"])
    if "only" in fields:
        fields["only"] = tuple(map(tuple, fields["only"]))
    fields["guards"] = tuple(
        Guard(tuple(g["addresses"]), frozenset(map(tuple, g["allowed"]))) for g in fields.get("guards", ())
    )
    fields["branches"] = tuple(_branch_from_json(branch) for branch in fields.get("branches", ()))
    try:
        return KINDS[kind](**fields)
    except TypeError as error:
        raise SpaceError(f"a point of kind {kind!r} is written with its own fields only: {error}") from None


def _branch_from_json(data: Mapping[str, Any]) -> Branch:
    when = data["when"]
    codes = range(when["from"], when["to"] + 1) if isinstance(when, Mapping) else tuple(when)
    return Branch(codes, tuple(map(point_from_json, data["points"])), data.get("occurrence", 0))


@deep
def fingerprint(
    points: tuple[Point, ...], requires: tuple[str, ...], requirements: Sequence[Requirement] | None = None
) -> str:
    """Return a hash of the structure (64 hex digits), the same in every process; origins do not count."""
    data: dict[str, Any] = {
        "points": [point_to_json(point) for point in points],
        "requires": list(requires),
    }
    if requirements is not None:
        data["requirements"] = [requirement.to_json() for requirement in requirements]
    # Where a program stands on disk is no part of its space.
    stack: list[Any] = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            item.pop("origin", None)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def matching(pattern: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses that a pattern matches, in their order.

    Args:
        pattern: an address in which `*` stands for any text within a segment (`stage[*].k`) and a
            segment `**` for any number of segments, none included (`**.act`, `net.**`).
        addresses: what is searched.
    """
    tests = [None if part == "**" else _segment_test(part) for part in segments(pattern)]
    return tuple(address for address in addresses if _matches(tests, segments(address)))


def _segment_test(part: str) -> re.Pattern[str]:
    # `*` stays within its segment, since each is matched by itself.
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
    # `**` may stand for no segment at all, so it may be skipped.
    for done in sorted(reached):
        while done < len(tests) and tests[done] is None:
            done += 1
            grown.add(done)
    return grown
