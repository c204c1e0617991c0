"""Judge whether the value in the code can be a domain's default, and propose a domain that holds it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from symnas.errors import AnnotationError
from symnas.grammar.domains.labels import literal_of
from symnas.grammar.domains.model import (
    Candidate,
    Default,
    Domain,
    Number,
    OneOfDomain,
    OrderDomain,
    RangeDomain,
    SubsetDomain,
    format_domain,
)

Fail = Callable[..., AnnotationError]
_DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Lambda)


def shown(domain: Domain, width: int = 60) -> str:
    """Return a domain's text, cut where it is long."""
    text = format_domain(domain)
    return text if len(text) <= width else text[: width - 1] + "…"


def impossible(node: ast.expr, domain: Domain, fail: Fail) -> AnnotationError | None:
    """Return the error for a value that no run can turn into a member of `domain`, else None."""
    given = _clip(ast.unparse(node))
    constant = isinstance(node, ast.Constant) or literal_of(node)[0]
    display = isinstance(node, _DISPLAYS)
    match domain:
        case OneOfDomain(candidates=candidates):
            # What a class makes is new each time, so `nn.Tanh()` can be none of `{nn.ReLU(), nn.GELU()}`;
            # what a function returns, or a variable holds, may be one, which only the run tells.
            fresh = isinstance(node, ast.Call) and _is_class(node.func)
            if (constant or display) and all(_is_fixed(c, calls=True) for c in candidates):
                return fail("default-not-a-candidate", given=given, mended=mended(candidates, node))
            if fresh and all(_is_fixed(c, calls=True) and not literal_of(c.expr)[0] for c in candidates):
                return fail("default-not-a-candidate", given=given, mended=mended(candidates, node))
        case RangeDomain():
            if constant or display:
                return outside(domain, given, literal_of(node)[1], fail)
        case SubsetDomain() | OrderDomain():
            if constant or display:
                return fail("default-not-a-subset", given=given, wanted=_wanted(domain))
    return None


def _is_class(callee: ast.expr) -> bool:
    """Whether a callee is a class by its spelling; what a function returns, only the run will tell."""
    name = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "A")
    return not name.islower()


def _is_fixed(candidate: Candidate, *, calls: bool) -> bool:
    """Whether a candidate shows by its form alone what it makes (a variable does not)."""
    node = candidate.expr
    return literal_of(node)[0] or isinstance(node, _DISPLAYS) or (calls and isinstance(node, ast.Call))


def mended(candidates: Sequence[Candidate], node: ast.expr) -> str:
    """Return the choice with the code's own value among the candidates: numbers in order, else in front."""
    texts = [candidate.text for candidate in candidates]
    numbers = [_number(candidate.expr) for candidate in candidates]
    value, text = _number(node), ast.unparse(node)
    plain = all(number is not None for number in numbers) and numbers == sorted(numbers, key=float)  # type: ignore[arg-type]
    # Ascending numbers stay ascending; anything else goes in front, where the default is looked for first.
    at = 0
    if value is not None and plain:
        at = sum(1 for number in numbers if number is not None and number < value)
    own = [format_domain(OneOfDomain((candidate,)))[1:-1] for candidate in candidates]
    assert len(own) == len(texts)
    return "{" + ", ".join([*own[:at], text, *own[at:]]) + "}"


def _number(node: ast.expr) -> Number | None:
    value = literal_of(node)[1]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def outside(domain: Domain, given: str, value: object, fail: Fail) -> AnnotationError:
    """Return the error for a number that does not lie in a range."""
    assert isinstance(domain, RangeDomain)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return fail("default-outside-the-range", given=given, mended="a number is wanted there")
    if domain.integer and isinstance(value, float):
        text = f"{float(domain.low)}..{max(float(domain.high), value)}, a range of real numbers"
        return fail("default-outside-the-range", given=given, mended=text)
    low, high = min(domain.low, value), max(domain.high, value)
    wider = RangeDomain(low, high, domain.step, domain.factor, domain.log and low > 0)
    if not domain.integer:
        wider = RangeDomain(float(low), float(high), domain.step, domain.factor, domain.log and low > 0)
    return fail("default-outside-the-range", given=given, mended=format_domain(wider))


def off_grid(domain: RangeDomain, value: Default, fail: Fail) -> AnnotationError | None:
    """Return the error for a number between a range's ends that is not one of its values, or None."""
    if domain.contains(value):
        return None
    assert isinstance(value, int | float)
    if domain.integer:
        values = domain.values()
        below = max((v for v in values if v < value), default=None)
        above = min((v for v in values if v > value), default=None)
        near = " and ".join(str(v) for v in (below, above) if v is not None)
    else:
        assert domain.step is not None
        turn = int((value - domain.low) // domain.step)
        near = " and ".join(f"{domain.low + k * domain.step:g}" for k in (turn, turn + 1))
    return fail("default-off-the-grid", given=value, near=near)


def _wanted(domain: SubsetDomain | OrderDomain) -> str:
    items = ", ".join(candidate.text for candidate in domain.candidates)
    if isinstance(domain, OrderDomain):
        return f"a list of all of {items}, each once"
    count = str(domain.low) if domain.low == domain.high else f"{domain.low} to {domain.high}"
    return f"a list of {count}{'' if domain.repeats else ' different'} ones of {items}"


def _clip(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
