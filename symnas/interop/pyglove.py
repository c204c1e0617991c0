"""Spaces and decisions to and from PyGlove's `DNASpec` and `DNA`, and its templates as programs.

A branch becomes the sub-space of every candidate that activates it, so the turns of a loop are repeated per
count. What PyGlove has no words for (guards, ties that others depend on, conditions on two candidates
together) is refused by name. Nothing here is imported until it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pyglove as pg
from pyglove.core import geno

from symnas._typing import Label, Value
from symnas.errors import DecisionError, ProgramError, SpaceError
from symnas.tree.choices import (
    Branch,
    FloatRange,
    IntRange,
    ManyOf,
    OneOf,
    Permutation,
    Point,
    Tied,
    show,
)
from symnas.tree.ranges import LONG, Steps
from symnas.tree.serialization import point_to_json
from symnas.tree.space import Decision, Space

HINT = "symnas.space"
MAX_LABEL = 40
EXACT = 2**53


@dataclass(slots=True)
class _Node:
    """One PyGlove decision point: `count` picks among candidates, each with points below; or a real."""

    point: Point
    count: int = 0
    below: list[list[list[_Node]]] = field(default_factory=list)
    sizes: list[_Node | None] = field(default_factory=list)


# -------------------------------------------------------------------- plan


def _plan(points: Iterable[Point]) -> list[_Node]:
    nodes: list[_Node] = []
    for point in points:
        if point.guards:
            raise SpaceError(
                f"{point.address}: PyGlove has no conditions over several points; hang the point under one "
                "point's values, or restrict the space until the guard is gone"
            )
        if isinstance(point, Tied):
            if point.branches:
                raise SpaceError(
                    f"{point.address}: PyGlove has no ties; hang what depends on the tie under {point.target}"
                )
            continue
        if isinstance(point, Permutation):
            _refuse_only(point)
            nodes.append(_Node(point, len(point.candidates), [[] for _ in point.candidates]))
            nodes += [node for branch in point.branches for node in _plan(branch.points)]
        elif isinstance(point, ManyOf):
            nodes.append(_many(point))
        elif isinstance(point, FloatRange) and not point.finite:
            nodes.append(_Node(point))
        elif isinstance(point, IntRange | FloatRange) and point.codes > LONG:
            _check_long(point)
            nodes.append(_Node(point))
        else:
            below = [
                [_plan(p for b in point.branches if c in b.when for p in b.points)]
                for c in range(point.codes)
            ]
            nodes.append(_Node(point, 1, below))
    return nodes


def _check_long(point: IntRange | FloatRange) -> None:
    """Refuse a long range that cannot be told as one of PyGlove's numbers, between its ends."""
    if point.branches:
        raise SpaceError(
            f"{point.address}: PyGlove lists the values that points hang under, and {point.domain} has "
            f"{point.codes:,}; give it a larger step"
        )
    if isinstance(point, IntRange) and max(abs(point.low), abs(point.high)) > EXACT:
        raise SpaceError(
            f"{point.address}: PyGlove holds long ranges as floats, which are whole numbers up to {EXACT:,}, "
            f"and {point.domain} goes beyond; give it nearer ends, or a larger step"
        )


def _refuse_only(point: ManyOf | Permutation) -> None:
    if point.only:
        raise SpaceError(
            f"{point.address}: PyGlove cannot list the allowed selections one by one; use a one-of over them"
        )


def _many(point: ManyOf) -> _Node:
    _refuse_only(point)
    below: list[list[list[_Node]]] = []
    for code in range(point.codes):
        mine = [branch for branch in point.branches if code in branch.when]
        if point.high > 1 and any(len(branch.when) > 1 for branch in mine):
            raise SpaceError(
                f"{point.address}: PyGlove hangs points under one candidate each, and some here belong to "
                "several; give every candidate its own"
            )
        times = range(point.high if point.repeats and mine else 1)
        layers = [[p for b in mine if b.occurrence == n for p in b.points] for n in times]
        if len({_shape(layer) for layer in layers}) > 1:
            raise SpaceError(
                f"{point.address}: PyGlove gives every repetition of a candidate the same points below; "
                f"those of {show(point.candidates[code])} differ"
            )
        below.append([_plan(layer) for layer in layers])
    if point.low == point.high:
        return _Node(point, point.high, below)
    sizes = [_Node(point, size, below) if size else None for size in range(point.low, point.high + 1)]
    return _Node(point, 0, below, sizes)


