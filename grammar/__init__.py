"""The annotation language: comments and calls in source code in, domains and what they describe out.

To read in this order: `model` (what an annotation is), `text` (from comments to annotations), `attachment`
(what an annotation describes), `calls` (the spelling as calls), `module` (a whole file), `check` (all
mistakes of a file), `mistakes` (the tables of malformed examples). Knows Lark and the standard library's
`ast`, and nothing of torch.

Laws, in `tests/grammar`: what is printed is parsed to the same; every malformed example gives its message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.grammar.check import CheckReport as CheckReport
    from symnas.grammar.check import check_source as check_source
    from symnas.grammar.model import Annotation as Annotation
    from symnas.grammar.model import AnnotationText as AnnotationText
    from symnas.grammar.model import Candidate as Candidate
    from symnas.grammar.model import Domain as Domain
    from symnas.grammar.model import DynamicDomain as DynamicDomain
    from symnas.grammar.model import Nested as Nested
    from symnas.grammar.model import OneOfDomain as OneOfDomain
    from symnas.grammar.model import OrderDomain as OrderDomain
    from symnas.grammar.model import ParsedModule as ParsedModule
    from symnas.grammar.model import RangeDomain as RangeDomain
    from symnas.grammar.model import Requirement as Requirement
    from symnas.grammar.model import SubsetDomain as SubsetDomain
    from symnas.grammar.model import TieDomain as TieDomain
    from symnas.grammar.module import parse_module as parse_module
    from symnas.grammar.printer import format_annotation as format_annotation
    from symnas.grammar.printer import format_domain as format_domain
    from symnas.grammar.text.annotation import parse_annotation as parse_annotation

_HOMES = {
    "Annotation": "model",
    "AnnotationText": "model",
    "Candidate": "model",
    "CheckReport": "check",
    "Domain": "model",
    "DynamicDomain": "model",
    "Nested": "model",
    "OneOfDomain": "model",
    "OrderDomain": "model",
    "ParsedModule": "model",
    "RangeDomain": "model",
    "Requirement": "model",
    "SubsetDomain": "model",
    "TieDomain": "model",
    "check_source": "check",
    "format_annotation": "printer",
    "format_domain": "printer",
    "parse_annotation": "text.annotation",
    "parse_module": "module",
}

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

__getattr__, __dir__ = lazy(__name__, _HOMES)
