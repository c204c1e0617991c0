"""A program: ordinary code with choices, from which a space is derived and children are built."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, Unpack, overload

import numpy as np

from symnas._fingerprint import spell
from symnas._typing import Value
from symnas.errors import ProgramError
from symnas.frontend.protocols import ProgramLike
from symnas.frontend.sources import load, unwrap
from symnas.grammar.attachment.annotation import Annotation
from symnas.programs import handed_on
from symnas.programs.internals import Internals
from symnas.programs.kept_surveys import Surveyed, kept_survey
from symnas.programs.references import Reference, reference_of
from symnas.tree.space import Batch, Decision, Space

if TYPE_CHECKING:
    import torch
    from torch import fx
    from typing_extensions import TypeVar  # with defaults, which Python has from 3.13 on

    from symnas.cost.profiling import Profile
    from symnas.relaxed.network import Relaxed
    from symnas.relaxed.options import RelaxedOptions
    from symnas.supernet.options import SupernetOptions
    from symnas.supernet.supernet import Supernet

    Child = TypeVar("Child", covariant=True, default=Any)
else:
    from typing import TypeVar

    Child = TypeVar("Child", covariant=True)
"""What a program builds: instances of its class, or what its function returns."""

T = TypeVar("T")


class Program(Generic[Child]):
    """Annotated code and the arguments that it is called with; made by `symnas.program`.

    Args:
        target: the class or function.
        args: positional arguments of every call of it.
        kwargs: keyword arguments of every call of it.
        include: further modules whose choices belong to it.
        inputs: example inputs of a built model: a tensor, a tuple of positional ones, a dict of named ones,
            or a function that returns any of these. Needed where `forward` holds choices.
        name: what it is called; the target's name by default.
        joint_limit: joint values of the points that one condition depends on, which its survey may try; 4,096
            for None.
        max_runs: runs that its survey may take; 20,000 for None.
    """

    def __init__(
        self,
        target: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        include: Iterable[Any] = (),
        inputs: Any = None,
        name: str | None = None,
        joint_limit: int | None = None,
        max_runs: int | None = None,
    ) -> None:
        self.target = target
        self.inputs = inputs
        self.name = name or str(getattr(target, "__name__", type(target).__name__))
        self.internals = Internals(target, args, dict(kwargs or {}), tuple(include), inputs)
        """For the layers below: its code, its arguments, its example inputs. Free to change."""
        bounds = {"joint_limit": joint_limit, "max_runs": max_runs}
        self._bounds = {bound: value for bound, value in bounds.items() if value is not None}

    def __repr__(self) -> str:
        """Name the target."""
        return f"<symnas.Program {self.name}>"

    @functools.cached_property
    def space(self) -> Space:
        """The tree of decision points, complete under every decision; surveyed at the first use.

        A survey is kept on disk for the next process (see `docs/survey.md`), unless what it follows from
        cannot be known.
        """
        found = kept_survey(self.internals, (self.name, self._bounds), self._surveyed)
        for remark in found.remarks:
            warnings.warn(remark, stacklevel=3)
        self.internals.values_told = found.values_told
        return found.space

    def _surveyed(self) -> Surveyed:
        if self.inputs is None:
            functions = self.internals.source_set.when_called
            if functions:
                first = functions[0]
                raise ProgramError(
                    f"{first.file}:{first.line}: {first.qualname} holds choices that are made when the model "
                    "is called, so the program is given example inputs: symnas.program(…, "
                    "inputs=torch.zeros(…))"
                )
        remarks = []
        made_before = self.internals.source_set.made_before
        if made_before:
            listed = ", ".join(f"{site.origin} `{ast.unparse(site.node)}`" for site in made_before[:3])
            more = f" and {len(made_before) - 3} more" if len(made_before) > 3 else ""
            remarks.append(
                f"{self.name} was given an instance whose fields had their values before the program saw it, "
                f"so the choices at {listed}{more} are no points; pass what makes it as a program: "
                f"{self.internals.passed()}"
            )
        unfollowed = self.internals.unfollowed
        if unfollowed:
            remarks.append(
                f"{self.name} uses what is annotated outside of its project, so these are no points of it: "
                f"{'; '.join(unfollowed[:3])}{'; …' if len(unfollowed) > 3 else ''}; name such a module to "
                "make its choices points: symnas.program(…, include=[…])"
            )
        from symnas.survey.survey import survey

        found = survey(self, **self._bounds)
        origins = {entry.point.origin for entry in found.compiled.layout.entries}
        given = [*self.internals.args, *self.internals.kwargs.values()]
        remarks += handed_on.remarks(self.internals.source_set, given, origins)
        if not found.requires:
            return Surveyed(found, remarks)
        from symnas.constraints.grounding import settled

        made, told = settled(self.internals, found, self.inputs is not None)
        return Surveyed(made, remarks, told)

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """All annotations of its sources."""
        return self.internals.source_set.annotations

    @property
    def requires(self) -> tuple[str, ...]:
        """The texts of its `require` clauses."""
        return self.internals.source_set.requires

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of its code (not its layout or comments), its arguments and its space."""
        digest = hashlib.blake2b(digest_size=16)
        for source in self.internals.source_set.files.values():
            digest.update(ast.unparse(ast.Module(source.definitions_only(), [])).encode())
        for text in (*self.internals.arguments.text(spell), spell(self.requires)):
            digest.update(text.encode())
        digest.update(self.space.fingerprint.encode())
        return digest.hexdigest()

    @property
    def reference(self) -> Reference:
        """Something picklable from which `symnas.program` makes the same program in another process."""
        return reference_of(self, self._bounds)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by reference."""
        return program, (self.reference,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Program[Child]:
        """Return itself: nothing of it changes, and a copy by reference would run the user's script again."""
        return self

    def decision(self, decision: Decision | Mapping[str, Value] | None = None) -> Decision:
        """Return `self.space.decision(decision)`: points that a mapping does not name take their defaults.

        Raises:
            DecisionError: an address is unknown or inactive, or a value is not allowed.
        """
        return self.space.decision(decision)

    def sample(self, n: int, rng: int | np.random.Generator, *, tries: int = 1000) -> Batch:
        """Draw decisions that meet every `require` clause; without clauses, as `space.sample` does.

        The first rows of a larger sample are the smaller one.

        Args:
            n: how many.
            rng: a seed, or the generator to draw with.
            tries: most draws per decision that is wanted, where there are clauses.

        Raises:
            RequirementError: too few were found; the message has the closest decision and what it breaks.
        """
        from symnas.constraints import checking

        generator = np.random.default_rng(rng)
        if not checking.needs_runs(self):
            return self.space.sample(n, generator)
        return checking.sample(self, n, generator, tries=tries)

    def build(self, decision: Decision | Mapping[str, Value] | None = None) -> Child:
        """Build the child that a decision describes, the default one for None.

        What is asked for is built: `require` clauses are not judged here. A search judges them before it
        builds anything (`symnas.constraints.demand`), and `sample` draws decisions that meet them.

        Args:
            decision: a decision of this space, or a mapping of addresses to values, the others taking their
                defaults.

        Raises:
            DecisionError: the decision does not fit the space.
            BuildError: the user's code raised under it.
        """
        from symnas.export import child

        made: Child = child.build(self, self.decision(decision))
        return made

    def with_inputs(self, inputs: Any) -> Program[Child]:
        """Return the same program with other example inputs.

        Args:
            inputs: as for `symnas.program`.
        """
        made = type(self).__new__(type(self))
        # What has been read and surveyed is the same; a survey depends on inputs only where there were none.
        made.__dict__ |= self.__dict__ | {"inputs": inputs, "internals": self.internals.with_inputs(inputs)}
        return made

    def graph(
        self, decision: Decision | Mapping[str, Value] | None = None, *inputs: Any
    ) -> torch.export.ExportedProgram | fx.GraphModule:
        """Return the child as a `torch.export` program, or an `fx.GraphModule` where export cannot.

        Args:
            decision: as for `build`.
            inputs: example inputs; the program's own by default.
        """
        from symnas.export.torch_graph import graph

        args, kwargs = (inputs, {}) if inputs else self.internals.example()
        return graph(self.build(decision), args, kwargs)

    def supernet(self, **options: Unpack[SupernetOptions]) -> Supernet:
        """Return a module that holds the weights of all children, and is called under one decision at a time.

        Args:
            options: see `symnas.supernet.SupernetOptions`.

        Raises:
            BuildError: a child cannot be built, or two children ask for different things at one place.
        """
        from symnas.supernet.supernet import Supernet

        return Supernet(self, **options)

    def relaxed(self, **options: Unpack[RelaxedOptions]) -> Relaxed:
        """Return a module with all candidates of all choices, which adds up what they return.

        Args:
            options: see `symnas.relaxed.RelaxedOptions`.

        Raises:
            ProgramError: a choice cannot be relaxed; the message names its line and the ways out.
        """
        from symnas.relaxed.network import Relaxed

        return Relaxed(self, **options)

    def profile(self, decision: Decision | Mapping[str, Value] | None = None, *inputs: Any) -> Profile:
        """Count parameters, FLOPs and activation memory of a child without computing.

        Args:
            decision: as for `build`.
            inputs: example inputs; the program's own by default, parameters alone where there are none.
        """
        from symnas.cost.profiling import profile

        chosen = self.decision(decision)
        if not inputs and self.inputs is None:
            return profile(lambda: self.build(chosen), None)
        args, kwargs = (inputs, {}) if inputs else self.internals.example()
        return profile(lambda: self.build(chosen), args, kwargs)

    def source(self, decision: Decision | Mapping[str, Value] | None = None) -> str:
        """Return standalone Python text of a child, every choice replaced by what was chosen.

        What the target's file needs of other files of its project stands in it, too.

        Args:
            decision: as for `build`.

        Raises:
            ProgramError: the files do not make one text (two define the same name, …): `files` has them.
        """
        from symnas.export.source import source

        return source(self, self.decision(decision))

    def files(self, decision: Decision | Mapping[str, Value] | None = None) -> dict[str, str]:
        """Return a child's source as text by path: one file where that reads well, else a small package.

        Args:
            decision: as for `build`.
        """
        from symnas.export.source import source_files

        return dict(source_files(self, self.decision(decision)).files)

    def export(
        self, path: str | PathLike[str], decision: Decision | Mapping[str, Value] | None = None
    ) -> Path:
        """Write a child's source: the file `path` with `.py`, or where several are needed the folder `path`.

        Either way `from NAME import TARGET` gives the target, NAME being the last part of `path`.

        Args:
            path: where; a suffix `.py` may be left out.
            decision: as for `build`.

        Returns:
            What was written, the file or the folder.
        """
        from symnas.export.source import source_files
        from symnas.export.writing_files import write_files

        return write_files(source_files(self, self.decision(decision)), Path(path))


