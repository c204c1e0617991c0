"""Annotate ordinary PyTorch code, get a tree of decisions, search it with anything, get plain PyTorch back.

Every public name is imported when it is first used, so that `import symnas` loads no torch and no database.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from symnas._lazy import lazy
from symnas._version import __version__ as __version__


if TYPE_CHECKING:
    from symnas import algorithms as algorithms
    from symnas import errors as errors
    from symnas.algorithm import Algorithm as Algorithm
    from symnas.algorithm import Capabilities as Capabilities
    from symnas.algorithm import Prediction as Prediction
    from symnas.batch import Batch as Batch
    from symnas.choices import floatv as floatv
    from symnas.choices import intv as intv
    from symnas.choices import manyof as manyof
    from symnas.choices import oneof as oneof
    from symnas.choices import permutate as permutate
    from symnas.decision import Decision as Decision
    from symnas.errors import SymnasError as SymnasError
    from symnas.nodes import Branch as Branch
    from symnas.nodes import FloatRange as FloatRange
    from symnas.nodes import Guard as Guard
    from symnas.nodes import IntRange as IntRange
    from symnas.nodes import ManyOf as ManyOf
    from symnas.nodes import OneOf as OneOf
    from symnas.nodes import Permutation as Permutation
    from symnas.nodes import Point as Point
    from symnas.nodes import Tied as Tied
    from symnas.outcome import Outcome as Outcome
    from symnas.outcome import Status as Status
    from symnas.program import Program as Program
    from symnas.program import program as program
    from symnas.rank_correlation import rank_correlation as rank_correlation
    from symnas.search import search as search
    from symnas.shared_weights import SharedWeights as SharedWeights
    from symnas.space import Space as Space
    from symnas.space import product as product
    from symnas.study import Study as Study
    from symnas.study import load_study as load_study
    from symnas.study import studies as studies
    from symnas.task import Task as Task

_HOMES = {
    "Algorithm": "algorithm",
    "Batch": "batch",
    "Branch": "nodes",
    "Capabilities": "algorithm",
    "Decision": "decision",
    "FloatRange": "nodes",
    "Guard": "nodes",
    "IntRange": "nodes",
    "ManyOf": "nodes",
    "OneOf": "nodes",
    "Outcome": "outcome",
    "Permutation": "nodes",
    "Point": "nodes",
    "Prediction": "algorithm",
    "Program": "program",
    "SharedWeights": "shared_weights",
    "Space": "space",
    "Status": "outcome",
    "Study": "study",
    "SymnasError": "errors",
    "Task": "task",
    "Tied": "nodes",
    "floatv": "choices",
    "intv": "choices",
    "load_study": "study",
    "manyof": "choices",
    "oneof": "choices",
    "permutate": "choices",
    "product": "space",
    "program": "program",
    "rank_correlation": "rank_correlation",
    "search": "search",
    "studies": "study",
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


class _Facade(ModuleType):
    """The package, in which a public function wins over the module of the same name (`program`, `search`)."""

    def __setattr__(self, name: str, value: object) -> None:
        # Importing the module symnas.program sets this attribute; symnas.program(...) must stay the function.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Facade


__getattr__, __dir__ = lazy(__name__, _HOMES, _MODULES)
