"""Where things were before there were packages, for what was written down then.

Version 0.1.0 had its modules in one folder. Pickles of that time name them, code imports from them, and
studies keep hashes of evaluators that mention what was in them. The table is closed: fingerprints call what
came later by its name alone, so that no later move changes a study.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

# Of each row: the package where things are (or the module, of what no facade shows), the module where they
# were, the names that pickles of data hold, which are found without a word, and those that only code imports.
# `OLD=NEW` is called otherwise now.
_TABLE = (
    ("algorithms", "algorithms.asha", "", "ASHA"),
    ("algorithms", "algorithms.auto", "", "Auto"),
    ("algorithms", "algorithms.bananas", "", "Bananas"),
    ("algorithms", "algorithms.conservative_rl", "", "ConservativeRL"),
    ("algorithms", "algorithms.darts", "", "DARTS"),
    ("algorithms", "algorithms.darts_pt", "", "DARTSPT"),
    ("algorithms", "algorithms.enas", "", "ENAS ENASMacro"),
    ("algorithms", "algorithms.evolution", "", "RegularizedEvolution"),
    ("algorithms", "algorithms.gdas", "", "GDAS"),
    ("algorithms", "algorithms.grid", "", "Grid"),
    ("algorithms", "algorithms.halving", "", "SuccessiveHalving"),
    ("algorithms", "algorithms.hyperband", "", "Hyperband"),
    ("algorithms", "algorithms.local_search", "", "LocalSearch"),
    ("algorithms", "algorithms.mcts", "", "MCTS"),
    ("algorithms", "algorithms.nsga2", "", "NSGA2"),
    ("algorithms", "algorithms.optuna_sampler", "", "Optuna"),
    ("algorithms", "algorithms.pc_darts", "", "PCDARTS"),
    ("algorithms", "algorithms.proxyless", "", "Proxyless"),
    ("algorithms", "algorithms.pyglove_generator", "", "PyGlove as_dna_generator"),
    ("algorithms", "algorithms.random", "", "Random"),
    ("contracts", "algorithms.registry", "", "AlgorithmInfo available find names parse_options resolve"),
    ("algorithms", "algorithms.reinforce", "", "Reinforce"),
    ("algorithms", "algorithms.sharp_darts", "", "SharpDARTS"),
    ("algorithms", "algorithms.single_path", "", "SinglePath"),
    ("algorithms", "algorithms.single_path_nas", "", "SinglePathNAS"),
    ("algorithms", "algorithms.smbo", "", "SMBO"),
    ("algorithms", "algorithms.tas", "", "TAS"),
    ("constraints", "requirements", "", "Violation check demand is_feasible sample"),
    ("contracts", "algorithm", "Prediction", "Algorithm Capabilities"),
    ("contracts", "fidelity", "", "Proposal"),
    ("contracts", "outcome", "Outcome Status", "RUNNING"),
    ("contracts", "pareto", "", "crowded_order crowding hypervolume pareto_front ranks"),
    ("contracts", "relaxation", "", "Mix=Mixture RelaxedPoint"),
    ("contracts", "relaxed_algorithm", "", "RelaxedAlgorithm"),
    ("contracts.objectives", "objectives", "Objectives", ""),
    ("contracts.pareto", "pareto", "", "dominance"),
    ("cost", "profile", "ModuleProfile Profile", "profile"),
    ("cost.profiling", "profile", "", "count_parameters"),
    ("export.generated_module", "generated", "_rebuild load", ""),
    ("features", "slices", "", "register_slicing"),
    ("frontend", "choices", "", "floatv intv manyof oneof permutate"),
    ("grammar", "grammar.annotation", "", "parse_annotation"),
    ("grammar", "grammar.check", "", "CheckReport check_source"),
    ("grammar", "grammar.model", "Annotation AnnotationText Candidate DynamicDomain Nested", ""),
    ("grammar", "grammar.model", "OneOfDomain OrderDomain ParsedModule RangeDomain Requirement", ""),
    ("grammar", "grammar.model", "SubsetDomain TieDomain", ""),
    ("grammar", "grammar.module", "", "parse_module"),
    ("grammar", "grammar.printer", "", "format_annotation format_domain"),
    ("interop", "pyglove_bridge", "", "dna_spec from_dna space_from_spec to_dna"),
    ("interop.pyglove", "pyglove_bridge", "TemplateReference", ""),
    ("oneshot", "rank_correlation", "RankCorrelation", "kendall_tau rank_correlation"),
    ("oneshot", "shared_policies", "", "Delayed Fair Path Policy Proposed Sandwich Sorted Uniform"),
    ("oneshot", "shared_schedules", "", "Guided Progressive"),
    ("oneshot", "shared_weights", "", "SharedWeights"),
    ("oneshot.run", "shared_run", "soft_cross_entropy", ""),
    ("programs", "program", "", "Program"),
    ("programs.program", "program", "program", ""),
    ("programs.references", "references", "Reference", ""),
    ("relaxed", "relaxed", "", "Relaxed"),
    ("relaxed", "relaxed_epochs", "Epoch", ""),
    ("relaxed", "relaxed_search", "", "Derived RelaxedSearch relax"),
    ("study", "pruners", "", "Median Pruner SuccessiveHalving"),
    ("study", "study", "Study StudySummary", "load_study studies"),
    ("study", "trial", "Trial", ""),
    ("study", "trial_context", "", "RunningTrial TrialPruned current_trial"),
    ("study.trials.kept_weights", "weights", "WeightsKeeper=KeptWeights", ""),
    ("study.search", "search", "", "search"),
    ("study.store", "store", "Event StudyRow", "MemoryStore Store open_store"),
    ("study.trials.trial", "trial", "Home=StudyContext", ""),
    ("supernet", "calibration", "", "recalibrate"),
    ("supernet", "slice_optimizer", "", "SliceOptimizer"),
    ("supernet", "supernet", "", "Supernet"),
    ("testing", "random_spaces", "", "random_space"),
    ("testing", "testing", "", "AlgorithmContract planted planted_pair simulate small_space"),
    ("training", "shared_recipes", "", "cosine_restarts linear nesterov"),
    ("training", "task", "Task", ""),
    ("training", "training", "", "Training"),
    ("training.random_state", "isolation", "RandomStream", ""),
    ("training.split", "held_out", "", "part"),
    ("training.task", "task", "adam", ""),
    ("tree", "batch", "Batch", ""),
    ("tree", "decision", "Decision", "Difference"),
    ("tree", "nodes", "ManyOf OneOf Permutation Tied", ""),
    ("tree", "point", "Branch Guard Point", ""),
    ("tree", "ranges", "FloatRange IntRange", ""),
    ("tree", "space", "Space", "product"),
    ("tree", "statistics", "CandidateStatistics PointStatistics Statistics", ""),
)


class _Place(NamedTuple):
    """Where a name is now, and whether to say so to whoever looks for it where it was."""

    home: str
    name: str
    silent: bool

    def found(self) -> Any:
        """Return the thing itself, from the front door where that shows it."""
        front = sys.modules["symnas"]
        module = front if self.name in front.__all__ else import_module(f"symnas.{self.home}")
        return getattr(module, self.name)

    def __str__(self) -> str:
        public = self.name in sys.modules["symnas"].__all__
        return f"symnas.{self.name}" if public else f"symnas.{self.home}.{self.name}"


@cache
def _places() -> dict[str, dict[str, _Place]]:
    """Return what every module of the time before held: names of things by the module's name."""
    places: dict[str, dict[str, _Place]] = {}
    for home, module, silent, told in _TABLE:
        held = places.setdefault(f"symnas.{module}", {})
        for names, quiet in ((silent, True), (told, False)):
            for old, _, new in (name.partition("=") for name in names.split()):
                held[old] = _Place(home, new or old, quiet)
    return places


