"""The search space as data: points, decisions, batches, and everything vectorised over them. No torch.

To read in this order: `point`, `choices` and `ranges` are the nodes of the tree, `subsets` the values of
those that choose several; `layout` numbers points and gives each a column; `activity` says which exist under
which codes, `rows` does the same for one decision and writes and reads it. On columns work `sampling`,
`scalar_sampling`, `mutation`, `neighbours`, `enumeration`, `encoding`; `counting` and `coupled_counting` say
how many decisions there are, `uniform_sampling` draws by these counts; `admission` (over `requirements`)
keeps all of this within clauses. `compiled` holds all of them for a space, and `space` has what users see:
`Space`, `Decision`, `Batch`. `restriction` makes other spaces, `serialization` (with patterns of addresses),
`outline` text, `covering` a few decisions that meet everything, `statistics` tables of trials.

Laws, in `tests/tree`: a decision survives JSON, rows and encodings; counting, enumerating and sampling
agree; a replaced or mutated decision is complete; two spaces are equal exactly when their trees are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.tree.choices import ManyOf as ManyOf
    from symnas.tree.choices import OneOf as OneOf
    from symnas.tree.choices import Permutation as Permutation
    from symnas.tree.choices import Tied as Tied
    from symnas.tree.point import Branch as Branch
    from symnas.tree.point import Guard as Guard
    from symnas.tree.point import Point as Point
    from symnas.tree.ranges import FloatRange as FloatRange
    from symnas.tree.ranges import IntRange as IntRange
    from symnas.tree.space import Batch as Batch
    from symnas.tree.space import Decision as Decision
    from symnas.tree.space import Difference as Difference
    from symnas.tree.space import Space as Space
    from symnas.tree.space import product as product
    from symnas.tree.statistics import CandidateStatistics as CandidateStatistics
    from symnas.tree.statistics import PointStatistics as PointStatistics
    from symnas.tree.statistics import Statistics as Statistics

_HOMES = {
    "Batch": "space",
    "Branch": "point",
    "CandidateStatistics": "statistics",
    "Decision": "space",
    "Difference": "space",
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
