"""What instrumented code talks to while a program runs under a decision.

Instrumented code holds one stateless `Hooks` among its constants and asks it for an invocation record
(`Frame`) at the start of every call. Outside a run there is none, and every operation then does what the
plain code does; so another thread that constructs the same class during a run is not affected.

To read in this order: `Run.visit` (a point is met), `Run.address` (what it is called), `Run.call` (how
callees come to their prefix), `Run._decide` and `set_value` (what it is given). An address is put together
from what the text says (`addressing`) and what only a run knows:

    address = prefix of the invocation + name[turn]. of every loop around + path in the text
    prefix  = address of the call, as if it were a point, and a dot

Inside candidate c of a choice it is `address of the choice:c.path`. When a built model is called (`forward`),
the prefix is the module's own path, and loops whose turns depend on data do not count: a point in one must be
`shared`.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from symnas._typing import Label, Value
from symnas.errors import DecisionError, ProgramError, nearest
from symnas.frontend.sites import CallSite, Function, Loop, Site
from symnas.grammar.domains.model import Candidate
from symnas.tree.choices import FloatRange, IntRange, Point, Tied

RUN: ContextVar[Run | None] = ContextVar("symnas_run", default=None)
"""The run that instrumented code belongs to in this thread and context; the only ambient state there is."""

UNDECIDED: Final[Any] = type("Undecided", (), {"__repr__": lambda _: "UNDECIDED"})()
"""What a policy returns to let a point take its default."""

ARGUMENTS: Final = Function("<arguments>", "<arguments>", ast.Module([], []), "<arguments>", 0)
"""Where calls stand that make arguments, which no text does."""

Turn = int | str | float | bool | None


@dataclass(eq=False, slots=True)
class Position:
    """Where a call is being made.

    Args:
        frame: the caller.
        call: the call in its text.
        prefix: what the callee's addresses begin with.
        turns: of the loops around the call.
        visit: the choice of which a candidate makes the call, if any.
        uncounted: a loop around it, up to the model's module, that depends on data.
    """

    frame: Frame
    call: CallSite
    prefix: str
    turns: tuple[int, ...]
    visit: Visit | None = None
    uncounted: Loop | None = None


@dataclass(eq=False, slots=True)
class Frame:
    """One invocation of an instrumented function.

    Args:
        prefix: what the addresses of its points begin with, empty or ending in a dot.
        position: the call that led here, or None for the outermost ones.
        owner: `self`, where there is one.
        forward: whether the built model is being called, so that loops over data do not count.
        uncounted: a loop of a caller's that depends on data.
        turns: the current turn of every counted loop.
        labels: of loops over a chosen subset, the label of the current turn instead.
        open: the visits whose choice is being evaluated, the innermost last.
    """

    run: Run
    function: Function
    prefix: str
    position: Position | None
    owner: object
    forward: bool
    uncounted: Loop | None = None
    turns: dict[Loop, int] = field(default_factory=dict)
    labels: dict[Loop, Label] = field(default_factory=dict)
    open: list[Visit] = field(default_factory=list)
    counts: dict[tuple[Loop, tuple[int, ...]], int] = field(default_factory=dict)
    """How often each loop turned, by the turns around it."""

    def turns_of(self, loops: tuple[Loop, ...]) -> tuple[int, ...]:
        """Return the current turns of the loops, outermost first."""
        return tuple(self.turns.get(loop, 0) for loop in loops)

    def relative(self, loops: tuple[Loop, ...], path: str, shared: bool = False) -> str:
        """Return an address: the prefix, the turns and the path of a place."""
        parts = [self.prefix]
        for loop in loops:
            # A shared point is one for all turns.
            if shared or self.uncountable(loop):
                parts.append(f"{loop.name}.")
            else:
                turn: Turn = self.labels[loop] if loop in self.labels else self.turns.get(loop, 0)
                parts.append(f"{loop.name}[{turn}].")
        parts.append(path)
        return "".join(parts)

    def uncountable(self, loop: Loop) -> bool:
        """Whether the turns of a loop are no part of addresses, since data says how many there are.

        Turns that are chosen, by number or by label, always count.
        """
        return self.forward and loop.of_data and loop.site is None and loop not in self.labels

    def uncounted_around(self, loops: tuple[Loop, ...]) -> Loop | None:
        """Return a loop of data, of those around a place here and around the calls that led here."""
        return next(filter(self.uncountable, loops), self.uncounted)

    def unwind(self, parent: Site | None) -> Visit | None:
        """Forget visits whose candidate raised and was caught, and return the enclosing one."""
        while self.open and self.open[-1].site is not parent:
            self.open.pop()
        return self.open[-1] if self.open else None


@dataclass(eq=False, slots=True)
class Visit:
    """One point met by a run: a site, where it was met, and what it was given.

    Args:
        prototype: the point that it is but for its address, as the site or the arguments of its call say.
        value: label, tuple of labels or number; UNDECIDED until the code itself has computed a default.
        code: position of the value: an index, a tuple of indices, or -1 (ranges, ties, not yet known).
        decided: whether the value came from the decision (or the policy) rather than from the default.
        turns: of the loops around the site.
        parent: the visit whose candidate (`branch`, a text as in addresses) holds the site.
    """

    site: Site
    prototype: Point
    frame: Frame
    address: str
    turns: tuple[int, ...]
    parent: Visit | None
    branch: str = ""
    value: Value = UNDECIDED
    code: int | tuple[int, ...] = -1
    decided: bool = False
    first: bool = True
    parent_branch: str = ""
    """Of the parent's candidates, the one (as spelled in the address) that this visit is inside; the parent's
    own `branch` moves on where several candidates are evaluated."""
    result: object = None
    """What the expression evaluated to; kept only where the run keeps results."""

    @property
    def kind(self) -> str:
        """The kind of the point."""
        return self.prototype.kind

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the candidates; none of a range or a tie."""
        labels: tuple[Label, ...] = getattr(self.prototype, "candidates", ())
        return labels

    @property
    def default(self) -> Value:
        """The default that the text tells; where only the run does, the first value, which means nothing."""
        default: Value = getattr(self.prototype, "default", None)
        return default

    @property
    def point(self) -> Point:
        """The tree's node of this visit, without branches and guards."""
        return self.point_with(None if self.value is UNDECIDED else self.value)

    def point_with(self, computed: Value) -> Point:
        """Return the node; `computed` is its default where the text does not tell one."""
        own: dict[str, Any] = {} if self.site.default_known else {"default": computed}
        return self.prototype.replace(address=self.address, origin=self.site.origin, **own)


