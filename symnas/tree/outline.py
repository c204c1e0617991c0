"""A space as lines to read: turns and copies that are alike become one line with indices.

For terminals and notebooks too.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from symnas._typing import Value
from symnas.tree.choices import Branch, IntRange, ManyOf, OneOf, Permutation, Point, Tied, show
from symnas.tree.ranges import LONG
from symnas.tree.serialization import deep, join, point_to_json, segments

if TYPE_CHECKING:
    from rich.tree import Tree

LETTERS = "ijklmnuvw"
SHOWN = 12
MOST_LINES = 1000
"""Of an outline in a notebook; a terminal shows all."""
_INDEX = re.compile(r"\[(\d+)\]")
_EXACT = 10**15


@dataclass(slots=True)
class Line:
    """One line: a name, a domain, remarks, and the lines below."""

    name: str
    domain: str
    notes: list[str] = field(default_factory=list)
    below: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class _Sibling:
    """A point among its siblings, with the branch it stands in and its address in segments."""

    point: Point
    branch: Branch | None
    parts: tuple[str, ...]


@deep
def outline(roots: Iterable[Point]) -> list[Line]:
    """Return the lines of a space's roots."""
    return _forest([_Sibling(point, None, segments(point.address)) for point in roots], None, (), {})


def headline(points: int, reals: int, leaves: int) -> str:
    """Return the size of a space in words.

    Args:
        points: how many points it has.
        reals: how many of them are real ranges without a step.
        leaves: how many decisions there are when every real range counts as one value.
    """
    tail = f" x {reals} real" if reals else ""
    return f"{_count(leaves)} decision{'s' * (leaves != 1)}{tail} · {points} point{'s' * (points != 1)}"


def _count(number: int) -> str:
    if number < _EXACT:
        return f"{number:,}"
    exponent = math.floor(math.log10(number))
    return f"{number // 10 ** (exponent - 1) / 10:.1f}e{exponent}"


# -------------------------------------------------------------------- grouping


def _forest(
    places: list[_Sibling], parent: Point | None, shown: tuple[str, ...], names: dict[int, str]
) -> list[Line]:
    """Return the lines of siblings; `names` has the letters of the index positions already abstracted."""
    groups: dict[object, list[_Sibling]] = {}
    for place in places:
        free = _free(place, names)
        groups.setdefault(_shared_form(place, free, parent), []).append(place)
    blocks = [block for members in groups.values() for block in _blocks(members, _free(members[0], names))]
    order = {id(place): position for position, place in enumerate(places)}
    blocks.sort(key=lambda block: order[id(block[0])])
    blanked = [_blanked(block[0], names) for block in blocks]
    alike = Counter(blanked)
    return [
        _line(block, parent, shown, names, told=alike[blank] > 1)
        for block, blank in zip(blocks, blanked, strict=True)
    ]


def _blanked(place: _Sibling, names: dict[int, str]) -> str:
    free = _free(place, names)
    return join("[]" if i in free else part for i, part in enumerate(place.parts))


def _free(place: _Sibling, names: dict[int, str]) -> list[int]:
    return [i for i, part in enumerate(place.parts) if _INDEX.fullmatch(part) and i not in names]


def _shared_form(place: _Sibling, free: list[int], parent: Point | None) -> str:
    """Return what two siblings share when they differ in indices only."""
    cut = free[-1] + 1 if free else 0
    head = place.parts[:cut]
    data = json.dumps(_renamed(point_to_json(place.point), head, free), sort_keys=True)
    if place.branch is None or parent is None:
        return data
    if _turn(place, free, parent):
        return data + "turn"
    when = place.branch.when
    codes = [when.start, when.stop, "run"] if isinstance(when, range) else list(when)
    return data + json.dumps([codes, place.branch.occurrence])


def _turn(place: _Sibling, free: list[int], parent: Point) -> bool:
    """Tell whether the point belongs to one turn of a loop that its parent counts."""
    values = _numbers(parent)
    if values is None or place.branch is None or len(values) > LONG:
        return False
    turns = {int(place.parts[i][1:-1]) for i in free}
    when = set(place.branch.when)
    return any(when == {code for code, value in enumerate(values) if value > turn} for turn in turns)


