"""Runs a program for its survey: under tracking, on the `meta` device where that will do."""

from __future__ import annotations

import ast
import contextlib
import gc
import itertools
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
from symnas.survey.dependence.conditions import outwards
from symnas.survey.dependence.effects import RunsByEffect
from symnas.survey.dependence.rewrite import instrument, instrument_function
from symnas.survey.dependence.rewrite_expressions import RUNTIME
from symnas.survey.dependence.state import Activation, Pair, TrackerState
from symnas.survey.dependence.tracker import Tracker
from symnas.survey.knowledge import Code, ConditionSeen, Knowledge, PointSeen, RunSeen, code_of
from symnas.survey.prototypes import Prototypes
from symnas.survey.randomness import undisturbed
from symnas.survey.tracked_hooks import TrackedHooks
from symnas.tree.choices import FloatRange, Point

if TYPE_CHECKING:
    from symnas.frontend.protocols import Internals, ProgramView

# Operations of `frontend.operations.Hooks` that visit a point, or make a call in which one may be visited.
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
        self.hooks: TrackedHooks

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
        tracked, self.hooks.calling = self.hooks.calling, None
        return function(*args, **kwargs) if tracked is None else tracked()


def pointed(visit: Visit, defaults: Mapping[str, Value]) -> Point:
    """Return the tree node of a visit; a default that only the code knows is looked up."""
    return visit.point if visit.site.default_known else visit.point_with(defaults[visit.address])


def decoded(point: Point, code: Code) -> Value:
    """Return the value that a code of the survey stands for."""
    if isinstance(point, FloatRange) and point.step is None:
        return float(code)  # type: ignore[arg-type]
    value: Value = point.value(code)
    return value


class ProgramRunner:
    """Runs one program again and again; see `symnas.survey.survey.Runner`."""

    def __init__(self, program: ProgramView, max_turns: int = 10_000) -> None:
        self.program = program
        self.max_turns = max_turns
        self.defaults: dict[str, Value] = {}
        """What the code computed where a default is recognised by value, for every address met."""
        self.tracker = Tracker()
        self.state = self.tracker.state
        self.device: str | None = "meta" if "torch" in sys.modules else None
        self._prototypes = Prototypes()
        self._effects = RunsByEffect()
        self._transform: Transform = self._rewrite
        self._marker = program.internals.source_set.references.marker(self.tracker)
        # Places are numbered on from module to module.
        self._first = 0
        self.seed: int | None = None
        """Of the random generators when a run begins; None for where they are."""
        self.draws = False
        """Whether a run drew from them."""

    def outdated(self, number: int) -> int:
        """Close run `number`; return which runs did not know what it showed of what code changes."""
        return self._effects.outdated(self.state, number)

    def vary(self, seed: int | None) -> bool:
        """Have runs begin with other random numbers, if they draw any; say whether they do."""
        self.seed = seed if self.draws else None
        return self.draws

    def run(self, decide: Callable[[Point], Code], knowledge: Knowledge) -> RunSeen:
        """Run the program once, on the CPU if `meta` does not do."""
        chosen: dict[str, Code] = {}

        def decide_once(point: Point) -> Code:
            if point.address not in chosen:
                chosen[point.address] = decide(point)
            return chosen[point.address]

        trace = self._decided(decide_once, knowledge, self.device)
        # Some programs look at numbers of tensors, which have none on `meta`. The run that got further
        # counts, and the codes are those of the first.
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
        state, source_set = self.state, self.program.internals.source_set
        state.begin()
        run = SurveyRun(decide, self.max_turns, self.defaults)
        run.hooks = hooks = TrackedHooks(state, run, knowledge.number)
        state.operations = hooks.operate
        error: Exception | None = None
        # A call of the user's takes several Python frames where it is tracked.
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, 6000))
        try:
            with (
                _uncollected(),
                self.program.internals.printed.run(),
                undisturbed(self.seed) as drew,
                execution.running(source_set, run, self._transform),
                execution.placed(device),
                self._prototypes.in_force() if device == "meta" else contextlib.nullcontext(),
            ):
                # Functions that exist before the run; those made in it are added by `Frame.lam`.
                state.codes.update(binding.function.__code__ for binding in source_set.bindings)
                try:
                    self._call(run, device)
                finally:
                    self.draws |= drew()
        except Exception as failure:
            error = failure
        finally:
            sys.setrecursionlimit(limit)
        self._effects.note(state)
        # Mistakes of the program are told at once; what a candidate raises may be its own, and is looked into
        # later.
        if isinstance(error, SymnasError):
            raise error
        for visit, _ in hooks.met:
            if not visit.site.default_known and visit.value is not UNDECIDED:
                self.defaults.setdefault(visit.address, visit.value)
        points = tuple(
            PointSeen(pointed(visit, self.defaults), _code(visit), around)
            for visit, around in hooks.met
            if visit.value is not UNDECIDED
        )
        return RunSeen(points, conditions_seen(state), error)

    def _call(self, run: SurveyRun, device: str | None) -> None:
        program, state, at = self.program, self.state, self.state.top
        target, given = program.target, program.internals
        # Choices of class bodies and of module statements are made while those are executed.
        found = None
        if given.source_set.definitions:
            found = execution.fresh_targets(given.source_set, self._transform)
            target = found(target)
            state.top = at
        labels: dict[int, int] = {}
        places = itertools.count(-3, -1)

        def make(inner: Internals, path: str) -> Any:
            positional, named = execution.given(inner, given.source_set, make, path)
            begun = inner.target if found is None else found(inner.target)
            args, keywords = _paired(positional, named, labels)
            with execution.within(path, inner.target):
                value, own = tracked_call(at, next(places), (begun, 0), args, keywords)
            labels[id(value)] = own
            return value

        args, keywords = _paired(*execution.given(given, given.source_set, make), labels)
        # Negative places are not in the text: the call of the target, of the built model, and below those
        # the calls that make arguments.
        result, _ = tracked_call(at, -1, (target, 0), args, keywords)
        # Without choices in it, a forward pass can add no point; it would only tie conditions to all of the
        # model.
        if program.inputs is not None and given.source_set.when_called and execution.is_module(result):
            at.site = -2
            state.top = at
            execution.call_model(program, run, _Tracked(at, result), device)

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
        self.state.places.update((place.number, place) for place in places)
        # The user's modules have no name `_tk`: in its place stands a constant that becomes the tracker when
        # the code has been compiled.
        for inner in ast.walk(made):
            for name, value in ast.iter_fields(inner):
                if isinstance(value, ast.Name) and value.id == RUNTIME:
                    setattr(inner, name, ast.copy_location(ast.Constant(self._marker), value))
        return made


