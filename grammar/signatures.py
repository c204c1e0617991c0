"""Find the parameter names of called functions and classes by reading sources; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from symnas.grammar.naming import Parameters, own_parameters


def signatures_of(tree: ast.Module, imports: Mapping[str, str]) -> Parameters:
    """Return a look-up of positional parameters for the callees of a module."""
    own = own_parameters(tree)
    return own.get
