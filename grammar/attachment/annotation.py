"""What attaching yields: an annotation and the expression it describes, a requirement and its statement."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal, TypeAlias

from symnas._typing import COSTS as COSTS
from symnas.errors import Location
from symnas.grammar.domains.model import Default, Domain, OneOfDomain

Role: TypeAlias = Literal[
    "expression", "turns", "parameter", "class attribute", "dataclass field", "module constant"
]


@dataclass(frozen=True, eq=False)
class Annotation:
    """A domain and the expression it describes.

    Args:
        domain: what may stand there.
        node: the very node in `ParsedModule.tree` that is described. For `turns` the iterable (a `range(…)`
            call) of a `for` or of a comprehension; for `parameter` a parameter's default, or an expression
            inside it.
        statement: the statement that holds the node (for a parameter or decorator: the definition).
        role: how the node is evaluated: in place by a function's body (`expression`), as a loop's number of
            turns, as a parameter's default, or once per definition in a class body or module.
        match: `candidate` when the node is one of the candidates (then `default` says which); `value` when
            nothing matched by syntax, so what the code computes there must turn out to be a candidate at run
            time.
        default: see `Default`; a subset's is in the order of the code.
        location: of the annotation's text (for a call: of the call).
        spelling: `comment` or `call`.
        name: `as NAME`, `name="…"`.
        shared: one decision for all turns of the enclosing loops.
        requires: expressions of the annotation's `require` clauses.
        target: NAME of `NAME in DOMAIN`: the variable, keyword or parameter whose value the node is.
        parameter: for the role `parameter`, the parameter's name.
        scope: names of the enclosing definitions, outermost first (`("ConvNet", "__init__")`).
        in_loop: whether a loop or comprehension of the same function encloses the node.
    """

    domain: Domain
    node: ast.expr
    statement: ast.stmt
    role: Role
    match: Literal["candidate", "value"]
    default: Default
    location: Location
    spelling: Literal["comment", "call"]
    name: str | None = None
    shared: bool = False
    requires: tuple[str, ...] = ()
    target: str | None = None
    parameter: str | None = None
    scope: tuple[str, ...] = ()
    in_loop: bool = False

    @property
    def item(self) -> str:
        """Where the node stands in a list, `[2]` of `depths[2]`; empty if not asked for by position."""
        target = self.target or ""
        return target[target.index("[") :] if "[" in target else ""

    @property
    def default_index(self) -> int | None:
        """Index of a one-of's default; None for other domains and where only the run will tell."""
        if isinstance(self.domain, OneOfDomain) and isinstance(self.default, int):
            return self.default
        return None


@dataclass(frozen=True, eq=False)
class Requirement:
    """A comment of `require` clauses alone, attached to the statement that it stands at or above.

    Args:
        expressions: the clauses, as written.
        statement: where it stands; for a `def` or `class` line, the definition.
        location: of the text.
        scope: names of the enclosing definitions, outermost first (a `def` that carries the comment not
            included).
    """

    expressions: tuple[str, ...]
    statement: ast.stmt
    location: Location
    scope: tuple[str, ...] = ()
