"""The kinds of domains and their candidates, and how they are printed: plain frozen data.

Equality of domains and candidates is by meaning (texts, labels, numbers); syntax-tree nodes are carried along
but never compared, so that the two spellings and a printed and re-read domain compare equal.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from symnas._typing import Label

Number: TypeAlias = int | float
Default: TypeAlias = int | float | tuple[int, ...] | None
"""Of a one-of: the candidate's index. Of a subset or an order: a tuple of indices. Of a range: the number
itself. None where it is known only at run time, and always for a tie."""


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
        from symnas.grammar.domains.model import format_domain

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


FORMS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "oneof": (("candidates",), ("default", "weights", "name", "shared")),
    "manyof": (("k", "candidates"), ("ordered", "repeats", "default", "weights", "name", "shared")),
    "permutate": (("candidates",), ("default", "name", "shared")),
    "intv": (("low", "high"), ("step", "factor", "log", "default", "name", "shared")),
    "floatv": (("low", "high"), ("step", "log", "default", "name", "shared")),
}
"""The functions of choice and the names of their arguments: those that must be given, by position or by name,
and those that are given by name or left out."""


@dataclass(frozen=True)
class DynamicDomain(_Printed):
    """A call whose candidates or bounds are known only when it runs (`oneof(KERNELS)`, `intv(1, depth)`).

    Args:
        kind: name of the called function, one of `FORMS`.
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


def format_domain(domain: Domain) -> str:
    """Return a domain's text, such as `{16, 32, 64}` or `log 0.0001..0.1`."""
    match domain:
        case OneOfDomain():
            return _braces(domain.candidates)
        case SubsetDomain():
            count = str(domain.low) if domain.low == domain.high else f"{domain.low}..{domain.high}"
            tail = " with repeats" * domain.repeats + " ordered" * domain.ordered
            return f"{count} of {_braces(domain.candidates)}{tail}"
        case OrderDomain():
            return f"order of {_braces(domain.candidates)}"
        case RangeDomain():
            return _range(domain)
        case TieDomain():
            return f"same as {domain.address}"
        case DynamicDomain():
            return f"{domain.kind}(…)"


def _braces(candidates: tuple[Candidate, ...]) -> str:
    return "{" + ", ".join(map(_candidate, candidates)) + "}"


def _candidate(candidate: Candidate) -> str:
    label = f"{candidate.label}: " if candidate.named else ""
    weight = "" if candidate.weight is None else f" @ {candidate.weight!r}"
    return f"{label}{candidate.text}{weight}"


def _range(domain: RangeDomain) -> str:
    head = "log " if domain.log else ""
    if domain.step is not None:
        tail = f" step {domain.step!r}"
    else:
        tail = "" if domain.factor is None else f" x {domain.factor}"
    return f"{head}{domain.low!r}..{domain.high!r}{tail}"
