"""The child that values describe, of a generated class where the class itself holds choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symnas._typing import Value
from symnas.export import generated_module
from symnas.frontend.execution import constructed, explained, needs_source
from symnas.frontend.protocols import ProgramView
from symnas.frontend.run import Run


def build(program: ProgramView, values: Mapping[str, Value], *, strict: bool = True) -> Any:
    """Build the child that the values describe, by generated source where the class itself holds choices.

    Raises:
        BuildError: the user's code raised; address, candidate and line are in the message, the original is
            the cause.
    """
    if not needs_source(program.internals.source_set):
        return constructed(program, Run(values, strict=strict))
    with explained(program, values):
        return generated_module.build(program, values)
