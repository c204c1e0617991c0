"""Runs a program for its survey: under tracking, on the `meta` device where that will do."""

from __future__ import annotations

import ast
import contextlib
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from symnas._typing import Value
from symnas.errors import BuildError, SymnasError
from symnas.frontend import execution
from symnas.frontend.code_objects import RESERVED
from symnas.frontend.run import UNDECIDED, Run, Visit
from symnas.frontend.sites import Function
from symnas.frontend.source_set import Transform
from symnas.survey.dependence.calls import call as tracked_call
from symnas.survey.dependence.frame import Frame, Pair
from symnas.survey.dependence.heap import is_atom
from symnas.survey.dependence.rewrite import instrument, instrument_function
from symnas.survey.dependence.rewrite_expressions import RUNTIME
from symnas.survey.dependence.tracker import Tracker, chain
from symnas.survey.knowledge import Code, ConditionSeen, Knowledge, PointSeen, RunSeen
from symnas.tree.choices import FloatRange, Point, Tied

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

_REACHING = frozenset({"enter", "dynamic", "call", "missing"})


def reaches(nodes: Iterable[ast.AST]) -> bool:
    """Say whether instrumented code may meet a point: it holds a choice or a call that leads to one."""
    for top in nodes:
        for node in ast.walk(top):
            if isinstance(node, ast.Attribute) and node.attr in _REACHING:
                inner = node.value
                if isinstance(inner, ast.Name) and inner.id == RESERVED:
                    return True
    return False