def _numbers(parent: Point) -> Sequence[int] | None:
    if isinstance(parent, IntRange):
        return parent.values()
    if isinstance(parent, OneOf) and all(type(label) is int for label in parent.candidates):
        return [int(label) for label in parent.candidates if isinstance(label, int)]
    return None


def _renamed(data: Any, head: tuple[str, ...], free: list[int]) -> Any:
    """Replace the indices at `free` by blanks in every address that begins with `head`; drop origins."""
    if isinstance(data, dict):
        return {
            key: _renamed_address(value, head, free)
            if key in {"address", "target"}
            else [_renamed_address(a, head, free) for a in value]
            if key == "addresses"
            else _renamed(value, head, free)
            for key, value in data.items()
            if key != "origin"
        }
    if isinstance(data, list):
        return [_renamed(item, head, free) for item in data]
    return data


def _renamed_address(address: str, head: tuple[str, ...], free: list[int]) -> str:
    parts = list(segments(address))
    if tuple(parts[: len(head)]) == head:
        for i in free:
            parts[i] = "[]"
    return join(parts)


def _blocks(members: list[_Sibling], free: list[int]) -> list[list[_Sibling]]:
    """Split siblings alike into blocks whose indices are all combinations of some runs."""
    if len(members) == 1 or not free:
        return [[member] for member in members]
    indices = [tuple(int(m.parts[i][1:-1]) for i in free) for m in members]
    axes = [sorted(set(axis)) for axis in zip(*indices, strict=True)]
    runs = all(axis[-1] - axis[0] + 1 == len(axis) for axis in axes)
    if runs and sorted(indices) == list(itertools.product(*axes)):
        return [members]
    blocks: list[list[_Sibling]] = []
    split = next(k for k, axis in enumerate(axes) if len(axis) > 1)
    runs_at: dict[int, list[_Sibling]] = {}
    for member, index in zip(members, indices, strict=True):
        runs_at.setdefault(index[split], []).append(member)
    for part in runs_at.values():
        blocks.extend(_blocks(part, [i for k, i in enumerate(free) if k != split]))
    return blocks


# -------------------------------------------------------------------- one line


def _line(
    block: list[_Sibling], parent: Point | None, shown: tuple[str, ...], names: dict[int, str], told: bool
) -> Line:
    """Return the line of points alike; `told` has the range of a turn's index written out."""
    first = block[0]
    letters = dict(names)
    extents = []
    turn = parent is not None and _turn(first, _free(first, names), parent)
    for i in _free(first, names):
        values = sorted({int(m.parts[i][1:-1]) for m in block})
        if len(values) > 1:
            used = len(set(letters.values()))
            letters[i] = LETTERS[used % len(LETTERS)]
            extents.append(f"{letters[i]} = {values[0]}..{values[-1]}")
    parts = tuple(f"[{letters[i]}]" if i in letters else part for i, part in enumerate(first.parts))
    notes = [] if turn and not told else extents
    if first.branch is not None and parent is not None and not turn:
        notes += _condition(first, parent)
    notes += [f"guarded by {', '.join(guard.addresses)}" for guard in first.point.guards]
    line = Line(_short(parts, shown), domain_text(first.point), notes)
    places = [_Sibling(p, b, segments(p.address)) for b in first.point.branches for p in b.points]
    line.below = _forest(places, first.point, parts, letters)
    return line


def _short(parts: tuple[str, ...], above: tuple[str, ...]) -> str:
    """Write an address below another one from that one's last segment on."""
    if len(above) > 1 and parts[: len(above)] == above:
        start = len(above) - 1
        while start > 0 and above[start][:1] in "[:":
            start -= 1
        if start > 0:
            return "…" + join(parts[start:])
    return join(parts)


def _condition(place: _Sibling, parent: Point) -> list[str]:
    """Return in words when a point exists, unless its address says so."""
    branch = place.branch
    if branch is None or isinstance(parent, Permutation | Tied):
        return []
    if len(branch.when) == parent.codes and not isinstance(parent, ManyOf):
        return []
    labels = [_label(parent, code) for code in branch.when[:5]]
    if len(labels) == 1 and f"{parent.address}:{labels[0]}" in place.point.address:
        return []
    if len(labels) == 1 and f"{parent.address}[{labels[0]}]" in place.point.address:
        return []
    texts = labels[:4] + ["…"] * (len(labels) > 4)
    return [f"if {parent.address} is {' or '.join(texts)}"]


