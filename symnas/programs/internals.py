"""What the layers below need of a program and users do not: its code, its arguments, its example inputs."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from symnas.frontend import execution
from symnas.frontend.arguments import Arguments
from symnas.frontend.depth import deep
from symnas.frontend.kept_runs import KeptRuns
from symnas.frontend.once import Told
from symnas.frontend.source_set import SourceSet
from symnas.frontend.sources import as_module, cells_of, file_of, origins_of, unwrap
from symnas.grammar.module import parse_module
from symnas.grammar.project import Project, ProjectFile

if TYPE_CHECKING:
    from symnas.constraints.clauses import Clause
    from symnas.constraints.tracing import TracedRun
    from symnas.errors import Location
    from symnas.tree.space import Decision


class Internals:
    """The inside of a program; see `symnas.frontend.protocols.ProgramView`.

    Args:
        target: the class or function.
        args: positional arguments of every call of it.
        kwargs: keyword arguments of every call of it.
        include: further modules whose choices belong to it.
        inputs: example inputs of a built model, or a function that returns them; None where there are none.
    """

    def __init__(
        self,
        target: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        include: tuple[Any, ...],
        inputs: Any,
    ) -> None:
        self.target = target
        self.args = args
        self.kwargs = kwargs
        self.arguments = Arguments(target, args, kwargs)
        """Both, with modules and tensors copied for each call."""
        self.include = include
        self.inputs = inputs
        self.values_told = False
        """Whether the space keeps to all clauses over chosen values, so that no run need be asked."""
        self.show_progress = True
        """Whether a long survey shows itself on a terminal."""
        self.printed = Told()
        """What its code has printed so far."""
        self.kept_runs = KeptRuns()
        """What the last few runs of the constructor made; with other inputs it makes the same."""

    def with_inputs(self, inputs: Any) -> Internals:
        """Return the same with other example inputs; what has been read stays read."""
        made = Internals(self.target, self.args, self.kwargs, self.include, inputs)
        made.__dict__ |= {**self.__dict__, "inputs": inputs}
        return made

    @functools.cached_property
    def source_set(self) -> SourceSet:
        """All code that belongs to the program, read and placed."""
        return self._cover(everywhere=False)

    @functools.cached_property
    def whole_source_set(self) -> SourceSet:
        """The same code, with the calls placed that reach no point: what each of them makes is told apart."""
        return self._cover(everywhere=True)

    def _cover(self, everywhere: bool) -> SourceSet:
        plain = unwrap(self.target)
        home = sys.modules.get(plain.__module__) or _module_of(plain)
        modules = [home, *(as_module(item) for item in self.include)]
        followed = self._followed(home)
        # The code of programs among the arguments is the program's own, too.
        for inner in self.arguments.programs.values():
            modules += inner.internals.source_set.modules
            followed += inner.internals.source_set.followed
        modules = list(dict.fromkeys(modules))
        followed = [module for module in dict.fromkeys(followed) if module not in modules]
        given = (self.target, self.arguments.flat())
        file = file_of(plain)
        with deep(file):
            return SourceSet(plain, modules, file, given, everywhere, followed)

    def _followed(self, home: ModuleType) -> list[ModuleType]:
        """Return the modules of the target's project that its imports lead to, and that lead to choices."""
        project = Project.of(home)
        if project is None:
            return []
        file = getattr(home, "__file__", None)
        package = getattr(home, "__package__", None) or ""
        if file is None:
            # Cells that ran in another process are not here, but what they imported is.
            imported = sorted({f"import {origin}" for origin, _ in origins_of(home).values()})
            found = project.wanted("\n".join([*cells_of(home).values(), *imported]), package)
        else:
            found = project.wanted(ProjectFile(home.__name__, file, hasattr(home, "__path__")))
        loaded = [project.load(each) for each in found]
        return [module for module in loaded if module is not None and module is not home]

    @functools.cached_property
    def unfollowed(self) -> list[str]:
        """What is annotated, imported and no part of the program, a line for each module."""
        covered = self.source_set
        names = {module.__name__ for module in (*covered.modules, *covered.followed)}
        told: dict[str, str] = {}
        for source in covered.files.values():
            used, parts = covered.names_reached.get(source.file, (set(), set()))
            for name in sorted(used & set(vars(source.module))):
                for module in _modules_behind(vars(source.module)[name], parts):
                    if module not in names and module not in told:
                        told[module] = annotated(module)
        return [line for line in told.values() if line]

    def passed(self) -> str:
        """Spell the call that passes programs where instances are given that were made before."""
        spelled = []
        values = {self.arguments.name(place): value for place, value in enumerate(self.args)} | dict(
            self.kwargs
        )
        for name, value in values.items():
            kind = type(value).__name__
            if type(value).__module__ in {module.__name__ for module in self.source_set.modules}:
                spelled.append(f"{name}=symnas.program({kind})")
        target = str(getattr(self.target, "__name__", type(self.target).__name__))
        return f"symnas.program({', '.join([target, *spelled] if spelled else [target, '…'])})"

    @property
    def local_requires(self) -> tuple[str, ...]:
        """The texts of the `require` clauses at choices, where a run sees variables in scope."""
        return self.source_set.local_requires

    def build_checked(self, decision: Decision) -> tuple[Any, list[tuple[Clause, Mapping[str, Any]]]] | None:
        """Build a child, and tell which `require` clauses were met, with the variables in scope there.

        Returns:
            Child and clauses; None where the child is built from generated text, which has no clauses.
        """
        from symnas.constraints.checking import CheckedRun

        if execution.needs_source(self.source_set):
            return None
        run = CheckedRun(decision)
        with self.printed.run(), execution.running(self.source_set, run):
            return execution.call_target(self, self.source_set), run.met

    @property
    def clause_places(self) -> list[tuple[str, Location]]:
        """Every `require` clause with the place where it stands."""
        return self.source_set.clause_places

    def trace(self, run: TracedRun) -> None:
        """Construct the target under a run, on `meta`; what the code raises is nobody's mistake here."""
        from symnas.cost.profiling import on_meta

        def build() -> None:
            run.__init__(run.values, run.own, run.trees)  # type: ignore[misc]  # begun again on the CPU
            with self.printed.run(), execution.running(self.source_set, run):
                execution.call_target(self, self.source_set)

        with contextlib.suppress(Exception):
            on_meta(build)

    def identity(self, *settings: object) -> str | None:
        """Return a hash of all that its space follows from, or None where that cannot be known.

        Args:
            settings: what else counts.
        """
        from symnas.programs.identity import identity

        return identity(self.target, self.args, self.kwargs, self.include, self.inputs, *settings)

    def example(self, device: str | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the example inputs as positional and keyword arguments, their tensors on `device`."""
        drawn = callable(self.inputs) and not execution.is_tensor(self.inputs)
        given = self.inputs() if drawn else self.inputs
        if device is not None:
            given = execution.moved(given, device)
        if isinstance(given, Mapping):
            return (), dict(given)
        return (tuple(given) if isinstance(given, (tuple, list)) else (given,)), {}


def annotated(name: str) -> str:
    """Say how many annotations an imported module has; "" where there are none."""
    top = name.partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    if (
        file is None
        or not file.endswith(".py")
        or top in sys.stdlib_module_names
        or top in ("torch", "numpy")
    ):
        return ""
    found = ProjectFile(name, file, False)
    if not found.may_choose:
        return ""
    count = len(parse_module(found.text, file).annotations)
    return f"{name} ({file}) has {count} annotation{'s' if count > 1 else ''}" if count else ""


def _modules_behind(value: Any, parts: set[str]) -> Iterator[str]:
    """Yield the names of the modules that a value is made in; of a module, those of what is taken from it."""
    if isinstance(value, ModuleType):
        yield value.__name__
        held = vars(value)
        yield from (
            made
            for name in parts & set(held)
            if (made := getattr(held[name], "__module__", None)) is not None
        )
    elif isinstance(made := getattr(value, "__module__", None), str):
        yield made


def _module_of(target: Any) -> ModuleType:
    """Return a stand-in for a module that is not imported (executed text): the target's own globals."""
    namespace = getattr(target, "__globals__", None)
    if namespace is None:
        inner = [value for value in vars(target).values() if hasattr(value, "__globals__")]
        namespace = inner[0].__globals__ if inner else {}
    module = ModuleType(target.__module__)
    vars(module).update(namespace)
    return module
