"""Search expressions for those that belong to a domain, as the attachment rule allows.

An expression that matches ends the search below it, so the outermost is found. A number or text inside
arithmetic, a subscript or a slice is barred from matching by itself: the 2 of `2 * width` or `x[2]` is hardly
what is searched. A literal among several arguments could be there by accident (`Conv2d(c, c, 3)`), so it
counts only where a keyword says what it is; the others are kept, for the message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from symnas.grammar.attachment.matching import Fit, fit
from symnas.grammar.attachment.roots import Root
from symnas.grammar.domains.labels import literal_of
from symnas.grammar.domains.model import Domain, RangeDomain

_ARITHMETIC = (ast.USub, ast.UAdd, ast.Invert)


@dataclass(frozen=True)
class Match:
    """An expression that belongs to the domain, or could.

    Args:
        node: the expression.
        root: the root that holds it.
        fit: how it belongs; None where only the run will tell.
        turns: whether it is a `range(…)` call taken for its number of turns.
        call: for a literal among several arguments, the call.
        keyword: for an argument passed by keyword, its name.
    """

    node: ast.expr
    root: Root
    fit: Fit | None
    turns: bool = False
    call: ast.Call | None = None
    keyword: str | None = None


@dataclass
class Findings:
    """What a search came to.

    Args:
        matches: expressions that the annotation may describe.
        refused: literals that fit, but stand among several arguments.
        outside: loops whose number of turns is known and outside the range.
        computed: loops whose number of turns only the run will tell.
    """

    matches: list[Match] = field(default_factory=list)
    refused: list[Match] = field(default_factory=list)
    outside: list[tuple[Match, int]] = field(default_factory=list)
    computed: list[Match] = field(default_factory=list)


def search(roots: Iterable[tuple[ast.expr, Root]], domain: Domain) -> Findings:
    """Return the outermost expressions that belong to `domain`, in the order of the text."""
    finder = _Finder(domain)
    for expr, root in roots:
        finder.root = root
        if isinstance(root.statement, ast.For | ast.AsyncFor) and expr is root.statement.iter:
            finder.source(expr)
        else:
            finder.visit(expr)
    return finder.settled()


def turns_of(node: ast.expr) -> int | None:
    """Return the number of turns of a `range(…)` call over literal numbers, else None."""
    if not is_range(node):
        return None
    values = [literal_of(argument)[1] for argument in node.args]  # type: ignore[attr-defined]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values) or values[2:] == [
        0
    ]:
        return None
    return len(range(*values))  # type: ignore[arg-type]


def is_range(node: ast.expr) -> bool:
    """Whether a node is a plain call of `range`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"):
        return False
    return (
        1 <= len(node.args) <= 3
        and not node.keywords
        and not any(isinstance(a, ast.Starred) for a in node.args)
    )


class _Finder(ast.NodeVisitor):
    """Walks an expression; `standing` says whether the node at hand may match by itself."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.found = Findings()
        self.lone: list[Match] = []
        self.root: Root

    def visit(self, node: ast.AST) -> None:
        # No search goes on inside a match: `{f(3), 3}` over `f(3)` means the call.
        found = fit(node, self.domain) if isinstance(node, ast.expr) else None
        if isinstance(node, ast.expr) and found is not None:
            self.found.matches.append(Match(node, self.root, found))
        else:
            super().visit(node)

    def barred(self, node: ast.AST) -> None:
        """Walk what cannot match by itself, though something within may."""
        # What fits is passed by with all that is inside; of anything else the parts are walked as everywhere.
        if isinstance(node, ast.Tuple | ast.Slice | ast.Starred):
            for child in ast.iter_child_nodes(node):
                self.barred(child)
        elif isinstance(node, ast.expr) and fit(node, self.domain) is None:
            super().visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.barred(node.left)
        self.barred(node.right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, _ARITHMETIC):
            self.barred(node.operand)
        else:
            self.visit(node.operand)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        self.barred(node.slice)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave text alone."""

    def visit_Dict(self, node: ast.Dict) -> None:
        for value in node.values:
            self.visit(value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.source(node.iter)
        for condition in node.ifs:
            self.visit(condition)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self.visit(node.body)

    def visit_Call(self, node: ast.Call) -> None:
        self.visit(node.func)
        several = len(node.args) + len(node.keywords) > 1
        # The only argument of a call cannot be confused with another one.
        for argument in node.args:
            self.argument(argument, node, None, several)
        for word in node.keywords:
            self.argument(word.value, node, word.arg, several)

    def argument(self, value: ast.expr, call: ast.Call, keyword: str | None, several: bool) -> None:
        # Decided in `settled`, when all literals of the call that fit are known.
        if several and literal_of(value)[0]:
            found = fit(value, self.domain)
            if found is not None:
                self.lone.append(Match(value, self.root, found, call=call, keyword=keyword))
        else:
            self.visit(value)

    def source(self, node: ast.expr) -> None:
        """Walk what a `for` goes over: in a `for` a range is the number of turns."""
        if not (isinstance(self.domain, RangeDomain) and is_range(node)):
            self.visit(node)
            return
        if not self.domain.integer:
            return
        # `range(n)` with a computed n still is a number of turns, but only the run tells which.
        turns = turns_of(node)
        if turns is None:
            self.found.computed.append(Match(node, self.root, None, turns=True))
        elif self.domain.lies_within(turns):
            self.found.matches.append(Match(node, self.root, Fit(self.domain, turns), turns=True))
        else:
            self.found.outside.append((Match(node, self.root, None, turns=True), turns))

    def settled(self) -> Findings:
        """Let a literal among several arguments match when it is by keyword and the only one of its call."""
        for match in self.lone:
            only = sum(other.call is match.call for other in self.lone) == 1
            (self.found.matches if only and match.keyword else self.found.refused).append(match)
        self.found.matches.sort(key=lambda match: (match.node.lineno, match.node.col_offset))
        return self.found