class Run:
    """One execution of a program under a mapping of addresses to values.

    Subclasses change what happens at a point by overriding `decide` (called for each address met first that
    the mapping lacks), `left` (sees and may replace what a choice evaluated to) and `turned` (sees the items
    of a loop).

    Args:
        values: address -> label, tuple of labels or number.
        strict: whether a point that the mapping lacks is an error instead of taking its default.
        max_turns: bound on the turns of a loop that holds points; loops without points may turn a hundred
            times as often.

    Attributes:
        trace: every visit, in order.
        visits: the first visit of every address.
        position: the call that is being made.
        forward: whether the built model is being called, whose modules' paths `paths` has by their identity.
        definitions: parameters' defaults that were evaluated, one per definition.
        subsets: what choices of several evaluated to, by identity, with the labels.
        made: functions created during the run, which go on with their plain code.
    """

    def __init__(
        self, values: Mapping[str, Value] | None = None, *, strict: bool = False, max_turns: int = 10_000
    ) -> None:
        self.values: Mapping[str, Value] = {} if values is None else values
        self.strict = strict
        self.max_turns = max_turns
        self.trace: list[Visit] = []
        self.frames: list[Frame] = []
        self.visits: dict[str, Visit] = {}
        self.position: Position | None = None
        self.forward = False
        self.paths: dict[int, str] = {}
        self.definitions: dict[tuple[Function, str], object] = {}
        self.subsets: dict[int, tuple[object, tuple[Label, ...]]] = {}
        self.made: list[tuple[Any, Function]] = []
        self.ending = contextlib.ExitStack()

    # -- hooks ----------------------------------------------------------------------------------

    def decide(self, visit: Visit) -> Value:
        """Return the value of a point that the mapping lacks, or UNDECIDED for its default."""
        if self.strict:
            hint = nearest(visit.address, self.values)
            raise ProgramError(
                f"a run under a complete decision meets only points that it decides; it met "
                f"{visit.address!r} ({visit.site.origin}){hint}"
            )
        undecided: Value = UNDECIDED
        return undecided

    def left(self, visit: Visit, result: object) -> object:  # noqa: ARG002
        """Return what the choice expression evaluates to; the default is `result` itself."""
        return result

    def offers(self, visit: Visit) -> Collection[int] | None:  # noqa: ARG002
        """Return which candidates of a choice are all evaluated; None, the default, for the chosen alone."""
        return None

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        """Return what a choice evaluates to of which several candidates were evaluated, by their codes."""
        raise NotImplementedError(f"{type(self).__name__} offers candidates of {visit.address}: {values}")

    def turned(self, frame: Frame, loop: Loop, iterable: Iterable[Any]) -> Iterable[Any]:  # noqa: ARG002
        """Return what a counted loop goes over; the default is `iterable` itself."""
        return iterable

    def given(self, path: str, part: object) -> None:
        """See a module or tensor that the target is called with, under its path in the arguments."""

    def called(
        self,
        frame: Frame,  # noqa: ARG002
        call: CallSite,  # noqa: ARG002
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Make a call that may reach points; its position is already set."""
        return function(*args, **kwargs)

    @contextlib.contextmanager
    def within(self, path: str, target: Any) -> Iterator[None]:  # noqa: ARG002
        """Let what is called meanwhile make an argument of the target: its points begin with the path."""
        node = ast.Call(ast.Name(path, ast.Load()), [], [])
        call = CallSite(node, 0, ARGUMENTS, path=path)
        before = self.position
        self.position = Position(Frame(self, ARGUMENTS, "", None, None, False), call, f"{path}.", ())
        try:
            yield
        finally:
            self.position = before

    # -- invocations ----------------------------------------------------------------------------

    def frame(self, function: Function, owner: object) -> Frame:
        """Open the record of an invocation."""
        position = self.position
        prefix, uncounted = ("", None) if position is None else (position.prefix, position.uncounted)
        # A module called in `forward` is addressed by its own path, whoever calls it; helper methods that it
        # calls itself keep the prefix of that call.
        if self.forward and owner is not None:
            path = self.paths.get(id(owner))
            if path is not None and (
                function.name == "forward" or position is None or position.frame.owner is not owner
            ):
                prefix, uncounted = f"{path}." if path else "", None
        frame = Frame(self, function, prefix, position, owner, self.forward, uncounted)
        self.frames.append(frame)
        return frame

    def call(
        self, frame: Frame, call: CallSite, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call with the position of `call` as the callee's prefix."""
        visit = frame.unwind(call.parent) if call.parent is not None else None
        if visit is not None:
            # In a candidate only the loops written inside it count; the others are in the choice's address.
            tail = call.path if not call.path or call.path.startswith("[") else f".{call.path}"
            extra = "".join(
                f"{loop.name}[{frame.turns.get(loop, 0)}]." for loop in _inner_loops(call, visit.site)
            )
            prefix = f"{visit.address}:{visit.branch}{tail}.{extra}"
        else:
            prefix = frame.relative(call.loops, call.path) + "."
        before = self.position
        uncounted = frame.uncounted_around(call.loops) if frame.forward else None
        self.position = Position(frame, call, prefix, frame.turns_of(call.loops), visit, uncounted)
        try:
            return self.called(frame, call, function, args, kwargs)
        finally:
            self.position = before

    # -- points ---------------------------------------------------------------------------------

    def visit(self, frame: Frame, site: Site, prototype: Point) -> Visit:
        """Open the record of a point and decide it."""
        parent = frame.unwind(site.parent)
        visit = Visit(
            site, prototype, frame, self.address(frame, site, parent), frame.turns_of(site.loops), parent
        )
        if parent is not None:
            visit.parent_branch = parent.branch
        earlier = self.visits.get(visit.address)
        if earlier is not None:
            self._again(visit, earlier)
        else:
            if site.function is not None and site.function.name == "forward" and not frame.forward:
                raise ProgramError(
                    f"{site.location}\na point in `forward` belongs to the place of its module in the built "
                    "model, and here `forward` runs while the model is still being constructed; build "
                    "first, or move the choice into the constructor"
                )
            if frame.forward and not site.shared:
                _refuse_uncounted(site, frame.uncounted_around(site.loops))
            self.visits[visit.address] = visit
            self._decide(visit)
        self.trace.append(visit)
        frame.open.append(visit)
        return visit

    def address(self, frame: Frame, site: Site, parent: Visit | None) -> str:
        """Return the address of a site met in a frame."""
        # What a candidate holds is addressed below the choice: `head:out.size`.
        if parent is not None:
            extra = "".join(
                f"{loop.name}[{frame.turns.get(loop, 0)}]." for loop in _inner_loops(site, parent.site)
            )
            path = site.path if not extra and site.path.startswith("[") else f".{extra}{site.path}"
            return f"{parent.address}:{parent.branch}{path}"
        if site.definition:
            return site.path if not site.loops else Frame.relative(frame, site.loops, site.path)
        return frame.relative(site.loops, site.path, site.shared)

    def _again(self, visit: Visit, earlier: Visit) -> None:
        """Give a visit what the first one of its address was given, where meeting it again is meant.

        It is where the point is `shared` or one per definition, when a model is called again, where a
        property is read again, and inside a candidate that is evaluated for a point met again itself.

        Raises:
            ProgramError: two places, or two invocations that nothing tells apart, have the same address.
        """
        site = visit.site
        same = earlier.site is site and (
            site.shared
            or site.definition
            or visit.frame.forward
            or (visit.frame.function.is_property and visit.frame.owner is earlier.frame.owner)
            or (visit.parent is not None and not visit.parent.first)
        )
        if not same:
            where = "at two places" if earlier.site is not site else "twice"
            raise ProgramError(
                f"{site.location}\nevery point has an address of its own, and {visit.address!r} was reached "
                f"{where} in one run (before: {earlier.site.origin}); name this point with `as NAME`, or "
                "call what holds it from a loop, a comprehension or an assignment of its own, or write "
                "`shared` if it is one decision"
            )
        visit.first = False
        visit.value, visit.code, visit.decided = earlier.value, earlier.code, earlier.decided

    def _decide(self, visit: Visit) -> None:
        """Give a visit the value of the mapping, else of `decide`, else the text's default.

        Where none of them knows one it stays UNDECIDED, and the code's own expression is evaluated and
        recognised (`Hooks.settle`).
        """
        if isinstance(visit.prototype, Tied):
            visit.value = self._tied(visit, visit.prototype.target)
            return
        value = self.values.get(visit.address, UNDECIDED)
        if value is UNDECIDED:
            value = self.decide(visit)
        # A run that is asked afterwards (`decided`) shall tell what was given from what was a default.
        visit.decided = value is not UNDECIDED
        if value is UNDECIDED and visit.site.default_known:
            value = visit.default
        if value is not UNDECIDED:
            set_value(visit, value)

    def _tied(self, visit: Visit, target: str) -> Value:
        """Return the value of the point that a tie names, sought from the tie's own scope outwards."""
        scope = visit.address
        while True:
            scope = scope.rpartition(".")[0]
            found = self.visits.get(f"{scope}.{target}" if scope else target)
            if found is not None:
                break
            if not scope:
                raise ProgramError(
                    f"{visit.site.location}\na tie follows a point that was met before it, and {target!r} "
                    f"was not{nearest(target, self.visits)}"
                )
        visit.prototype = visit.prototype.replace(target=found.address)
        if not all(map(_literal, found.site.candidates)):
            raise ProgramError(
                f"{visit.site.location}\na tie takes the value of a point whose candidates are literals or "
                f"a range, and {found.address!r} builds things; choose a literal once and build from it at "
                "both places"
            )
        return found.value


def _refuse_uncounted(site: Site, loop: Loop | None) -> None:
    if loop is not None:
        raise ProgramError(
            f"{site.location}\na choice in a loop is one for each turn, and how often the loop at line "
            f"{loop.line} turns depends on what the model is called with; write `shared` behind the domain "
            "if it is one decision for all turns, or loop over a number that the constructor knows"
        )


def _literal(candidate: Candidate) -> bool:
    try:
        return bool(ast.literal_eval(candidate.expr) == candidate.label)
    except ValueError:
        return False


def _inner_loops(place: Site | CallSite, parent: Site) -> tuple[Loop, ...]:
    return place.loops[len(parent.loops) :]


def set_value(visit: Visit, value: Value) -> None:
    """Give a visit its value, after checking it against the domain.

    Raises:
        DecisionError: the value is not one of the point's.
    """
    prototype = visit.prototype
    try:
        if isinstance(prototype, FloatRange) and prototype.step is None:
            visit.value = prototype.real(value)
            return
        code = prototype.code(value)
    except DecisionError:
        raise visit.point_with(visit.default).refuse(value) from None
    visit.value = prototype.value(code)
    if not isinstance(prototype, IntRange | FloatRange):
        visit.code = code
