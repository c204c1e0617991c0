"""One construction of a program in which choices among modules stay open.

A child holds the chosen candidate where its constructor evaluated a choice. Here every candidate is evaluated
there, each under its own branch, so that the points inside it have their addresses and its weights the keys
that they have in children (`symnas.construction.parameter_keys`). A `MixedModule`, one module that holds them
all, takes the place of the value; the rest is the user's own code, run as it stands. So a decision among
modules is a switch and no rebuild, and what is mixed in a relaxed network is what children are made of.

Only choices whose candidates are all modules are opened, or all classes and functions that are then called
to make modules (`norm = nn.BatchNorm2d  # search: {…}`); and only where the constructor makes them. Which
those are is found by evaluating them (`symnas.construction.open_choices`): a choice among anything else (a
width, a name that is compared later, a choice in `forward`) is closed, and takes the value that it is given.

What one run of the constructor made is a `ConstructorRun`, which stages hand on to each other. Runs that are
only looked at are made on the device `meta`, and the program keeps the last few of them (`kept_run`). A run
that is trained or changed is made for its owner (`superpose`).

Law: with every `MixedModule` switched to what a decision says, and every closed point given what it says,
the model computes what the child computes, in all programs that call the modules they choose among. A
program that looks at them instead (`isinstance(self.op, nn.Identity)`) breaks it; who relies on the law
compares outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from symnas._typing import Value
from symnas.construction.mixed_module import MixedModule, Rule, ruled
from symnas.construction.parameter_keys import KeyedModule, KeyingRun, keyed_module_of
from symnas.construction.watching import WatchedModule
from symnas.errors import BuildError
from symnas.frontend import execution
from symnas.frontend.evaluate_all import all_evaluated
from symnas.frontend.openings import Opening, PointsMet
from symnas.frontend.run import Frame, Run, Visit
from symnas.frontend.sites import CallSite
from symnas.frontend.source_set import SourceSet

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView


WORTH = 3
"""Children that a model with all candidates has to stand for, to pay: constructing it takes longer."""


@dataclass(frozen=True, eq=False)
class ConstructorRun(KeyedModule, PointsMet):
    """What one run of a program's constructor made, with its choices among modules open.

    Args:
        device: where tensors were made; None is wherever the code makes them.
        dtype: PyTorch's default while it ran.
        choices: by address, in the order of construction.
        subsets: all candidates of each open choice of several modules, by address; a tuple for each place.
        places: the modules of the model by the place of their construction, spelled as keys are.
        looked_at: addresses of choices that code has looked at while it constructed
            (`symnas.construction.watching`).
    """

    device: str | None
    dtype: torch.dtype
    choices: Mapping[str, tuple[MixedModule, ...]]
    subsets: Mapping[str, tuple[tuple[nn.Module, ...], ...]]
    places: Mapping[str, nn.Module]
    looked_at: frozenset[str]

    @property
    def mixed(self) -> list[MixedModule]:
        """All choices, of all addresses."""
        return [choice for choices in self.choices.values() for choice in choices]

    def switch(self, decision: Mapping[str, Value]) -> None:
        """Make the candidates active that a decision says; of what it does not name, nothing is called."""
        for address, choices in self.choices.items():
            if address in decision:
                for choice in choices:
                    choice.active = choice.labels.index(decision[address])


def superpose(program: ProgramView, opening: Opening, *, device: str | None = None) -> ConstructorRun:
    """Construct a program's model with some of its choices among modules open; it belongs to who asked.

    Args:
        program: whose target makes a module.
        opening: of which choices.
        device: where tensors are made; `meta` computes nothing, None is wherever the code makes them.

    Raises:
        BuildError: the user's code raised; or parameters were made outside the run.
    """
    run = SuperposedRun(opening, own_files(program))
    return run_of(program, run, run_constructor(program, run, device), device)


def kept_run(program: ProgramView, opening: Opening) -> ConstructorRun:
    """Return a run on the device `meta` that is only to be looked at: what others look at must not change.

    Args:
        program: whose target makes a module.
        opening: of which choices.

    Raises:
        BuildError: as for `superpose`.
    """
    dtype = torch.get_default_dtype()
    run: ConstructorRun = program.internals.kept_runs.made_once(
        lambda: superpose(program, opening, device="meta"),
        lambda run: run.dtype == dtype and run.answers(opening),
    )
    # A run derived from it may meet points that it did not: it has the values that were asked for.
    return replace(run, opening=opening)


@contextmanager
def looking(run: ConstructorRun, rule: Rule | None = None) -> Iterator[None]:
    """Let a run that others look at, too, be called for the length of a `with`, and leave it as it was.

    Args:
        run: what was made.
        rule: by which its choices compute meanwhile; None leaves that to each.
    """
    modes = [(module, module.training) for module in run.module.modules()]
    try:
        with nullcontext() if rule is None else ruled(run.mixed, rule):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def run_of(program: ProgramView, run: SuperposedRun, module: object, device: str | None) -> ConstructorRun:
    """Return what a run of the constructor has made, once it is over.

    Raises:
        BuildError: it is no module; or holds parameters that were made outside the run.
    """
    # From here on the choices are modules like any other, to be called, copied and compiled.
    looked_at = {choice.address for each in run.choices.values() for choice in each if choice.unwatched()}
    made = keyed_module_of(program, run, module)
    return ConstructorRun(
        module=made.module,
        parameters=made.parameters,
        buffers=made.buffers,
        opening=Opening(run.values, run.opened),
        device=device,
        dtype=torch.get_default_dtype(),
        choices={address: tuple(each) for address, each in run.choices.items()},
        subsets={address: tuple(each) for address, each in run.subsets_met.items()},
        closed={a: visit.value for a, visit in run.visits.items() if a not in run.opened},
        sites={address: visit.site for address, visit in run.visits.items()},
        places=run.modules_of(made.module),
        under=run.under,
        looked_at=frozenset(looked_at),
    )


def own_files(program: ProgramView) -> frozenset[str]:
    """Return the names of the files that belong to a program."""
    return frozenset(program.internals.whole_source_set.files)


def run_constructor(
    program: ProgramView, run: SuperposedRun, device: str | None, *, explain: bool = True
) -> object:
    """Call a program's target under a run, and return what it made.

    Args:
        program: whose target.
        run: opens some choices.
        device: where tensors are made; None is wherever the code makes them.
        explain: whether an error says where the user's code raised it, and under what.
    """
    source_set = program.internals.whole_source_set
    with (
        program.internals.printed.run(),
        evaluating(source_set, run),
        execution.placed(device),
        execution.explained(program, run.values) if explain else nullcontext(),
    ):
        return execution.call_target(program.internals, source_set, all_evaluated)


@contextmanager
def evaluating(source_set: SourceSet, run: Run) -> Iterator[None]:
    """Let the user's code evaluate all candidates that a run offers, for the length of a `with`."""
    with execution.running(source_set, run, all_evaluated):
        yield


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


