"""The search space as data: points, decisions, batches, and everything vectorised over them. No torch.

To read in this order: `point`, `choices` and `ranges` are the nodes of the tree; `layout` numbers them and
gives each a column; `activity` tells which columns count under which values; `space` holds the three things
that users see, `Space`, `Decision` and `Batch`. Then what works on columns: `counting`, `coupled_counting`
and `subsets` (how many), `sampling`, `scalar_sampling` and `uniform_sampling` (draw), `mutation`,
`neighbours`, `enumeration`, `covering`, `encoding`; and what turns trees into others or into text:
`restriction`, `address_patterns`, `serialization`, `outline`, `rendering`, `statistics`.

Laws, in `tests/tree`: a decision survives JSON, rows and encodings; counting, enumerating and sampling
agree; a replaced or mutated decision is complete; two spaces are equal exactly when their trees are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.tree.batch import Batch as Batch
    from symnas.tree.choices import ManyOf as ManyOf
    from symnas.tree.choices import OneOf as OneOf
    from symnas.tree.choices import Permutation as Permutation
    from symnas.tree.choices import Tied as Tied
    from symnas.tree.decision import Decision as Decision
    from symnas.tree.decision import Difference as Difference
    from symnas.tree.point import Branch as Branch
    from symnas.tree.point import Guard as Guard
    from symnas.tree.point import Point as Point
    from symnas.tree.ranges import FloatRange as FloatRange
    from symnas.tree.ranges import IntRange as IntRange
    from symnas.tree.space import Space as Space
    from symnas.tree.space import product as product
    from symnas.tree.statistics import CandidateStatistics as CandidateStatistics
    from symnas.tree.statistics import PointStatistics as PointStatistics
    from symnas.tree.statistics import Statistics as Statistics

_HOMES = {
    "Batch": "batch",
    "Branch": "point",
    "CandidateStatistics": "statistics",
    "Decision": "decision",
    "Difference": "decision",
    "FloatRange": "ranges",
    "Guard": "point",
    "IntRange": "ranges",
    "ManyOf": "choices",
    "OneOf": "choices",
    "Permutation": "choices",
    "Point": "point",
    "PointStatistics": "statistics",
    "Space": "space",
    "Statistics": "statistics",
    "Tied": "choices",
    "product": "space",
}

__all__ = [
    "Batch",
    "Branch",
    "CandidateStatistics",
    "Decision",
    "Difference",
    "FloatRange",
    "Guard",
    "IntRange",
    "ManyOf",
    "OneOf",
    "Permutation",
    "Point",
    "PointStatistics",
    "Space",
    "Statistics",
    "Tied",
    "product",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