def _shape(points: Iterable[Point]) -> str:
    def bare(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: bare(v) for key, v in data.items() if key not in {"address", "origin", "default"}}
        return [bare(item) for item in data] if isinstance(data, list) else data

    return repr([bare(point_to_json(point)) for point in points])


# -------------------------------------------------------------------- to PyGlove


def dna_spec(space: Space) -> geno.Space:
    """Return a space as a PyGlove `DNASpec`; `space_from_spec` reads the very space back.

    Raises:
        SpaceError: the space has something that PyGlove cannot express, named by address.
    """
    named: set[str] = set()
    elements = [_spec(node, named) for node in _plan(space.points)]
    return geno.Space(elements, hints={HINT: space.to_json()})


def _spec(node: _Node, named: set[str]) -> geno.DecisionPoint:
    point = node.point
    # PyGlove wants every name once, and a turn of a loop stands under several candidates.
    name = None if point.address in named else point.address
    named.add(point.address)
    place: dict[str, Any] = {"name": name, "location": pg.KeyPath(point.address)}
    if node.sizes:
        candidates = [geno.Space([_spec(size, named)] if size is not None else []) for size in node.sizes]
        return geno.Choices(1, candidates, **place)
    if isinstance(point, IntRange | FloatRange) and not node.count:
        return geno.Float(float(point.low), float(point.high), "log" if point.log else None, **place)
    labels = point.candidates if isinstance(point, ManyOf | Permutation) else tuple(point.values())
    literals = [label if type(label) in (str, int, float) else repr(label) for label in labels]
    distinct = not (isinstance(point, ManyOf) and point.repeats)
    ordered = not (isinstance(point, ManyOf) and not point.ordered)
    return geno.Choices(
        node.count,
        [geno.Space([_spec(n, named) for n in layers[0]] if layers else []) for layers in node.below],
        literal_values=literals,
        distinct=distinct,
        sorted=not ordered and node.count > 1,
        **place,
    )


def to_dna(decision: Decision, spec: geno.DNASpec | None = None) -> geno.DNA:
    """Return a decision as PyGlove `DNA`.

    Args:
        decision: what to write.
        spec: the spec to bind the DNA to; that of the decision's space if absent.
    """
    dna = geno.DNA(None, _write(_plan(decision.space.points), decision))
    return dna.use_spec(spec if spec is not None else dna_spec(decision.space))


def _write(nodes: Iterable[_Node], decision: Mapping[str, Value]) -> list[geno.DNA]:
    return [_write_node(node, decision) for node in nodes]


def _write_node(node: _Node, decision: Mapping[str, Value]) -> geno.DNA:
    point = node.point
    value = decision[point.address]
    if node.sizes and isinstance(point, ManyOf) and isinstance(value, tuple):
        inner = node.sizes[len(value) - point.low]
        index = len(value) - point.low
        return geno.DNA(index, [_write_node(inner, decision)] if inner is not None else [])
    if not node.count:
        return geno.DNA(float(value))  # type: ignore[arg-type]
    code = point.code(value)
    codes = (code,) if isinstance(code, int) else code
    picks = []
    for position, chosen in enumerate(codes):
        layers = node.below[chosen]
        before = codes[:position].count(chosen)
        below = _write(layers[min(before, len(layers) - 1)], decision) if layers else []
        picks.append(geno.DNA(chosen, [geno.DNA(None, below)] if below else []))
    return picks[0] if len(picks) == 1 else geno.DNA(None, picks)


# -------------------------------------------------------------------- from PyGlove