def _paired(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], labels: Mapping[int, int]
) -> tuple[tuple[Pair, ...], tuple[tuple[str, Pair], ...]]:
    """Return arguments with their labels; those of equal identity have one, which is never too few."""
    args_of = tuple((value, labels.get(id(value), 0)) for value in args)
    return args_of, tuple((name, (value, labels.get(id(value), 0))) for name, value in kwargs.items())


class _Tracked:
    """A built model whose call is tracked; everything else is the model's own."""

    def __init__(self, at: Activation, model: Any) -> None:
        self._at, self._model = at, model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pairs = tuple((value, 0) for value in args)
        named = tuple((name, (value, 0)) for name, value in kwargs.items())
        return tracked_call(self._at, -2, (self._model, 0), pairs, named)[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def _code(visit: Visit) -> Code:
    return 0 if visit.point.kind == "tied" else code_of(visit.point, visit.value)


def conditions_seen(state: TrackerState) -> tuple[ConditionSeen, ...]:
    """Return the conditions that a run has met."""
    result = []
    for item in state.conditions:
        # Markers without labels decide nothing.
        around = tuple((outer.key, outer.outcome) for outer in outwards(item.around) if outer.labels)[::-1]
        line = "" if item.place is None else f"line {item.place.line}: {item.place.text}"
        effects = item.place is None or item.place.effects
        result.append(ConditionSeen(item.key, item.labels, item.outcome, around, item.may, effects, line))
    return tuple(result)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Leave cyclic garbage where it is until a run is over.

    A run makes many objects and keeps nearly all of them until its end; looking through them again and again
    takes about a third of the time of a large one.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def explain(program: ProgramView, values: Mapping[str, Value], error: Exception) -> Exception:
    """Return the error to show for a program that fails whenever these values are chosen.

    Args:
        program: whose code raised.
        values: what was chosen, beginning with the value that failed in every run; empty if all runs did.
        error: what was raised in the survey. It may speak of tensors that are on `meta` for the survey alone,
            so the program is run again as users run it, and what that raises is shown.
    """
    run, source_set = Run(values, strict=False), program.internals.source_set
    doing = f"calling the built {program.name} on the example inputs"

    def when() -> str:
        if not values:
            return "under every decision that was tried"
        address = next(iter(values))
        visit = run.visits.get(address)
        chosen = repr(values[address]) if visit is None else execution.chosen_text(visit)
        return f"whenever {address!r} was {chosen}"

    try:
        with execution.running(source_set, run):
            with execution.explained(program, values, when=when):
                model = execution.call_target(program.internals, source_set)
            if program.inputs is not None and execution.is_module(model):
                with execution.explained(program, values, doing, when):
                    execution.call_model(program, run, model)
    except SymnasError as found:
        return found
    made = BuildError(
        f"running {program.name} failed {when()}: {type(error).__name__}: {error}\ndecision: {dict(values)}"
    )
    made.__cause__ = error
    return made
