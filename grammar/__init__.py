"""The annotation language: comments and calls in source code in, domains and what they describe out.

To read in this order: `domains` (what may stand somewhere), `text` (from comments to annotations),
`attachment` (which expression an annotation describes), `calls` (the spelling as calls), `module` (a whole
file), `requirements` (names in clauses), `check` (all mistakes of a file), `project` (which files may hold
annotations of a program), `mistakes` (the tables of malformed examples). Each imports only what is named
before it, and `mistakes`. Knows Lark and the standard
library's `ast`, and nothing of torch.

Laws, in `tests/grammar`: what is printed is parsed to the same; every malformed example gives its message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.grammar.attachment.annotation import Annotation as Annotation
    from symnas.grammar.attachment.annotation import Requirement as Requirement
    from symnas.grammar.check import CheckReport as CheckReport
    from symnas.grammar.check import check_source as check_source
    from symnas.grammar.domains.model import Candidate as Candidate
    from symnas.grammar.domains.model import Domain as Domain
    from symnas.grammar.domains.model import DynamicDomain as DynamicDomain
    from symnas.grammar.domains.model import Nested as Nested
    from symnas.grammar.domains.model import OneOfDomain as OneOfDomain
    from symnas.grammar.domains.model import OrderDomain as OrderDomain
    from symnas.grammar.domains.model import RangeDomain as RangeDomain
    from symnas.grammar.domains.model import SubsetDomain as SubsetDomain
    from symnas.grammar.domains.model import TieDomain as TieDomain
    from symnas.grammar.domains.model import format_domain as format_domain
    from symnas.grammar.module import ParsedModule as ParsedModule
    from symnas.grammar.module import parse_module as parse_module
    from symnas.grammar.text.annotation import AnnotationText as AnnotationText
    from symnas.grammar.text.annotation import format_annotation as format_annotation
    from symnas.grammar.text.annotation import parse_annotation as parse_annotation

_HOMES = {
    "Annotation": "attachment.annotation",
    "AnnotationText": "text.annotation",
    "Candidate": "domains.model",
    "CheckReport": "check",
    "Domain": "domains.model",
    "DynamicDomain": "domains.model",
    "Nested": "domains.model",
    "OneOfDomain": "domains.model",
    "OrderDomain": "domains.model",
    "ParsedModule": "module",
    "RangeDomain": "domains.model",
    "Requirement": "attachment.annotation",
    "SubsetDomain": "domains.model",
    "TieDomain": "domains.model",
    "check_source": "check",
    "format_annotation": "text.annotation",
    "format_domain": "domains.model",
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