def from_dna(space: Space, dna: geno.DNA) -> Decision:
    """Return the decision of a space that a PyGlove `DNA` stands for.

    Raises:
        DecisionError: the DNA does not fit the space.
    """
    values: dict[str, Value] = {}
    nodes = _plan(space.points)
    try:
        # PyGlove writes one decision in place of all, and the picks of a lone point in place of the point.
        given = [dna] if len(nodes) == 1 and not _spread(nodes) else list(dna.children)
        _read(nodes, given, values)
    except (IndexError, ValueError, TypeError) as error:
        raise DecisionError(f"the DNA must have the structure of the space, got {dna}: {error}") from None
    return space.decision(values, complete=True)


def _spread(nodes: list[_Node]) -> bool:
    """Tell whether PyGlove writes the picks of a lone point in place of the point."""
    return len(nodes) == 1 and nodes[0].count > 1


def _read(nodes: list[_Node], given: list[geno.DNA], values: dict[str, Value]) -> None:
    if _spread(nodes):
        _read_picks(nodes[0], given, values)
        return
    for node, dna in zip(nodes, given, strict=True):
        if node.sizes:
            inner = node.sizes[dna.value]
            if inner is None:
                values[node.point.address] = ()
            else:
                _read([inner], list(dna.children), values)
        elif not node.count:
            values[node.point.address] = _number(node.point, float(dna.value))
        else:
            _read_picks(node, list(dna.children) if node.count > 1 else [dna], values)


def _number(point: Point, given: float) -> Value:
    """Return the value of a range that is the nearest to a float, which for a real range is that float."""
    assert isinstance(point, IntRange | FloatRange)
    if isinstance(point, FloatRange) and not point.finite:
        return given
    values = point.values()
    step = point.step or 1
    code = values.nearest(given) if isinstance(values, Steps) else round((given - point.low) / step)
    return point.value(min(max(code, 0), point.codes - 1))


def _read_picks(node: _Node, picks: list[geno.DNA], values: dict[str, Value]) -> None:
    codes = [int(pick.value) for pick in picks]
    if len(codes) != node.count:
        raise ValueError(f"{node.point.address} takes {node.count} picks, not {len(codes)}")
    for position, (code, pick) in enumerate(zip(codes, picks, strict=True)):
        layers = node.below[code]
        layer = layers[min(codes[:position].count(code), len(layers) - 1)] if layers else []
        if layer:
            _read(layer, list(pick.children), values)
    many = isinstance(node.point, ManyOf | Permutation)
    values[node.point.address] = node.point.value(tuple(codes) if many else codes[0])


def space_from_spec(spec: geno.DNASpec) -> Space:
    """Return the space of a PyGlove `DNASpec`: a space that wrote it, or the tree it describes.

    Raises:
        SpaceError: the spec has custom decision points or a reversed logarithmic scale.
    """
    hints = getattr(spec, "hints", None)
    if isinstance(hints, Mapping) and HINT in hints:
        return Space.from_json(pg.to_json(hints[HINT]) if isinstance(hints[HINT], pg.Dict) else hints[HINT])
    elements = spec.elements if isinstance(spec, geno.Space) else [spec]
    return Space(_points(elements, "", set()))


def _points(elements: Iterable[geno.DecisionPoint], prefix: str, taken: set[str]) -> tuple[Point, ...]:
    return tuple(_point(element, prefix, taken) for element in elements)


