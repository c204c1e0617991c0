"""Find choice points spelled as calls."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from symnas.errors import AnnotationError
from symnas.grammar.model import Annotation
from symnas.grammar.roots import Root


def find_calls(
    tree: ast.Module,
    roots: Sequence[Root],
    lines: Sequence[str],
    file: str,
    first_line: int,
    imports: Mapping[str, str],
) -> tuple[list[Annotation], list[AnnotationError]]:
    return [], []
