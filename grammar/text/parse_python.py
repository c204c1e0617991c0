"""Parse Python in silence: warnings about the user's code are Python's to give, when it is imported."""

from __future__ import annotations

import ast
import warnings


def parse_module_text(source: str) -> ast.Module:
    """Parse a module; raises SyntaxError or ValueError as `ast.parse` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def parse_expression(source: str) -> ast.expr:
    """Parse one expression; raises SyntaxError or ValueError as `ast.parse` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, mode="eval").body
