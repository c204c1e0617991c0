"""The child that values describe, of a generated class where the class itself holds choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symnas._typing import Value
from symnas.export import generated_module
from symnas.frontend.execution import guarded, needs_source, running
from symnas.frontend.protocols import ProgramView
from symnas.frontend.run import Run


def build(program: ProgramView, values: Mapping[str, Value], *, strict: bool = True) -> Any:
    """Build the child that the values describe, by generated source where the class itself holds choices.

    Raises:
        BuildError: the user's code raised; address, candidate and line are in the message, the original is
            the cause.
    """
    run = Run(values, strict=strict)
    if needs_source(program.internals.source_set):
        return guarded(program, values, lambda _: generated_module.build(program, values), run)

    def plain(run: Run) -> Any:
        with running(program.internals.source_set, run):
            return program.target(*program.internals.args, **program.internals.kwargs)

    return guarded(program, values, plain, run)
