"""How labels pass through the operations of choice points (`symnas.frontend.operations.Hooks`).

Instrumented code calls the hooks; rewritten for tracking, it calls them through `Frame.operate`, which ends
here. A visit of a point is where labels come into the world: its value carries the point's own bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from symnas.frontend.run import Run, Visit
from symnas.survey.dependence.access import Items
from symnas.survey.dependence.calls import call as tracked_call
from symnas.survey.dependence.heap import is_atom
from symnas.survey.dependence.state import Activation, Pair, TrackerState
from symnas.survey.knowledge import Conjunction
from symnas.tree.choices import Tied

Given = Sequence[Any]
"""Pairs of the arguments: the frame of the program's run, the site, and what else the operation takes."""
Keywords = Sequence[tuple[str | None, Pair]]
# By what the result of an operation depends on: on nothing (the run's own accounts), or on the point that is
# being visited; all others hand on the labels of their arguments.
_UNLABELLED = frozenset({"frame", "known", "start", "again", "made"})
_OF_THE_POINT = frozenset({"taken", "value", "each"})


# What tells the fields that a constructor stores from those that it only hands on (`InitVar`).
_FIELD = dataclasses._FIELD  # type: ignore[attr-defined]


class _Operation(NamedTuple):
    """One operation, as the frame was asked for it."""

    at: Activation
    site: int
    hooks: Any
    args: Given
    keywords: Keywords


