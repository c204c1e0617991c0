"""Which choices a program's control flow depends on: labels beside values, and conditions with labels.

`symnas.survey.dependence.rewrite` rewrites code so that it reports to a `Tracker`. A label is a bit; labels
flow from a labelled value to whatever is computed from it, through variables, attributes, items, calls and
closures, and through control
flow: what a branch assigns depends on its condition. Every condition that was met with labels is noted
    together with
the conditions around it, so that a place in the run carries the conditions under which it is reached.

The law: if two runs agree on all labels of the conditions around a place, both reach it or neither does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from symnas.survey.dependence.conditions import Condition, Paths
from symnas.survey.dependence.frame import Frame
from symnas.survey.dependence.heap import Heap
from symnas.survey.dependence.rewrite_expressions import Place

__all__ = ["ConditionRecord", "Tracker"]


@dataclass(frozen=True)
class ConditionRecord:
    """A condition met in a run: which one, what it depends on, its outcome, and what lies around it."""

    key: Hashable
    labels: int
    outcome: Hashable
    around: Condition | None
    place: Place | None
    may: bool


@dataclass(frozen=True)
class Call:
    """Labels handed from a call to the function that it enters."""

    code: object
    positional: tuple[int, ...]
    keywords: dict[str, int]
    function: object
    extra: int
    tag: Hashable = None


@dataclass(eq=False)
class Tracker:
    """Collects labels, conditions and contexts over the runs of one program.

    Args:
        intrinsics: functions that the tracker does not call itself: `handler(frame, place, args,
            keywords)` gets the
            (value, labels) pairs and returns one.
    """

    intrinsics: dict[int, Callable[..., tuple[Any, int]]] = field(default_factory=dict)
    operations: Callable[..., tuple[Any, int]] = field(default=lambda *_: (None, 0))
    """Runs the operations of choice points: `(frame, place, name, hooks, args, keywords)` gives a pair."""
    places: dict[int, Place] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    known_effects: dict[Hashable, set[tuple[Hashable, Any]]] = field(default_factory=dict)
    """For each condition, the fields of objects that code under it was seen to change, in any run."""
    grown: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Start with a fresh run."""
        self.begin()

    def begin(self) -> None:
        """Forget the last run; paths and effects are kept."""
        self.heap = Heap()
        self.conditions: list[ConditionRecord] = []
        self.global_labels: dict[tuple[int, str], int] = {}
        self.modules: dict[int, dict[str, Any]] = {}
        self.defaults: dict[int, tuple[int, ...]] = {}
        self.any_defaults = 0
        self.pending: Call | None = None
        self.returned: tuple[Frame, int] | None = None
        self.collected = 0
        self.native = 0
        self.native_entries = 0
        self.seen = 0
        self.attempts: list[Any] = []
        self.counts: dict[Hashable, int] = {}
        self.alive: list[object] = []
        self.codes: set[object] = set()
        self.made: dict[int, Hashable] = {}
        self.top = Frame(self, self.paths.root, None)

    # -- called by rewritten code --------------------------------------------------------------

    def module(self, namespace: dict[str, Any]) -> Frame:
        """Open the frame of a module's own statements."""
        self.modules[id(namespace)] = namespace
        frame = Frame(self, self.paths.child(self.top.path, "module", namespace.get("__name__")), self.top.pc)
        frame.namespace = namespace
        frame.parent = self.top
        self.top = frame
        return frame

    def enter(self, meta: tuple[Any, ...], values: tuple[Any, ...], extra: Any, keywords: Any) -> Frame:
        """Open the frame of a function; its parameters' labels come from the call, if that was tracked."""
        caller, below = self.top, sys._getframe(1)
        call, self.pending = self.pending, None
        if call is not None and call.code is not below.f_code:
            self.pending, call = None, None
        name, positional, keyword_only, place = meta
        if call is None:
            self.native_entries += 1
            path = self.paths.child(caller.path, caller.site, "native", self.native_entries, name)
        else:
            path = self.paths.child(caller.path, caller.site, name, call.tag)
        frame = Frame(self, path, caller.pc)
        frame.namespace = below.f_globals
        frame.parent = caller
        if call is None:
            if self.native:
                frame.push(("native", path), self.native, name, place, 0)
            frame.base = caller.pc
            labels = self.native | self.any_defaults
            frame.args = [labels] * len(values)
        else:
            frame.args = _bind(call, positional, keyword_only, self.defaults, extra, keywords, self.heap)
        frame.direct = call is not None
        frame.call_made = call
        self.top = frame
        return frame

    def leave(self, frame: Frame, *steps: Any) -> Any:
        """Close the frame of a lambda and return its value."""
        value, labels = steps[-1]
        frame.result |= labels | frame.since_base()
        frame.has_result = True
        frame.exit()
        return value

    # -- contexts ------------------------------------------------------------------------------

    def label(self, number: int) -> int:
        """Return the bit of a label, known to this run from now on."""
        self.heap.everything |= 1 << number
        return 1 << number

    def context(self, place: Hashable = None) -> tuple[Condition, ...]:
        """Return the conditions around the code that runs now, outermost first.

        Inside a `try`, everything computed so far may have raised: that it did not is a condition
        of its own, known
        by the place that was reached.
        """
        nodes = [node for node in chain(self.top.pc) if node.labels][::-1]
        labels = self.seen
        for attempt in reversed(self.attempts):
            if labels:
                key = ("reach", attempt.key, place)
                self.conditions.append(ConditionRecord(key, labels, True, attempt.base, None, True))
                nodes.append(Condition(None, key, labels, True, 0, None))
            labels |= attempt.saved
        return tuple(nodes)

    def note(
        self,
        key: Hashable,
        labels: int,
        outcome: Hashable,
        around: Condition | None,
        number: int | None,
        reaches: bool = True,
    ) -> Hashable:
        """Record a condition; the same key met again in a run is told apart by a count.

        `reaches` is False where it is known that no point depends on this outcome.
        """
        count = self.counts[key] = self.counts.get(key, 0) + 1
        if count > 1:
            key = (key, count)
        place = None if number is None else self.places.get(number)
        may = reaches and (place is None or place.may)
        self.conditions.append(ConditionRecord(key, labels, outcome, around, place, may))
        return key

    def touch(self, record: Any, name: Any, node: Condition | None) -> None:
        """Note that code under these conditions changed a field of an object."""
        while node is not None:
            if node.effects is None:
                node.effects = {}
            node.effects[(id(record), name)] = record
            node = node.parent

    def settle(self, node: Condition, labels: int) -> None:
        """Leave a condition: what was changed under it, in this run or another, depends on it."""
        known = self.known_effects.get(node.effect_key)
        if node.effects:
            for (_, name), record in node.effects.items():
                record.add(name, labels)
                if record.key is not None:
                    if known is None:
                        known = self.known_effects[node.effect_key] = set()
                    if (record.key, name) not in known:
                        known.add((record.key, name))
                        self.grown.add(node.effect_key)
        if known:
            for key, name in known:
                found = self.heap.by_key.get(key)
                if found is not None:
                    found.add(name, labels)


def chain(node: Condition | None) -> Iterator[Condition]:
    """Yield a condition and those around it, innermost first."""
    while node is not None:
        yield node
        node = node.parent


def _bind(
    call: Call, positional: tuple[str, ...], keyword_only: tuple[str, ...],
    defaults: dict[int, tuple[int, ...]],
    extra: Any, keywords: Any, heap: Heap,
) -> list[int]:  # fmt: skip
    """Spread the labels of a call's arguments over the parameters of the function that it entered."""
    given, count = call.positional, len(positional)
    fallback = 0
    for labels in defaults.get(id(call.function), ()):
        fallback |= labels
    result = [
        (given[i] if i < len(given) else call.keywords.get(name, fallback)) | call.extra
        for i, name in enumerate(positional)
    ]
    if extra is not None:
        if extra and any(given[count:]):
            record = heap.record(extra)
            record.items.update(enumerate(given[count:]))
        result.append(call.extra)
    result += [call.keywords.get(name, fallback) | call.extra for name in keyword_only]
    if keywords is not None:
        held = {name: call.keywords.get(name, 0) for name in keywords}
        if any(held.values()):
            heap.record(keywords).items.update(held)
        result.append(call.extra)
    return result