def _point(element: geno.DecisionPoint, prefix: str, taken: set[str]) -> Point:
    address = _address(element, prefix, taken)
    if isinstance(element, geno.Float):
        if element.scale == "rlog":
            raise SpaceError(
                f"{address}: a reversed logarithmic scale is not known here; use 'log' or 'linear'"
            )
        return FloatRange(address, element.min_value, element.max_value, log=element.scale == "log")
    if not isinstance(element, geno.Choices):
        raise SpaceError(f"{address}: only choices and floats can be read, got {type(element).__name__}")
    labels = _labels(element)
    count = element.num_choices
    many = count > 1
    repeats = many and not element.distinct
    branches = []
    for code, (label, candidate) in enumerate(zip(labels, element.candidates, strict=True)):
        if not candidate.elements:
            continue
        for occurrence in range(count if repeats else 1):
            again = f"[{occurrence}]" if occurrence else ""
            below = _points(candidate.elements, f"{address}{again}:{label}", taken)
            branches.append(Branch((code,), below, occurrence))
    if not many:
        return OneOf(address, labels, branches=tuple(branches))
    if element.distinct and not element.sorted and count == len(labels) and not branches:
        return Permutation(address, labels)
    return ManyOf(address, labels, count, count, not element.sorted, repeats, branches=tuple(branches))


def _address(element: geno.DecisionPoint, prefix: str, taken: set[str]) -> str:
    own = element.name or str(element.location) or "choice"
    address = f"{prefix}.{own}" if prefix else own
    numbered, again = address, 2
    while numbered in taken:
        numbered, again = f"{address}_{again}", again + 1
    taken.add(numbered)
    return numbered


def _labels(element: geno.Choices) -> tuple[Label, ...]:
    count = len(element.candidates)
    literals = list(element.literal_values or [])
    if len(literals) != count:
        return tuple(range(count))
    labels: list[Label] = []
    for position, literal in enumerate(literals):
        text = literal.strip("'\"") if isinstance(literal, str) else literal
        labels.append(f"#{position}" if isinstance(text, str) and len(text) > MAX_LABEL else text)
    return tuple(labels) if len({repr(label) for label in labels}) == count else tuple(range(count))


# -------------------------------------------------------------------- templates as programs


@dataclass(frozen=True, slots=True)
class TemplateReference:
    """What another process needs to make a template's program again: the template as PyGlove's JSON text."""

    text: str
    name: str

    def load(self) -> TemplateProgram:
        """Return the program."""
        return TemplateProgram(pg.from_json_str(self.text), name=self.name)


class TemplateProgram:
    """A PyGlove template (`pg.oneof`, `manyof`, `permutate`, `floatv` inside symbolic objects) as a program.

    Args:
        template: the symbolic value with placeholders inside.
        name: what the program is called; the template's class if absent.
    """

    def __init__(self, template: Any, name: str | None = None) -> None:
        self._template = pg.template(template)
        self._value = template
        self._spec = self._template.dna_spec()
        if not self._spec.elements if isinstance(self._spec, geno.Space) else False:
            raise ProgramError(
                "a PyGlove template holds at least one pg.oneof, manyof, permutate or floatv, and "
                f"{pg.format(template, compact=True)} holds none; put one in, or search another target"
            )
        self.name = name or type(template).__name__
        self.space = space_from_spec(self._spec)

    def build(self, decision: Decision | None = None) -> Any:
        """Return the symbolic value with every placeholder replaced, by the defaults without a decision."""
        chosen = decision if decision is not None else self.space.default
        if chosen.space != self.space:
            chosen = self.space.decision(chosen.flat())
        return self._template.decode(to_dna(chosen, self._spec))

    @property
    def reference(self) -> TemplateReference:
        """What another process needs to make the program again.

        Raises:
            ProgramError: the template holds something that PyGlove cannot write as JSON.
        """
        try:
            return TemplateReference(pg.to_json_str(self._value), self.name)
        except Exception as error:
            raise ProgramError(
                f"{self.name}: a template that goes to another process must be writable as JSON by PyGlove, "
                f"and this one is not ({error}); define its classes and functions in modules"
            ) from error

    @property
    def fingerprint(self) -> str:
        """Hash of the template (64 hex digits)."""
        try:
            text = pg.to_json_str(self._value)
        except Exception:
            text = pg.format(self._value, compact=True)
        return sha256(f"{self.space.fingerprint}\n{text}".encode()).hexdigest()


def is_template(target: Any) -> bool:
    """Tell whether a value is symbolic and has placeholders inside."""
    return isinstance(target, pg.Symbolic) and bool(pg.template(target).hyper_primitives)