@cache
def _paths_before() -> dict[tuple[str, str], str]:
    """Return the whole old path of every name of a package."""
    return {
        (place.home.partition(".")[0], place.name): f"{module}.{old}"
        for module, held in _places().items()
        for old, place in held.items()
    }


def lasting_name(module: str, qualname: str) -> str:
    """Return what hashes that studies keep call a class or a function of SymNAS.

    Args:
        module: where it is.
        qualname: its name there.
    """
    if module == "symnas.errors" or module.startswith("symnas.spaces."):
        return f"{module}.{qualname}"  # these modules are public themselves, and stay
    package = module.split(".")[1] if "." in module else ""
    name, dot, rest = qualname.partition(".")
    return f"{_paths_before().get((package, name), f'symnas.{name}')}{dot}{rest}"


class _Before(ModuleType):
    """A module of the time before, without anything of its own."""

    def __getattr__(self, name: str) -> Any:
        place = _places()[self.__name__].get(name)
        if place is None:
            raise AttributeError(
                f"{self.__name__!r} is in packages now, and {name!r} is not to be found there"
            )
        if not place.silent:
            text = f"{self.__name__}.{name} is {place} now; the old path will be gone in the next version"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
        return place.found()

    def __dir__(self) -> list[str]:
        return sorted(_places()[self.__name__])


class _Finder(MetaPathFinder, Loader):
    """Finds modules of the time before, where no other finder finds any of that name."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in _places() else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Before(spec.name, "Where things were in version 0.1.0.")

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is nothing in it."""


def install(public: Iterable[str]) -> None:
    """Let imports find the modules of the time before.

    Args:
        public: names of the front door. An import of a module of that name would put the module in the place
            of the public thing; so these are there already, and imports only look them up.
    """
    sys.meta_path.append(_Finder())
    for name in public:
        if f"symnas.{name}" in _places():
            sys.modules[f"symnas.{name}"] = _Before(f"symnas.{name}")
