"""What reading an annotated source yields: domains, candidates, annotations. Plain frozen data.

Equality of domains and candidates is by meaning (texts, labels, numbers); syntax-tree nodes are carried along
but never compared, so that the two spellings and a printed and re-read domain compare equal.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from symnas.errors import AnnotationError, Location

Label: TypeAlias = str | int | float | bool | None
Number: TypeAlias = int | float
Default: TypeAlias = int | float | tuple[int, ...] | None
"""Of a one-of: the candidate's index. Of a subset or an order: a tuple of indices. Of a range: the number
itself. None where it is known only at run time, and always for a tie."""

Role: TypeAlias = Literal[
    "expression", "turns", "parameter", "class attribute", "dataclass field", "module constant"
]


@dataclass(frozen=True)
class Nested:
    """A choice inside a candidate; unpacks as `node, domain`.

    Args:
        node: the node inside the candidate's `expr` to replace. In a comment it is a placeholder `ast.Name`
            that stands where the nested domain was written; in the call spelling it is the inner call itself.
        domain: what may stand there.
        default: as `Annotation.default`, but never None for a comment: what the code has there where the
            candidate is the one found in the code, else the first candidate, the lowest number, the first
            `low` candidates.
        name: `name=` of an inner call, else None.
    """

    node: ast.expr = field(compare=False)
    domain: Domain
    default: Default = field(default=None, compare=False)
    name: str | None = None

    def __iter__(self) -> Iterator[object]:
        """Unpack as the pair `node, domain`."""
        return iter((self.node, self.domain))


@dataclass(frozen=True)
class Candidate:
    """One thing a choice may be.

    Args:
        text: Python source as written, on one line; nested domains included.
        expr: `text` parsed; every node carries its line and column in the file. In the call spelling it is
            the very node of the module's tree (of a lambda without parameters: its body, since such a
            candidate is made on demand).
        label: what decisions store. A literal is its own value; anything else its shortest distinct text.
        weight: prior weight as written (not normalised), or None. All candidates of a domain have one, or
            none has.
        nested: the choices inside, outermost ones only, in the order of the text.
        named: whether the label was written (`conv: nn.Conv2d(...)`).
    """

    text: str
    expr: ast.expr = field(compare=False)
    label: Label
    weight: float | None = None
    nested: tuple[Nested, ...] = ()
    named: bool = False

    def __eq__(self, other: object) -> bool:
        """Compare by meaning; `True`, `1` and `1.0` are different labels."""
        if not isinstance(other, Candidate):
            return NotImplemented
        mine = (self.text, type(self.label), self.label, self.weight, self.nested, self.named)
        return mine == (other.text, type(other.label), other.label, other.weight, other.nested, other.named)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash((self.text, self.label, self.weight, self.named))


class _Printed:
    """A domain whose `str` is its text in the language."""

    __slots__ = ()

    def __str__(self) -> str:
        """Print as `format_domain` does."""
        # Deferred, since the printer reads this module.
        from symnas.grammar.printer import format_domain

        return format_domain(self)  # type: ignore[arg-type]


@dataclass(frozen=True)
class OneOfDomain(_Printed):
    """`{a, b, c}`: one of the candidates."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class SubsetDomain(_Printed):
    """`2 of {…}`, `1..3 of {…}`: between `low` and `high` of the candidates."""

    candidates: tuple[Candidate, ...]
    low: int
    high: int
    ordered: bool = False
    repeats: bool = False


@dataclass(frozen=True)
class OrderDomain(_Printed):
    """`order of {…}`: all candidates, in some order."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class RangeDomain(_Printed):
    """`1..6`, `16..256 step 16`, `16..256 x 2`, `0.0..0.5`, `log 1e-4..1e-1`.

    Args:
        low: smallest value; an int when all numbers of the range are, else a float (then `high` and `step`
            are too).
        high: largest value, itself included where the grid hits it.
        step: distance of neighbours, or None (every integer, or every real number).
        factor: ratio of neighbours; integer ranges only.
        log: whether values are drawn evenly on a logarithmic scale.
    """

    low: Number
    high: Number
    step: Number | None = None
    factor: int | None = None
    log: bool = False

    @property
    def integer(self) -> bool:
        """Whether the values are integers."""
        return isinstance(self.low, int)

    def lies_within(self, value: object) -> bool:
        """Whether `value` is a number of the range's kind between its ends (an int may stand for a real)."""
        if isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float)):
            return False
        return self.low <= value <= self.high

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the values, grid included."""
        if not self.lies_within(value):
            return False
        assert isinstance(value, int | float)
        if self.factor is not None:
            return value in self.values()
        if self.step is None:
            return True
        if isinstance(self.step, int) and isinstance(value, int):
            return (value - int(self.low)) % self.step == 0
        turns = (value - self.low) / self.step
        return math.isclose(turns, round(turns), abs_tol=1e-9)

    def values(self) -> tuple[int, ...]:
        """All values of an integer range, ascending."""
        if not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise TypeError("a real range has no list of values")
        if self.factor is None:
            return tuple(range(self.low, self.high + 1, int(self.step or 1)))
        found = [self.low]
        while found[-1] * self.factor <= self.high:
            found.append(found[-1] * self.factor)
        return tuple(found)


@dataclass(frozen=True)
class TieDomain(_Printed):
    """`same as ADDRESS`: whatever the point at that address is."""

    address: str


@dataclass(frozen=True)
class DynamicDomain(_Printed):
    """A call whose candidates or bounds are known only when it runs (`oneof(KERNELS)`, `intv(1, depth)`).

    Args:
        kind: name of the called function: oneof, manyof, permutate, intv, floatv.
        arguments: parameter name -> node in the module's tree, for every argument passed (`candidates`, `k`,
            `low`, …). They are evaluated at run time, in the scope of the call.
    """

    kind: str
    arguments: tuple[tuple[str, ast.expr], ...] = field(compare=False)

    def argument(self, name: str) -> ast.expr | None:
        """Return the node passed for the parameter `name`, or None."""
        return dict(self.arguments).get(name)


Domain: TypeAlias = OneOfDomain | SubsetDomain | OrderDomain | RangeDomain | TieDomain | DynamicDomain
Choices: TypeAlias = OneOfDomain | SubsetDomain | OrderDomain


@dataclass(frozen=True)
class AnnotationText:
    """One annotation text, read but not attached to any code.

    Args:
        domain: None where the text is only `require` clauses.
        target: NAME of `NAME in DOMAIN`.
        name: NAME of `as NAME`.
        shared: whether the word `shared` was there.
        requires: expressions of the `require` clauses, as written.
    """

    domain: Domain | None
    target: str | None = None
    name: str | None = None
    shared: bool = False
    requires: tuple[str, ...] = ()


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


@dataclass(frozen=True, eq=False)
class ParsedModule:
    """Everything that was read in one source.

    Args:
        tree: the module's syntax tree, line numbers shifted by `first_line`; empty where Python itself cannot
            read it.
        annotations: in the order of the nodes they describe.
        requirements: comments of `require` clauses alone.
        errors: every mistake, in the order of the text.
        warnings: comments that look like a misspelt `# search:`.
    """

    tree: ast.Module
    annotations: tuple[Annotation, ...]
    errors: tuple[AnnotationError, ...]
    requirements: tuple[Requirement, ...] = ()
    warnings: tuple[AnnotationError, ...] = ()
