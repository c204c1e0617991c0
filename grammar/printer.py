"""Print domains and annotations; reading the print gives the same again."""

from __future__ import annotations

from symnas.grammar.model import (
    AnnotationText,
    Candidate,
    Domain,
    DynamicDomain,
    OneOfDomain,
    OrderDomain,
    RangeDomain,
    SubsetDomain,
    TieDomain,
)


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


def format_annotation(annotation: AnnotationText) -> str:
    """Return an annotation's text, without the words `# search:`."""
    parts = [] if annotation.target is None else [annotation.target, "in"]
    if annotation.domain is not None:
        parts.append(format_domain(annotation.domain))
    if annotation.name is not None:
        parts += ["as", annotation.name]
    if annotation.shared:
        parts.append("shared")
    for condition in annotation.requires:
        parts += ["require", condition]
    return " ".join(parts)


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