@overload
def program(
    target: Program[T],
    *args: Any,
    include: Iterable[Any] = (),
    inputs: Any = None,
    name: str | None = None,
    joint_limit: int | None = None,
    max_runs: int | None = None,
    **kwargs: Any,
) -> Program[T]: ...
@overload
def program(
    target: Callable[..., T],
    *args: Any,
    include: Iterable[Any] = (),
    inputs: Any = None,
    name: str | None = None,
    joint_limit: int | None = None,
    max_runs: int | None = None,
    **kwargs: Any,
) -> Program[T]: ...
@overload
def program(
    target: object,
    *args: Any,
    include: Iterable[Any] = (),
    inputs: Any = None,
    name: str | None = None,
    joint_limit: int | None = None,
    max_runs: int | None = None,
    **kwargs: Any,
) -> Program[Any]: ...
def program(
    target: Any,
    *args: Any,
    include: Iterable[Any] = (),
    inputs: Any = None,
    name: str | None = None,
    joint_limit: int | None = None,
    max_runs: int | None = None,
    **kwargs: Any,
) -> Any:
    """Make a program of annotated code.

    Args:
        target: a class, a function, `"file.py:Name"`, `"package.module:Name"`, a PyGlove template, or a
            program already.
        args: positional arguments for the target, in every build.
        include: modules (or their names, or files) outside of the target's project whose choices belong to
            the program. Within it (its package, or the folder of its file; a notebook's cells), imports are
            followed.
        inputs: example inputs of a built model; see `Program`.
        name: what it is called; the target's name by default.
        joint_limit: joint values of the points that one condition depends on, which the survey may try; 4,096
            for None.
        max_runs: runs that the survey may take; 20,000 for None.
        kwargs: keyword arguments for the target, in every build.

    Raises:
        ProgramError: the target or its source cannot be found.
    """
    if isinstance(target, Program) or (isinstance(target, ProgramLike) and not isinstance(target, type)):
        return target
    include = (include,) if isinstance(include, (str, ModuleType)) else tuple(include)
    if isinstance(target, Reference):
        found = target.resolve()
        found = load(found) if isinstance(found, str) else found
        return Program(
            found,
            target.args,
            target.kwargs,
            include=target.include,
            inputs=target.inputs,
            name=target.name,
            **dict(target.bounds),
        )
    if type(target).__name__ == "TemplateReference":
        return target.load()
    if isinstance(target, str):
        target = load(target)
    elif _is_template(target):
        from symnas.interop.pyglove import TemplateProgram

        return TemplateProgram(target, name)
    unwrap(target)
    return Program(
        target,
        args,
        kwargs,
        include=include,
        inputs=inputs,
        name=name,
        joint_limit=joint_limit,
        max_runs=max_runs,
    )


def _is_template(target: object) -> bool:
    pyglove = sys.modules.get("pyglove")
    return pyglove is not None and isinstance(target, pyglove.Symbolic) and not isinstance(target, type)
