"""What is asked of programs: by searches, and by the layers that `Program` calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

from symnas._typing import Value
from symnas.frontend.arguments import Arguments
from symnas.frontend.kept_runs import KeptRuns
from symnas.frontend.once import Told
from symnas.frontend.source_set import SourceSet
from symnas.tree.space import Decision, Space


@runtime_checkable
class ProgramLike(Protocol):
    """Something with a space, from whose decisions children are built."""

    @property
    def name(self) -> str:
        """What it is called in studies and tables."""

    @property
    def space(self) -> Space:
        """The tree of its decision points."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when its space, its code or its arguments do, the same in every process."""

    @property
    def reference(self) -> Any:
        """Something picklable from which `symnas.program` makes the same program in another process."""

    def build(self, decision: Decision | Mapping[str, Value] | None = None) -> Any:
        """Return the child that a decision describes, the default one for None."""


class Internals(Protocol):
    """The inside of a program: its code, its arguments, its example inputs.

    Attributes:
        target: the class or function.
        args: positional arguments of every call of the target.
        kwargs: keyword arguments of every call of it.
        arguments: both, with modules and tensors copied for each call.
        show_progress: whether a long survey shows itself on a terminal.
        printed: what its code has printed so far.
        kept_runs: what the last few runs of its constructor made, for stages that only look at it.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    arguments: Arguments
    kept_runs: KeptRuns
    printed: Told
    show_progress: bool

    @property
    def source_set(self) -> SourceSet:
        """All code that belongs to the program, read and placed."""

    @property
    def whole_source_set(self) -> SourceSet:
        """The same code, with the calls placed that reach no point: what each of them makes is told apart."""

    @property
    def values_told(self) -> bool:
        """Whether the space keeps to all clauses over chosen values."""

    @property
    def local_requires(self) -> tuple[str, ...]:
        """Texts of those clauses that `build_checked` meets with variables in scope."""

    def build_checked(self, decision: Decision) -> tuple[Any, Any] | None:
        """Build a child, and tell which `require` clauses were met, with the variables in scope there."""

    def example(self, device: str | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the example inputs as positional and keyword arguments, their tensors on `device`."""


class ProgramView(Protocol):
    """Annotated code and its arguments, as the layers below `symnas.programs` see them.

    Attributes:
        target: the class or function.
        inputs: example inputs of a built model, or a function that returns them; None where there are none.
        name: what it is called.
    """

    target: Any
    inputs: Any
    name: str

    @property
    def internals(self) -> Internals:
        """Its code, its arguments, its example inputs."""

    @property
    def space(self) -> Space:
        """The tree of its decision points."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The texts of its `require` clauses."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when its space, its code or its arguments do, the same in every process."""

    def decision(self, decision: Decision | Mapping[str, Value] | None = None) -> Decision:
        """Return a decision of its space; points that a mapping does not name take their defaults."""

    def build(self, decision: Decision | Mapping[str, Value] | None = None) -> Any:
        """Build the child that a decision describes, the default one for None."""

    def with_inputs(self, inputs: Any) -> Self:
        """Return the same program with other example inputs."""