class SuperposedRun(KeyingRun):
    """A run that evaluates all candidates of some choices.

    Args:
        opening: of those, and the values of the others.
        files: the program's own.
    """

    def __init__(self, opening: Opening, files: Collection[str]) -> None:
        super().__init__(opening.values, strict=False)
        self.opened, self.files = opening.opened, files
        self.choices: dict[str, list[WatchedModule]] = {}
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
            # The code is given all of them, in one list: `2 of {a, b, c}` is [a, b, c] here.
            visit.value, visit.code = visit.labels, tuple(range(len(visit.labels)))
        else:
            visit.value, visit.code = visit.labels[0], 0

    def left(self, visit: Visit, result: object) -> object:
        """Note the candidates of a choice of several, all of which the code has been given."""
        if visit.kind == "manyof" and self.opens(visit):
            pairs = enumerate(result)  # type: ignore[arg-type,var-annotated]
            modules = tuple(_module(visit, code, value) for code, value in pairs)
            self.subsets_met.setdefault(visit.address, []).append(modules)
        return result

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        """Return a module that holds all candidates, or what will make one of what they make."""
        # Classes and functions are no candidates yet: what they make will be, when and where they are called.
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
        # `block(width)` with `block` open calls every candidate here, and is one choice among modules.
        above = super().call
        return self.make(function, lambda candidate: above(frame, call, candidate, args, kwargs))

    def modules_of(self, model: nn.Module) -> dict[str, nn.Module]:
        """Return a model's modules by the place of their construction."""
        kept = {id(module) for module in model.modules()}  # others were made and thrown away
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
        # One after the other in the same place, so that what each makes has the keys it has in its child.
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
        default = visit.prototype.code(visit.default)  # active until somebody switches
        assert isinstance(default, int)
        choice = WatchedModule(
            visit.address, visit.labels, candidates, visit.site.origin, default, self.files
        )
        # One decision at several places (`shared`, or a class that is called twice) is several choices.
        found = self.choices.setdefault(visit.address, [])
        self._modules[id(choice)] = f"{visit.address}:[{len(found)}]", choice
        found.append(choice)
        return choice

    def _above(self, visit: Visit) -> tuple[str, int] | None:
        """Return the open choice that a visit stands below, and the code of its candidate."""
        above = next((each for each in _around(visit) if self.opens(each)), None)
        # A candidate of a choice among classes is entered by a call, not by a branch of an expression. The
        # inner of the two counts: the call, if the visit of the expression came before it.
        making = self._making[-1] if self._making else None
        if making is not None and (above is None or self.trace.index(above) < making[2]):
            return making[:2]
        if above is None:
            return None
        codes = [code for code, label in enumerate(above.labels) if str(label) == above.branch]
        return above.address, codes[0]


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
