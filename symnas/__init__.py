"""Annotate ordinary PyTorch code, get a tree of decisions, search it with anything, get plain PyTorch back.

Every public name is imported when it is first used, so that `import symnas` loads no torch and no database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy
from symnas._moved import install
from symnas._version import __version__ as __version__

if TYPE_CHECKING:
    from symnas import algorithms as algorithms
    from symnas import errors as errors
    from symnas.contracts.algorithm import Algorithm as Algorithm
    from symnas.contracts.algorithm import Capabilities as Capabilities
    from symnas.contracts.algorithm import Prediction as Prediction
    from symnas.contracts.outcome import Outcome as Outcome
    from symnas.contracts.outcome import Status as Status
    from symnas.errors import SymnasError as SymnasError
    from symnas.frontend.choice_calls import floatv as floatv
    from symnas.frontend.choice_calls import intv as intv
    from symnas.frontend.choice_calls import manyof as manyof
    from symnas.frontend.choice_calls import oneof as oneof
    from symnas.frontend.choice_calls import permutate as permutate
    from symnas.oneshot.estimator import SharedWeights as SharedWeights
    from symnas.oneshot.ranking import rank_correlation as rank_correlation
    from symnas.programs.program import Program as Program
    from symnas.programs.program import program as program
    from symnas.study.search import search as search
    from symnas.study.study import Study as Study
    from symnas.study.study import load_study as load_study
    from symnas.study.study import studies as studies
    from symnas.training.task import Task as Task
    from symnas.tree.choices import Branch as Branch
    from symnas.tree.choices import FloatRange as FloatRange
    from symnas.tree.choices import Guard as Guard
    from symnas.tree.choices import IntRange as IntRange
    from symnas.tree.choices import ManyOf as ManyOf
    from symnas.tree.choices import OneOf as OneOf
    from symnas.tree.choices import Permutation as Permutation
    from symnas.tree.choices import Point as Point
    from symnas.tree.choices import Tied as Tied
    from symnas.tree.space import Batch as Batch
    from symnas.tree.space import Decision as Decision
    from symnas.tree.space import Space as Space
    from symnas.tree.space import product as product

_HOMES = {
    "Algorithm": "contracts.algorithm",
    "Batch": "tree.space",
    "Branch": "tree.choices",
    "Capabilities": "contracts.algorithm",
    "Decision": "tree.space",
    "FloatRange": "tree.choices",
    "Guard": "tree.choices",
    "IntRange": "tree.choices",
    "ManyOf": "tree.choices",
    "OneOf": "tree.choices",
    "Outcome": "contracts.outcome",
    "Permutation": "tree.choices",
    "Point": "tree.choices",
    "Prediction": "contracts.algorithm",
    "Program": "programs.program",
    "SharedWeights": "oneshot.estimator",
    "Space": "tree.space",
    "Status": "contracts.outcome",
    "Study": "study.study",
    "SymnasError": "errors",
    "Task": "training.task",
    "Tied": "tree.choices",
    "floatv": "frontend.choice_calls",
    "intv": "frontend.choice_calls",
    "load_study": "study.study",
    "manyof": "frontend.choice_calls",
    "oneof": "frontend.choice_calls",
    "permutate": "frontend.choice_calls",
    "product": "tree.space",
    "program": "programs.program",
    "rank_correlation": "oneshot.ranking",
    "search": "study.search",
    "studies": "study.study",
}
_MODULES = ("algorithms", "errors")

__all__ = [
    "Algorithm",
    "Batch",
    "Branch",
    "Capabilities",
    "Decision",
    "FloatRange",
    "Guard",
    "IntRange",
    "ManyOf",
    "OneOf",
    "Outcome",
    "Permutation",
    "Point",
    "Prediction",
    "Program",
    "SharedWeights",
    "Space",
    "Status",
    "Study",
    "SymnasError",
    "Task",
    "Tied",
    "__version__",
    "algorithms",
    "errors",
    "floatv",
    "intv",
    "load_study",
    "manyof",
    "oneof",
    "permutate",
    "product",
    "program",
    "rank_correlation",
    "search",
    "studies",
]

__getattr__, __dir__ = lazy(__name__, _HOMES, _MODULES)
install(__all__)