def _label(parent: Point, code: int) -> str:
    value = parent.value((code,)) if isinstance(parent, ManyOf) else parent.value(code)
    value = value[0] if isinstance(value, tuple) else value
    return value if isinstance(value, str) else show(value)


def domain_text(point: Point) -> str:
    """Return a domain with its default: a star on the candidate, or in words."""
    if isinstance(point, OneOf):
        return _starred(point.candidates, (point.default,))
    if isinstance(point, ManyOf) and not point.only:
        size = str(point.low) if point.low == point.high else f"{point.low}..{point.high}"
        words = " with repeats" * point.repeats + " ordered" * point.ordered
        if point.ordered or point.repeats:
            return f"{point.domain}, default {show(point.default)}"
        return f"{size} of {_starred(point.candidates, point.default)}{words}"
    if isinstance(point, Tied):
        return point.domain
    return f"{point.domain}, default {show(point.default)}"  # type: ignore[attr-defined]


def _starred(candidates: Sequence[Value], defaults: Sequence[Value]) -> str:
    marked = [repr(value) for value in defaults]
    texts = [show(label) + "*" * (repr(label) in marked) for label in candidates]
    if len(texts) > SHOWN:
        kept = texts[:SHOWN]
        kept += ["…", *(text for text in texts[SHOWN:] if text.endswith("*"))]
        texts = [*kept, "…"] if kept[-1] != "…" else kept
    return "{" + ", ".join(texts) + "}"


# -------------------------------------------------------------------- terminals and notebooks

_STYLE = "font-family:monospace;font-size:90%;line-height:1.5"


def rich_tree(title: str, roots: Iterable[Point]) -> Tree:
    """Return points as a tree for rich, copies that are alike on one line."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(title, style="bold"), guide_style="dim")
    stack = [(tree, outline(roots))]
    while stack:
        node, lines = stack.pop()
        width = max((len(line.name) for line in lines), default=0)
        for line in lines:
            label = Text(line.name.ljust(width + 4))
            label.append(line.domain, style="cyan")
            if line.notes:
                label.append("  " + "; ".join(line.notes), style="dim")
            below = node.add(label)
            stack.append((below, line.below))
    return tree


@deep
def points_html(title: str, roots: Iterable[Point]) -> str:
    """Return points as HTML: nested lists, what has much below it folded; of many lines the first."""
    lines = _first(outline(roots), [MOST_LINES])
    return f'<div style="{_STYLE}"><b>{escape(title)}</b>{_html_lines(lines, 0)}</div>'


def _first(lines: list[Line], budget: list[int]) -> list[Line]:
    """Return the first lines from the top down; where some are left out, a line says how many."""
    kept = lines[: budget[0]]
    budget[0] -= len(kept)
    shown = [Line(line.name, line.domain, line.notes, _first(line.below, budget)) for line in kept]
    left = sum(_lines_of(line) for line in lines[len(kept) :])
    return [*shown, Line(f"… and {left:,} more line{'s' * (left != 1)}", "")] if left else shown


def _lines_of(line: Line) -> int:
    count, pending = 0, [line]
    while pending:
        pending.extend(pending.pop().below)
        count += 1
    return count


def _html_lines(lines: list[Line], depth: int) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{_html_line(line, depth)}</li>" for line in lines)
    return f'<ul style="list-style:none;margin:0;padding-left:1.4em">{items}</ul>'


def _html_line(line: Line, depth: int) -> str:
    text = f'{escape(line.name)} <span style="color:#0a7ea4">{escape(line.domain)}</span>'
    if line.notes:
        text += f' <span style="opacity:.6">{escape("; ".join(line.notes))}</span>'
    if not line.below:
        return text
    opened = " open" if depth < 2 else ""
    return f"<details{opened}><summary>{text}</summary>{_html_lines(line.below, depth + 1)}</details>"


def values_html(values: Mapping[str, Value], default: Mapping[str, Value]) -> str:
    """Return values by address as an HTML table; those that differ from the default are bold."""
    rows = []
    for address, value in values.items():
        text = escape(show(value))
        usual = address in default and repr(default[address]) == repr(value)
        rows.append(f"<tr><td>{escape(address)}</td><td>{text if usual else f'<b>{text}</b>'}</td></tr>")
    return f'<table style="{_STYLE}"><tbody>{"".join(rows)}</tbody></table>'
