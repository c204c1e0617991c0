"""The annotation language: comments and calls in source code in, domains and what they describe out.

Knows Lark and the standard library's `ast`, and nothing of torch.
"""

from __future__ import annotations

from symnas.grammar.annotation import parse_annotation
from symnas.grammar.check import CheckReport, check_source
from symnas.grammar.model import (
    Annotation,
    AnnotationText,
    Candidate,
    Domain,
    DynamicDomain,
    Nested,
    OneOfDomain,
    OrderDomain,
    ParsedModule,
    RangeDomain,
    Requirement,
    SubsetDomain,
    TieDomain,
)
from symnas.grammar.module import parse_module
from symnas.grammar.printer import format_annotation, format_domain

__all__ = [
    "Annotation",
    "AnnotationText",
    "Candidate",
    "CheckReport",
    "Domain",
    "DynamicDomain",
    "Nested",
    "OneOfDomain",
    "OrderDomain",
    "ParsedModule",
    "RangeDomain",
    "Requirement",
    "SubsetDomain",
    "TieDomain",
    "check_source",
    "format_annotation",
    "format_domain",
    "parse_annotation",
    "parse_module",
]