class SurveyRun(Run):
    """A run whose undecided points are decided by the survey."""

    def __init__(
        self, decide: Callable[[Point], Code], max_turns: int, defaults: Mapping[str, Value]
    ) -> None:
        super().__init__({}, max_turns=max_turns)
        self.choose = decide
        self.defaults = defaults
        self.tracked: Callable[[], Any] | None = None

    def decide(self, visit: Visit) -> Value:
        """Ask the survey; a default that only the code knows is left to the code the first time."""
        if not visit.site.default_known and visit.address not in self.defaults:
            undecided: Value = UNDECIDED
            return undecided
        point = pointed(visit, self.defaults)
        return decoded(point, self.choose(point))

    def called(
        self,
        frame: Any,  # noqa: ARG002
        call: Any,  # noqa: ARG002
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Make the call under tracking where it comes from tracked code."""
        tracked, self.tracked = self.tracked, None
        return function(*args, **kwargs) if tracked is None else tracked()


Pairs = tuple[Pair, ...]


def pointed(visit: Visit, defaults: Mapping[str, Value]) -> Point:
    """Return the tree node of a visit; a default that only the code knows is looked up."""
    return visit.point if visit.site.default_known else visit.point_with(defaults[visit.address])


def decoded(point: Point, code: Code) -> Value:
    """Return the value that a code of the survey stands for."""
    if isinstance(point, FloatRange) and point.step is None:
        return float(code)  # type: ignore[arg-type]
    value: Value
    if point.kind in ("manyof", "permutation"):
        for rank, value in enumerate(point.values()):
            if rank == code:
                return value
    value = point.value(code)
    return value


class ProgramRunner:
    """Runs one program again and again; see `symnas.survey.survey.Runner`."""

    def __init__(self, program: ProgramView, max_turns: int = 10_000) -> None:
        self.program = program
        self.max_turns = max_turns
        self.defaults: dict[str, Value] = {}
        """What the code computed where a default is recognised by value, for every address met."""
        self.tracker = Tracker()
        self.tracker.operations = self._operate
        self.device: str | None = "meta" if "torch" in sys.modules else None
        self._transform: Transform = self._rewrite
        self._marker = program.source_set.references.marker(self.tracker)
        self._first = 0
        self._run: SurveyRun
        self._knowledge: Knowledge
        self._met: list[tuple[Visit, tuple[tuple[Any, Any], ...]]]
        self._kept: dict[tuple[Any, str], int]
        self._named: dict[int, int]

    def settled(self) -> bool:
        """Say whether nothing new was seen about what code changes under which condition."""
        grown, self.tracker.grown = self.tracker.grown, set()
        return not grown

    def run(self, decide: Callable[[Point], Code], knowledge: Knowledge) -> RunSeen:
        """Run the program once, on the CPU if `meta` does not do."""
        chosen: dict[str, Code] = {}

        def decide_once(point: Point) -> Code:
            if point.address not in chosen:
                chosen[point.address] = decide(point)
            return chosen[point.address]

        trace = self._decided(decide_once, knowledge, self.device)
        if trace.error is not None and self.device is not None and not isinstance(trace.error, SymnasError):
            plain = self._decided(decide_once, knowledge, None)
            if plain.error is None or len(plain.points) > len(trace.points):
                return plain
        return trace

    def _decided(self, decide: Callable[[Point], Code], knowledge: Knowledge, device: str | None) -> RunSeen:
        """Run until no default is new; the code that computes one is in no child, and tells no more."""
        while True:
            known = len(self.defaults)
            trace = self._once(decide, knowledge, device)
            if len(self.defaults) == known:
                return trace

    def _once(self, decide: Callable[[Point], Code], knowledge: Knowledge, device: str | None) -> RunSeen:
        tracker, program = self.tracker, self.program
        tracker.begin()
        self._run, self._knowledge = SurveyRun(decide, self.max_turns, self.defaults), knowledge
        self._met, self._kept, self._named = [], {}, {}
        error: Exception | None = None
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, 6000))
        try:
            with (
                _undisturbed(),
                execution.running(program.source_set, self._run, self._transform),
                execution._device(device),
            ):
                tracker.codes.update(binding.function.__code__ for binding in program.source_set.bindings)
                self._call(device)
        except Exception as failure:
            error = failure
        finally:
            sys.setrecursionlimit(limit)
        if isinstance(error, SymnasError):
            raise error
        for visit, _ in self._met:
            if not visit.site.default_known and visit.value is not UNDECIDED:
                self.defaults.setdefault(visit.address, visit.value)
        points = tuple(
            PointSeen(pointed(visit, self.defaults), _code(visit), around, 0)
            for visit, around in self._met
            if visit.value is not UNDECIDED
        )
        return RunSeen({}, points, conditions_seen(tracker), error)

    def _call(self, device: str | None) -> None:
        program, frame = self.program, self.tracker.top
        target = program.target
        if program.source_set.definitions:
            target = execution.fresh_target(program.source_set, self._transform)
            self.tracker.top = frame
        args = tuple((value, 0) for value in program.args)
        keywords = tuple((name, (value, 0)) for name, value in program.kwargs.items())
        result, _ = tracked_call(frame, -1, (target, 0), args, keywords)
        # Without choices in it, a forward pass can add no point; it would only tie conditions
        # to all of the model.
        if program.inputs is not None and program.source_set.when_called and execution.is_module(result):
            frame.site = -2
            self.tracker.top = frame
            execution.call_model(program, self._run, _Tracked(frame, result), device)

    # -- rewriting -----------------------------------------------------------------------------

    def _rewrite(self, record: Function, node: Any) -> Any:
        def describe(place: ast.AST) -> str:
            return linecache.getline(record.file, getattr(place, "lineno", 0)).strip()

        if isinstance(node, ast.Module):
            made, places = instrument(node, reaches, self._first, describe, RESERVED)
        else:
            owner = next((p.name for p in reversed(record.parents) if isinstance(p, ast.ClassDef)), "")
            made, places = instrument_function(  # type: ignore[assignment]
                node, reaches, self._first, describe, RESERVED, owner
            )
        self._first += len(places)
        self.tracker.places.update((place.number, place) for place in places)
        for inner in ast.walk(made):
            for name, value in ast.iter_fields(inner):
                if isinstance(value, ast.Name) and value.id == RUNTIME:
                    setattr(inner, name, ast.copy_location(ast.Constant(self._marker), value))
        return made

    # -- operations of choice points -----------------------------------------------------------

    def _operate(
        self,
        frame: Frame,
        site: int,
        name: str,
        hooks: Any,
        args: tuple[Pair, ...],
        keywords: tuple[Any, ...],
    ) -> Pair:
        special = getattr(self, f"_do_{name}", None)
        if special is not None:
            result: Pair = special(frame, site, hooks, args, keywords)
            return result
        value = getattr(hooks, name)(*(value for value, _ in args), **{k: v for k, (v, _) in keywords})
        if name in ("frame", "known", "start", "again", "made"):
            return value, 0
        labels = 0
        for _, own in args[1:]:
            labels |= own
        return value, labels

    def _bit(self, visit: Visit) -> int:
        address = visit.prototype.target if isinstance(visit.prototype, Tied) else visit.address
        return self.tracker.label(self._knowledge.number(address)) | self._named.get(id(visit), 0)

    def _visited(self, frame: Frame, site: int, visit: Visit) -> int:
        context = self.tracker.context((site, frame.path))
        # Under a loop over a chosen subset, which point is met in a turn depends on the subset.
        named = 0
        for node in context:
            key, outcome = node.key, node.outcome
            if (
                isinstance(key, tuple)
                and key[0] == "turn"
                and isinstance(outcome, tuple)
                and outcome[1] is not None
            ):
                named |= node.labels
        self._named[id(visit)] = named
        around = tuple((node.key, node.outcome) for node in context)
        self._met.append((visit, around))
        return self._bit(visit)

    def _do_enter(self, frame: Frame, site: int, hooks: Any, args: tuple[Pair, ...], _: Any) -> Pair:
        before = len(self._run.trace)
        code = hooks.enter(args[0][0], args[1][0])
        return code, self._visited(frame, site, self._run.trace[before])

    def _do_taken(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        return hooks.taken(args[0][0], args[1][0]), self._bit(args[0][0].open[-1])

    def _do_value(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        return hooks.value(args[0][0], args[1][0]), self._bit(args[0][0].open[-1])

    def _do_each(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        return hooks.each(args[0][0], args[1][0]), self._bit(args[0][0].open[-1])

    def _do_dynamic(self, frame: Frame, site: int, hooks: Any, args: tuple[Any, ...], keywords: Any) -> Pair:
        before = len(self._run.trace)
        pairs = [pair for arg in args for pair in ([arg] if isinstance(arg, tuple) else arg.pairs)]
        labels = 0
        for value, own in [*pairs[1:], *(pair for _, pair in keywords)]:
            labels |= own | self.tracker.heap.deep(value)
        named = {name: value for name, (value, _) in keywords}
        value, extra = frame.natively(lambda: hooks.dynamic(*(value for value, _ in pairs), **named), labels)
        return value, labels | extra | self._visited(frame, site, self._run.trace[before])

    def _do_idle(self, frame: Frame, site: int, hooks: Any, args: Any, keywords: Any) -> Pair:  # noqa: ARG002
        pairs = [pair for arg in args for pair in ([arg] if isinstance(arg, tuple) else arg.pairs)]
        return hooks.idle(*(value for value, _ in pairs), **{k: v for k, (v, _) in keywords}), 0

    def _do_leave(self, frame: Frame, site: int, hooks: Any, args: tuple[Pair, ...], _: Any) -> Pair:
        place, (value, labels) = args[1][0], args[2]
        labels |= self._bit(args[0][0].open[-1])
        source = self.tracker.heap.get(value)
        result = hooks.leave(args[0][0], place, value)
        if result is not value and source is not None and not is_atom(result):
            self.tracker.heap.record(result, frame.key(site)).rest |= source.every()
        if place.role == "turns" and not is_atom(result) and isinstance(result, (range, list)):
            self.tracker.heap.record(result, frame.key(site)).shape |= labels
            return result, 0
        return result, labels

    def _do_count(self, frame: Frame, site: int, hooks: Any, args: tuple[Pair, ...], _: Any) -> Pair:
        value, labels = args[2]
        result = hooks.count(args[0][0], args[1][0], value)
        source = self.tracker.heap.get(value)
        inside = labels | (
            source.rest if source and isinstance(value, range) else self.tracker.heap.deep(value)
        )
        if inside:
            self.tracker.heap.record(result, frame.key(site)).rest |= inside
        return result, self._bit(args[0][0].open[-1])

    def _do_keep(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        function, name, (value, labels) = args[1][0], args[2][0], args[3]
        self._kept[function, name] = labels
        return hooks.keep(args[0][0], function, name, value), labels

    def _do_recall(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        function, name = args[1][0], args[2][0]
        value = hooks.recall(args[0][0], function, name, args[3][0])
        return value, self._kept.get((function, name), 0)

    def _do_look(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        return hooks.look(args[0][0], args[1][0], args[2][0]), args[2][1]

    def _do_turns(self, frame: Frame, site: int, hooks: Any, args: Pairs, _: Any) -> Pair:  # noqa: ARG002
        own, loop, (value, labels) = args[0][0], args[1][0], args[2]
        result = hooks.turns(own, loop, value)
        if result is not value:
            record = self.tracker.heap.record(result)
            record.source = (value,)
            record.outcome = lambda: own.labels.get(loop)
        return result, labels

    def _do_call(self, frame: Frame, site: int, hooks: Any, args: tuple[Any, ...], keywords: Any) -> Pair:
        found: list[Pair] = []

        def tracked() -> Any:
            found.append(tracked_call(frame, site, args[2], args[3:], keywords))
            return found[-1][0]

        self._run.tracked = tracked
        hooks.call(args[0][0], args[1][0], args[2][0])
        return found[-1]


class _Tracked:
    """A built model whose call is tracked; everything else is the model's own."""

    def __init__(self, frame: Frame, model: Any) -> None:
        self._frame, self._model = frame, model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pairs = tuple((value, 0) for value in args)
        named = tuple((name, (value, 0)) for name, value in kwargs.items())
        return tracked_call(self._frame, -2, (self._model, 0), pairs, named)[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def _code(visit: Visit) -> Code:
    point, value = visit.point, visit.value
    if point.kind == "tied":
        return 0
    if isinstance(point, FloatRange) and point.step is None:
        return float(value)  # type: ignore[arg-type]
    return int(point.rank(point.code(value)))


def conditions_seen(tracker: Tracker) -> tuple[ConditionSeen, ...]:
    """Return the conditions that a tracker has met."""
    result = []
    for item in tracker.conditions:
        around = tuple((node.key, node.outcome) for node in chain(item.around) if node.labels)[::-1]
        line = "" if item.place is None else f"line {item.place.line}: {item.place.text}"
        effects = item.place is None or item.place.effects
        result.append(ConditionSeen(item.key, item.labels, item.outcome, around, item.may, effects, line))
    return tuple(result)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave the random generators of Python and torch as they were."""
    import random

    state = random.getstate()
    torch = sys.modules.get("torch")
    kept = None if torch is None else torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state)
        if torch is not None and kept is not None:
            torch.set_rng_state(kept)


def explain(program: ProgramView, values: Mapping[str, Value], error: Exception) -> Exception:
    """Return the error to show for a program that fails under every decision tried."""

    def constructed(run: Run) -> Any:
        with execution.running(program.source_set, run):
            return execution.construct(program)

    try:
        execution.guarded(program, values, constructed, Run(values, strict=False))
    except SymnasError as found:
        return found
    made = BuildError(
        f"calling the built {program.name} on the example inputs failed: {type(error).__name__}: {error}\n"
        f"decision: {dict(values)}"
    )
    made.__cause__ = error
    return made