class TrackedHooks:
    """Runs the hooks of one run under tracking.

    Args:
        state: of the tracker.
        run: asks what its points are to be, and remembers its visits.
        number: gives an address its label.

    Attributes:
        met: visits in order, each with the conditions around it.
        calling: the tracked call that `run.called` is to make, where an instrumented call is about to.
    """

    def __init__(self, state: TrackerState, run: Run, number: Callable[[str], int]) -> None:
        self.state = state
        self.run = run
        self.number = number
        self.met: list[tuple[Visit, Conjunction]] = []
        self.calling: Callable[[], Any] | None = None
        self._kept: dict[tuple[Any, str], int] = {}
        self._named: dict[int, int] = {}

    def operate(
        self, at: Activation, site: int, name: str, hooks: Any, args: Given, keywords: Keywords
    ) -> Pair:
        """Run an operation; most hand on the labels of what they are given."""
        special = getattr(self, f"_do_{name}", None)
        if special is not None:
            result: Pair = special(_Operation(at, site, hooks, args, keywords))
            return result
        value = getattr(hooks, name)(*(value for value, _ in args), **_values(keywords))
        if name in _OF_THE_POINT:
            # The innermost visit that is open is that of the operation's choice.
            return value, self._bit(args[0][0].open[-1])
        labels = 0
        for _, own in args[1:] if name not in _UNLABELLED else ():
            labels |= own
        return value, labels

    def _bit(self, visit: Visit) -> int:
        """Return the labels of a point's value; those of a tie are the other point's."""
        address = visit.prototype.target if isinstance(visit.prototype, Tied) else visit.address
        return self.state.label(self.number(address)) | self._named.get(id(visit), 0)

    def _visited(self, at: Activation, site: int, visit: Visit) -> int:
        context = self.state.context((site, at.path))
        # Under a loop over a chosen subset, which point is met in a turn depends on the subset.
        named = 0
        for condition in context:
            if _names_a_candidate(condition.key, condition.outcome):
                named |= condition.labels
        self._named[id(visit)] = named
        self.met.append((visit, tuple((condition.key, condition.outcome) for condition in context)))
        return self._bit(visit)

    def _do_enter(self, op: _Operation) -> Pair:
        before = len(self.run.trace)
        code = op.hooks.enter(op.args[0][0], op.args[1][0])
        visit = self.run.trace[before]
        labels = self._visited(op.at, op.site, visit)
        # Of a selection it only says that the code's own expression is not evaluated, whatever was chosen;
        # the candidates come from `each`.
        return code, 0 if visit.kind in ("manyof", "permutation") else labels

    def _do_dynamic(self, op: _Operation) -> Pair:
        """Visit a choice whose candidates are known only now; they are part of what it depends on."""
        before = len(self.run.trace)
        pairs = _spread(op.args)
        labels = 0
        for value, own in [*pairs[1:], *(pair for _, pair in op.keywords)]:
            labels |= own | self.state.heap.deep(value)
        named = _values(op.keywords)
        value, extra = op.at.natively(lambda: op.hooks.dynamic(*(v for v, _ in pairs), **named), labels)
        return value, labels | extra | self._visited(op.at, op.site, self.run.trace[before])

    def _do_defaulted(self, op: _Operation) -> Pair:
        return op.hooks.defaulted(*(value for value, _ in _spread(op.args)), **_values(op.keywords)), 0

    def _do_leave(self, op: _Operation) -> Pair:
        frame, place, (value, labels) = op.args[0][0], op.args[1][0], op.args[2]
        labels |= self._bit(frame.open[-1])
        # A result that is another object than the value (a list that becomes a tuple or a set) holds what the
        # value held.
        heap = self.state.heap
        source = heap.get(value)
        result = op.hooks.leave(frame, place, value)
        if result is not value and source is not None and not is_atom(result):
            heap.record(result, op.at.key(op.site)).rest |= source.every()
        if place.role == "turns" and not is_atom(result) and isinstance(result, (range, list)):
            # A chosen number of turns decides how many items there are, not what they are.
            heap.record(result, op.at.key(op.site)).shape |= labels
            return result, 0
        return result, labels

    def _do_count(self, op: _Operation) -> Pair:
        """Cut an iterable to the chosen number of turns; its items are what they were."""
        frame, place, (value, labels) = op.args[0][0], op.args[1][0], op.args[2]
        heap = self.state.heap
        result = op.hooks.count(frame, place, value)
        source = heap.get(value)
        # Of a range the items depend on `rest` alone, of anything else on all that is inside.
        inside = labels | (source.rest if source and isinstance(value, range) else heap.deep(value))
        if inside:
            heap.record(result, op.at.key(op.site)).rest |= inside
        return result, self._bit(frame.open[-1])

    def _do_keep(self, op: _Operation) -> Pair:
        """Keep a parameter's default, which is evaluated once, with its labels."""
        frame, function, name, (value, labels) = op.args[0][0], op.args[1][0], op.args[2][0], op.args[3]
        self._kept[function, name] = labels
        return op.hooks.keep(frame, function, name, value), labels

    def _do_recall(self, op: _Operation) -> Pair:
        frame, function, name, missing = (value for value, _ in op.args)
        return op.hooks.recall(frame, function, name, missing), self._kept.get((function, name), 0)

    def _do_fields(self, op: _Operation) -> Pair:
        """Call the constructor that Python generated; each field depends on its parameter."""
        function, original, (owner, _) = op.args[1][0], op.args[2][0], op.args[3]
        heap, total = self.state.heap, 0
        fields = getattr(owner, "__dataclass_fields__", {})
        for name, (value, labels) in op.keywords:
            # A parameter that is no field goes to `__post_init__`, which may do anything with it.
            named = function.name == "__init__" and getattr(fields.get(name), "_field_type", None) is not None
            if named and fields[name]._field_type is _FIELD:
                heap.record(owner, op.at.key(op.site)).attributes[str(name)] = labels
            else:
                total |= labels | heap.deep(value)
        values = _values(op.keywords)
        result, extra = op.at.natively(lambda: original(owner, **values), total)
        inside = owner if result is None else result
        if total | extra and not is_atom(inside):
            heap.record(inside, op.at.key(op.site)).rest |= total | extra
        return result, 0

    def _do_turns(self, op: _Operation) -> Pair:
        """Begin a loop; over a chosen subset, the outcome of a turn is its candidate (see `loops.Loop`)."""
        frame, loop, (value, labels) = op.args[0][0], op.args[1][0], op.args[2]
        result = op.hooks.turns(frame, loop, value)
        if result is not value:
            record = self.state.heap.record(result)
            record.source = (value,)
            record.outcome = lambda: frame.labels.get(loop)
        return result, labels

    def _do_call(self, op: _Operation) -> Pair:
        found: list[Pair] = []

        def tracked() -> Any:
            found.append(tracked_call(op.at, op.site, op.args[2], op.args[3:], op.keywords))
            return found[-1][0]

        # The run does its own book-keeping around the call, and comes back to make it (`SurveyRun.called`).
        self.calling = tracked
        op.hooks.call(op.args[0][0], op.args[1][0], op.args[2][0])
        return found[-1]


def _values(keywords: Keywords) -> dict[str, Any]:
    return {str(name): value for name, (value, _) in keywords}


def _spread(args: Given) -> list[Pair]:
    """Return the arguments with the starred ones among their places."""
    return [pair for arg in args for pair in (arg.pairs if isinstance(arg, Items) else [arg])]


def _names_a_candidate(key: Hashable, outcome: Hashable) -> bool:
    """Whether a condition is a loop's turn for one candidate of a subset; see `loops.Loop._turn`."""
    turn = isinstance(key, tuple) and key[0] == "turn"
    return turn and isinstance(outcome, tuple) and outcome[1] is not None
