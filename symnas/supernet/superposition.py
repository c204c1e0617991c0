"""One construction of a program in which choices among modules stay open.

A child holds the chosen candidate where its constructor evaluated a choice. Here every candidate is evaluated
there, each under its own branch, so that the points inside it have their addresses and its weights the keys
that they have in children (`symnas.supernet.parameter_keys`). A `MixedModule`, one module that holds them
all, takes the place of the value; the rest is the user's own code, run as it stands. So a decision among
modules is a switch and no rebuild, and what is mixed in a relaxed network is what children are made of.

Only choices whose candidates are all modules are opened, or all classes and functions that are then called
to make modules (`norm = nn.BatchNorm2d  # search: {…}`); and only where the constructor makes them. Which
those are is found by evaluating them, once, without computing: a choice among anything else (a width, a name
that is compared later, a choice in `forward`) is closed, and takes the value that it is given.

Law: with every `MixedModule` switched to what a decision says, and every closed point given what it says, the
model computes what the child computes, in all programs that call the modules they choose among. A program
that looks at them instead (`isinstance(self.op, nn.Identity)`) breaks it; who relies on the law compares
outputs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from symnas._typing import Label, Value
from symnas.errors import BuildError
from symnas.frontend import execution
from symnas.frontend.evaluate_all import all_evaluated
from symnas.frontend.instrumentation import FRAME
from symnas.frontend.run import Frame, Visit, set_value
from symnas.frontend.sites import CallSite, Site
from symnas.supernet.parameter_keys import KeyedModule, KeyingRun, keyed_module_of
from symnas.tree.choices import ManyOf

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

Rule = Callable[["MixedModule", tuple[Any, ...], dict[str, Any]], Any]
"""What a choice computes; given the choice and the arguments that its candidate would be called with."""


class MixedModule(nn.Module):
    """All candidates of a choice among modules; calls the active one, or does what `rule` says.

    Args:
        address: of the point; several choices have one address where one decision is used at several places.
        labels: of the candidates.
        candidates: the modules.
        origin: `file:line` of the annotation.
        active: which candidate is called.
    """

    def __init__(
        self,
        address: str,
        labels: tuple[Label, ...],
        candidates: Collection[nn.Module],
        origin: str,
        active: int = 0,
    ) -> None:
        super().__init__()
        self.address, self.labels, self.origin = address, labels, origin
        self.candidates = nn.ModuleList(candidates)
        self.active = active
        self.rule: Rule | None = None
        self.tails: list[nn.Module | None] = [None] * len(self.candidates)
        """The layers that a rule may leave multiplying to, one for each candidate."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the active candidate."""
        if self.rule is not None:
            return self.rule(self, args, kwargs)
        return self.candidates._modules[str(self.active)](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return a number or text that all candidates have alike, as code around them may ask for one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            modules = self.__dict__.get("_modules", {})
            found = [getattr(each, name, None) for each in modules.get("candidates", ())]
            if (
                not found
                or not isinstance(found[0], (bool, int, float, str))
                or found.count(found[0]) < len(found)
            ):
                raise
            return found[0]

    def extra_repr(self) -> str:
        """Name the point."""
        return f"{self.address}: {', '.join(map(str, self.labels))}"


class Maker:
    """Stands for a choice among classes or functions while a program constructs what they make."""

    def __init__(self, run: SuperposedRun, visit: Visit, candidates: Mapping[int, Any]) -> None:
        self.run, self.visit, self.candidates = run, visit, candidates
        self.called = False

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Call all candidates, from code that is not instrumented."""
        return self.run.make(self, lambda candidate: candidate(*args, **kwargs))

    def __getattr__(self, name: str) -> object:
        """Return what the candidates say alike under a name."""
        return self.run.asked(self, name)


@dataclass(frozen=True)
class Superposition(KeyedModule):
    """A model with its choices among modules open, and the keys of its tensors.

    Args:
        choices: by address, in the order of construction.
        subsets: all candidates of each open choice of several modules, by address; a tuple for each place.
        closed: the values that the other points took, by address.
        sites: what is known about every point met, by address.
        places: the modules of the model by the place of their construction, spelled as keys are.
        under: of every point below an open choice, the nearest such choice and the code of its candidate.
    """

    choices: Mapping[str, tuple[MixedModule, ...]]
    subsets: Mapping[str, tuple[tuple[nn.Module, ...], ...]]
    closed: Mapping[str, Value]
    sites: Mapping[str, Site]
    places: Mapping[str, nn.Module]
    under: Mapping[str, tuple[str, int]]

    def switch(self, decision: Mapping[str, Value]) -> None:
        """Make the candidates active that a decision says; of what it does not name, nothing is called."""
        for address, choices in self.choices.items():
            if address in decision:
                for choice in choices:
                    choice.active = choice.labels.index(decision[address])


def superposed(
    program: ProgramView,
    values: Mapping[str, Value] | None = None,
    *,
    device: str | None = None,
    only: Collection[str] | None = None,
) -> Superposition:
    """Construct a program's model with its choices among modules open.

    Choices of several modules are opened where they are named in `only`: all candidates are then there.

    Args:
        program: whose target makes a module.
        values: of points that are closed, by address; others take their defaults.
        device: where tensors are made; `meta` computes nothing, None is wherever the code makes them.
        only: addresses to open; all that can be for None.

    Raises:
        BuildError: the user's code raised; or parameters were made outside the run.
    """
    values = {} if values is None else values
    return _construct(program, values, device, openable(program, values) if only is None else frozenset(only))


def openable(
    program: ProgramView, values: Mapping[str, Value] | None = None, *, subsets: bool = False
) -> frozenset[str]:
    """Return the addresses of the choices whose candidates are all modules, found without computing.

    Args:
        program: whose target makes a module.
        values: of points that are closed; what they are tells which other points there are.
        subsets: whether to look at choices of several modules (`2 of {…}`) too.
    """
    given = {} if values is None else values
    closed: set[str] = set()
    while True:
        probe = _Probe(given, closed, subsets)
        try:
            _run(program, probe, "meta")
        except Exception as error:
            # A candidate that cannot be made here (a width that does not fit, say) closes its choice.
            visit = next((found for found in probe.evaluating(error) if found.address not in closed), None)
            if visit is None:
                return _openable_for_real(program, given, subsets)
            closed.add(visit.address)
            continue
        if probe.unfit <= closed:
            return frozenset(probe.met - closed)
        closed |= probe.unfit


def _openable_for_real(program: ProgramView, values: Mapping[str, Value], subsets: bool) -> frozenset[str]:
    """Return the same of code that needs real tensors; its candidates are taken to be as they seem."""
    probe = _Probe(values, set(), subsets)
    with torch.random.fork_rng(devices=[]):
        execution.guarded(program, values, lambda run: _run(program, run, None), probe)
    return frozenset(probe.met - probe.unfit)


def _construct(
    program: ProgramView, values: Mapping[str, Value], device: str | None, opened: Collection[str]
) -> Superposition:
    def build(run: SuperposedRun) -> Superposition:
        made = keyed_module_of(program, run, _run(program, run, device))
        choices = {address: tuple(each) for address, each in run.choices.items()}
        met = {a: visit.value for a, visit in run.visits.items() if a not in opened}
        subsets = {address: tuple(each) for address, each in run.subsets_met.items()}
        sites = {address: visit.site for address, visit in run.visits.items()}
        return Superposition(
            made.child,
            made.parameters,
            made.buffers,
            choices,
            subsets,
            met,
            sites,
            run.modules_of(made.child),
            run.under,
        )

    return execution.guarded(program, values, build, SuperposedRun(values, opened))


def _run(program: ProgramView, run: SuperposedRun, device: str | None) -> Any:
    source_set = program.internals.whole_source_set
    place = nullcontext() if device is None else torch.device(device)
    with execution.running(source_set, run, all_evaluated), place:
        target = (
            execution.fresh_target(source_set, all_evaluated) if source_set.definitions else program.target
        )
        return target(*program.internals.args, **program.internals.kwargs)


class SuperposedRun(KeyingRun):
    """A run that evaluates all candidates of some choices.

    Args:
        values: of the others, by address; defaults where absent.
        opened: addresses of those.
    """

    def __init__(self, values: Mapping[str, Value], opened: Collection[str]) -> None:
        super().__init__(values, strict=False)
        self.opened = opened
        self.choices: dict[str, list[MixedModule]] = {}
        self.subsets_met: dict[str, list[tuple[nn.Module, ...]]] = {}
        self.under: dict[str, tuple[str, int]] = {}
        self.makers: list[Maker] = []
        self._modules: dict[int, tuple[str, nn.Module]] = {}
        self._making: list[tuple[str, int, int]] = []

    def opens(self, visit: Visit) -> bool:
        """Whether all candidates of a choice are evaluated."""
        return visit.address in self.opened

    def offers(self, visit: Visit) -> Collection[int] | None:
        """Return all codes of a choice that is open."""
        opened = visit.kind == "oneof" and self.opens(visit)
        return range(len(visit.labels)) if opened else None

    def _decide(self, visit: Visit) -> None:
        """Give an open choice some value, which nothing looks at; and one of several all its candidates."""
        above = self._above(visit)
        if above is not None:
            self.under[visit.address] = above
        if not self.opens(visit):
            super()._decide(visit)
        elif visit.kind == "manyof":
            visit.value, visit.code = visit.labels, tuple(range(len(visit.labels)))
        else:
            visit.value, visit.code = visit.labels[0], 0

    def left(self, visit: Visit, result: object) -> object:
        """Note the candidates of a choice of several."""
        if visit.kind == "manyof" and self.opens(visit):
            pairs = enumerate(result)  # type: ignore[arg-type,var-annotated]
            modules = tuple(_module(visit, code, value) for code, value in pairs)
            self.subsets_met.setdefault(visit.address, []).append(modules)
        return result

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        """Return a module that holds all candidates, or what will make one of what they make."""
        if _makers(values.values()):
            self.makers.append(Maker(self, visit, values))
            return self.makers[-1]
        return self.choice(visit, values)

    def call(
        self, frame: Frame, call: CallSite, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Make a call, of every candidate where it is a choice that is called."""
        if not isinstance(function, Maker):
            return super().call(frame, call, function, args, kwargs)
        above = super().call
        return self.make(function, lambda candidate: above(frame, call, candidate, args, kwargs))

    def modules_of(self, model: nn.Module) -> dict[str, nn.Module]:
        """Return a model's modules by the place of their construction."""
        kept = {id(module) for module in model.modules()}
        return {place: module for place, module in self._modules.values() if id(module) in kept}

    def _note(self, place: str, result: object) -> None:
        super()._note(place, result)
        if isinstance(result, nn.Module):
            for name, module in result.named_modules():
                self._modules.setdefault(id(module), (f"{place}.{name}" if name else place, module))

    def make(self, maker: Maker, called: Callable[[Any], object]) -> object:
        """Return what the candidates of a choice make, each called with the same arguments."""
        maker.called = True
        made = {}
        for code, candidate in maker.candidates.items():
            self._making.append((maker.visit.address, code, len(self.trace)))
            try:
                made[code] = called(candidate)
            finally:
                self._making.pop()
        return self.choice(maker.visit, made)

    def asked(self, maker: Maker, name: str) -> object:
        """Return an attribute of the candidates of a choice, on which they agree.

        Raises:
            AttributeError: one has no such attribute.
            BuildError: they differ in it, so the program does more with the choice than calling it.
        """
        first, *others = (getattr(candidate, name) for candidate in maker.candidates.values())
        if all(type(other) is type(first) and other == first for other in others):
            return first
        return self.unlike(maker.visit, name)

    def unlike(self, visit: Visit, name: str) -> object:
        """Refuse an attribute in which candidates differ."""
        raise BuildError(
            f"{visit.site.location}\nwhat makes modules stays an open choice where it is called and "
            f"nothing else; this program asks {visit.address!r} for {name!r}, in which candidates differ"
        )

    def choice(self, visit: Visit, values: Mapping[int, object]) -> object:
        """Return a module that holds all candidates."""
        candidates = [_module(visit, code, value) for code, value in values.items()]
        default = visit.prototype.code(visit.default)
        assert isinstance(default, int)
        choice = MixedModule(visit.address, visit.labels, candidates, visit.site.origin, default)
        found = self.choices.setdefault(visit.address, [])
        self._modules[id(choice)] = f"{visit.address}:[{len(found)}]", choice
        found.append(choice)
        return choice

    def _above(self, visit: Visit) -> tuple[str, int] | None:
        """Return the open choice that a visit stands below, and the code of its candidate."""
        above = next((each for each in _around(visit) if self.opens(each)), None)
        making = self._making[-1] if self._making else None
        if making is not None and (above is None or self.trace.index(above) < making[2]):
            return making[:2]
        if above is None:
            return None
        codes = [code for code, label in enumerate(above.labels) if str(label) == above.branch]
        return above.address, codes[0]


class _Probe(SuperposedRun):
    """A run that finds out what can be opened by opening whatever may be."""

    def __init__(self, values: Mapping[str, Value], closed: set[str], subsets: bool) -> None:
        super().__init__(values, ())
        self.closed, self.subsets_too = closed, subsets
        self.met: set[str] = set()
        self.plain: set[str] = set()
        """Addresses of choices among other things than modules."""

    def opens(self, visit: Visit) -> bool:
        point, site = visit.prototype, visit.site
        several = self.subsets_too and isinstance(point, ManyOf) and not (point.ordered or point.repeats)
        if visit.address in self.closed or not (point.kind == "oneof" or (several and site.dynamic is None)):
            return False
        written = [candidate.expr for candidate in site.candidates]
        return site.dynamic is not None or not all(isinstance(expr, ast.Constant) for expr in written)

    @property
    def unfit(self) -> set[str]:
        """Addresses of choices among other things, and among what nothing has called."""
        called = {maker.visit.address for maker in self.makers if maker.called}
        return self.plain | {maker.visit.address for maker in self.makers} - called

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        self.met.add(visit.address)
        return super().together(visit, values)

    def choice(self, visit: Visit, values: Mapping[int, object]) -> object:
        if all(isinstance(value, nn.Module) for value in values.values()):
            return super().choice(visit, values)
        self.plain.add(visit.address)
        return values[self._chosen(visit)]

    def _chosen(self, visit: Visit) -> int:
        """Settle a choice that cannot be open, and return the code of its candidate."""
        set_value(visit, self.values.get(visit.address, visit.default))
        return visit.code if isinstance(visit.code, int) else 0

    def unlike(self, visit: Visit, name: str) -> object:
        self.plain.add(visit.address)
        maker = next(maker for maker in reversed(self.makers) if maker.visit is visit)
        return getattr(maker.candidates[self._chosen(visit)], name)

    def left(self, visit: Visit, result: object) -> object:
        if visit.kind == "manyof" and self.opens(visit):
            self.met.add(visit.address)
            if not all(isinstance(value, nn.Module) for value in result):  # type: ignore[attr-defined]
                self.plain.add(visit.address)
        return result

    def evaluating(self, error: BaseException) -> Iterator[Visit]:
        """Yield the open choices of which a candidate was being evaluated when an error was raised."""
        trace, found = error.__traceback__, list[Visit]()
        while trace is not None:
            record = trace.tb_frame.f_locals.get(FRAME)
            found += [] if record is None else [each for each in record.open if self.opens(each)]
            trace = trace.tb_next
        yield from reversed(found)


def _around(visit: Visit) -> Iterator[Visit]:
    """Yield the visits of which a candidate is being evaluated, from the innermost out."""
    parent, position = visit.parent, visit.frame.position
    while parent is not None or position is not None:
        if parent is not None:
            inner = parent
            yield inner
            parent, position = inner.parent, inner.frame.position
        elif position is not None:
            parent, position = position.visit, position.frame.position


def _makers(values: Iterable[object]) -> bool:
    return all(callable(value) and not isinstance(value, nn.Module) for value in values)


def _module(visit: Visit, code: int, value: object) -> nn.Module:
    if isinstance(value, nn.Module):
        return value
    raise BuildError(
        f"{visit.site.location}\na choice among modules stays open where all its candidates are modules, "
        f"and candidate {visit.labels[code]!r} of {visit.address!r} is a "
        f"{type(value).__name__!r} here"
    )
