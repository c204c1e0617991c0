# ruff: noqa: E501  (program texts in tables)
"""Runs program texts whose choices are calls of `choose`, with the tracker, for tests of the survey by itself.

`choose("name", [candidates])` picks one; its address is the name with the turns that the text gives in brackets.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from symnas.survey.dependence.effects import RunsByEffect
from symnas.survey.dependence.rewrite import instrument
from symnas.survey.dependence.tracker import Tracker
from symnas.survey.knowledge import Code, Knowledge, PointSeen, RunSeen
from symnas.survey.runner import conditions_seen
from symnas.survey.survey import Survey
from symnas.tree.choices import FloatRange, OneOf, Point
from symnas.tree.space import Space


def choose(name: str, candidates: Any) -> Any:
    raise AssertionError("replaced in every run")


def reaches(nodes: Any) -> bool:
    return any(isinstance(inner, ast.Call) for top in nodes for inner in ast.walk(top))


def point_of(name: str, candidates: Any) -> Point:
    if isinstance(candidates, tuple):
        return FloatRange(name, *candidates)
    return OneOf(name, tuple(c if isinstance(c, (int, str, float, bool, type(None))) else str(i) for i, c in
                             enumerate(candidates)))  # fmt: skip


def plain_run(code: Any, pick: Callable[[Point], Code]) -> dict[str, Code]:
    """Run without tracking; return what was met."""
    met: dict[str, Code] = {}

    def chosen(name: str, candidates: Any) -> Any:
        if name not in met:
            met[name] = pick(point_of(name, candidates))
        return candidates[met[name]] if isinstance(candidates, list) else met[name]

    exec(code, {"choose": chosen, "__name__": "planted"})
    return met


class PlantedRunner:
    def __init__(self, text: str, may_reach: Callable[[Any], bool] = reaches) -> None:
        tree, places = instrument(ast.parse(text), may_reach)
        self.code = compile(tree, "<planted>", "exec")
        self.plain = compile(text, "<planted>", "exec")
        self.tracker = Tracker()
        self.tracker.state.places = {place.number: place for place in places}
        self.effects = RunsByEffect()
        self.runs = 0

    def outdated(self, number: int) -> int:
        return self.effects.outdated(self.tracker.state, number)

    def run(self, decide: Callable[[Point], Code], knowledge: Knowledge) -> RunSeen:
        state, met = self.tracker.state, {}
        state.begin()
        self.runs += 1
        points: list[PointSeen] = []

        def handler(at: Any, site: int, function: Any, pairs: Any, named: Any) -> Any:
            (name, extra), (candidates, inside) = pairs
            labels = extra | inside | state.heap.deep(candidates)
            saved = at.pc
            if extra:
                at.push(("name", site, at.path), extra, name, site, 0)
            if name not in met:
                met[name] = decide(point_of(name, candidates))
            around = tuple((c.key, c.outcome) for c in state.context((site, at.path)))
            points.append(PointSeen(point_of(name, candidates), met[name], around))
            at.drop(saved, 0)
            bit = state.label(knowledge.number(name))
            value = candidates[met[name]] if isinstance(candidates, list) else met[name]
            return value, labels | bit

        state.intrinsics = {id(choose): handler}
        error = None
        try:
            exec(self.code, {"_tk": self.tracker, "choose": choose, "__name__": "planted"})
        except Exception as failure:
            error = failure
        self.effects.note(state)
        return RunSeen(tuple(points), conditions_seen(state), error)


def brute_force(code: Any) -> set[frozenset[tuple[str, Code]]]:
    """Try every choice by running again and again."""
    found: set[frozenset[tuple[str, Code]]] = set()
    pending: list[dict[str, Code]] = [{}]
    while pending:
        prefix = pending.pop()
        sizes: dict[str, int] = {}

        def pick(point: Point, prefix: Mapping[str, Code] = prefix, sizes: dict[str, int] = sizes) -> Code:
            sizes[point.address] = int(point.cardinality)
            return prefix.get(point.address, 0)

        met = plain_run(code, pick)
        fresh = [name for name in met if name not in prefix]
        found.add(frozenset(met.items()))
        for position, name in enumerate(fresh):
            for value in range(1, sizes[name]):
                pending.append({**prefix, **dict.fromkeys(fresh[:position], 0), name: value})
    return found


def surveyed(text: str, **options: Any) -> set[frozenset[tuple[str, Code]]]:
    """Return the decisions of the tree that a survey makes of a program."""
    return decisions(Survey(PlantedRunner(text), **options).space())


def really(text: str) -> set[frozenset[tuple[str, Code]]]:
    """Return the decisions of a program, found by running it under all of them."""
    return brute_force(compile(text, "<planted>", "exec"))


@contextmanager
def counting_runs() -> Iterator[None]:
    """Let programs ask how often they have run: `choose.__defaults__[0]()`."""
    ticks = itertools.count()
    choose.__defaults__ = (lambda: next(ticks),)
    try:
        yield
    finally:
        choose.__defaults__ = None


def decisions(space: Space) -> set[frozenset[Any]]:
    """Return the decisions of a space as `brute_force` does."""
    return {frozenset((a, space[a].rank(space[a].code(v))) for a, v in d.items()) for d in space.enumerate()}
