"""Finding algorithms by name, and making them with options.

Built-in names stand in a table here; others come from installed packages that declare the entry-point group
`symnas.algorithms`, for example in their `pyproject.toml`:

    [project.entry-points."symnas.algorithms"]
    climb = "my_package.climb:HillClimb"
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.errors import AlgorithmError, nearest

GROUP = "symnas.algorithms"

BUILT_IN: Mapping[str, str] = {
    "asha": "symnas.algorithms.multi_fidelity.asha:ASHA",
    "auto": "symnas.algorithms.auto:Auto",
    "bananas": "symnas.algorithms.bayesian.bananas:Bananas",
    "conservative-rl": "symnas.algorithms.policy_gradient.conservative_rl:ConservativeRL",
    "darts": "symnas.algorithms.relaxed.darts:DARTS",
    "darts-pt": "symnas.algorithms.relaxed.darts_pt:DARTSPT",
    "enas": "symnas.algorithms.policy_gradient.enas:ENAS",
    "enas-macro": "symnas.algorithms.policy_gradient.enas:ENASMacro",
    "evolution": "symnas.algorithms.evolutionary.regularized_evolution:RegularizedEvolution",
    "gdas": "symnas.algorithms.relaxed.gdas:GDAS",
    "grid": "symnas.algorithms.grid:Grid",
    "hyperband": "symnas.algorithms.multi_fidelity.hyperband:Hyperband",
    "local-search": "symnas.algorithms.evolutionary.local_search:LocalSearch",
    "mcts": "symnas.algorithms.tree_search.mcts:MCTS",
    "nsga2": "symnas.algorithms.evolutionary.nsga2:NSGA2",
    "optuna": "symnas.algorithms.adapters.optuna.sampler:Optuna",
    "pc-darts": "symnas.algorithms.relaxed.pc_darts:PCDARTS",
    "proxyless": "symnas.algorithms.relaxed.proxyless:Proxyless",
    "pyglove": "symnas.algorithms.adapters.pyglove.generator:PyGlove",
    "random": "symnas.algorithms.random:Random",
    "reinforce": "symnas.algorithms.policy_gradient.reinforce:Reinforce",
    "sharp-darts": "symnas.algorithms.relaxed.sharp_darts:SharpDARTS",
    "single-path": "symnas.algorithms.evolutionary.single_path:SinglePath",
    "single-path-nas": "symnas.algorithms.relaxed.single_path_nas:SinglePathNAS",
    "smbo": "symnas.algorithms.bayesian.smbo:SMBO",
    "successive-halving": "symnas.algorithms.multi_fidelity.successive_halving:SuccessiveHalving",
    "tas": "symnas.algorithms.relaxed.tas:TAS",
}

OTHER_NAMES: Mapping[str, str] = {
    "'evolution'": "ageing-evolution aging-evolution ea genetic regularised-evolution",
    "'grid'": "brute-force grid-search",
    "'hyperband', options={'inner': 'smbo'}": "bohb",
    "'local-search'": "hill-climb hill-climbing",
    "'mcts'": "monte-carlo-tree-search uct",
    "'nsga2'": "nsga-ii",
    "'random'": "random-search",
    "'reinforce'": "policy-gradient ppo rl",
    "'single-path'": "single-path-one-shot spos",
    "'smbo'": "bayes bayesian bayesian-optimisation bayesian-optimization bo gaussian-process gp",
    "'successive-halving'": "sha",
    "'proxyless'": "proxyless-nas",
    "'optuna', options={'sampler': 'cmaes'}": "cma-es CmaEsSampler",
    "'optuna', options={'sampler': 'gp'}": "GPSampler",
    "'optuna', options={'sampler': 'nsgaii'}": "NSGAIISampler",
    "'optuna', options={'sampler': 'nsgaiii'}": "nsga-iii NSGAIIISampler",
    "'optuna', options={'sampler': 'qmc'}": "qmc QMCSampler sobol",
    "'optuna', options={'sampler': 'tpe'}": "tpe TPESampler",
    "'pyglove', options={'generator': 'neat'}": "neat",
}
"""What to write instead of names that are used elsewhere; hyphens and case do not matter."""


@dataclass(frozen=True, slots=True)
class AlgorithmInfo:
    """One line of the listing of algorithms.

    Args:
        name: what `algorithm=` takes.
        summary: the first sentence of the class's docstring, or why the class cannot be imported.
        options: hyperparameters and their defaults.
        capabilities: what it takes and asks for; None when the class cannot be imported.
        source: where the class is, as `module:Class`.
    """

    name: str
    summary: str
    options: Mapping[str, Any]
    capabilities: Capabilities | None
    source: str


def names() -> tuple[str, ...]:
    """Return every name that `resolve` takes, sorted."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))}))


def available() -> tuple[AlgorithmInfo, ...]:
    """Return what is known of every algorithm, sorted by name; one that cannot be imported says why."""
    # One package that is broken must not hide all others.
    infos = []
    for name in names():
        entry = _entry(name)
        try:
            cls = _load(entry)
        except AlgorithmError as error:
            infos.append(AlgorithmInfo(name, str(error), {}, None, entry.value))
        else:
            summary = (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
            options = cls.hyperparameter_defaults()
            infos.append(AlgorithmInfo(name, summary, options, cls.capabilities, entry.value))
    return tuple(infos)


def resolve(
    algorithm: str | Algorithm | type[Algorithm], options: Mapping[str, Any] | None = None
) -> Algorithm:
    """Return a fresh algorithm that has seen nothing.

    Args:
        algorithm: a name out of `names()`, a class, or an instance, which is not used itself (its
            hyperparameters are), so that one instance may serve several searches at once.
        options: hyperparameters by name; for an instance they replace its own.

    Raises:
        AlgorithmError: the name or an option is unknown, or the constructor refuses a value.
    """
    options = dict(options or {})
    if isinstance(algorithm, Algorithm):
        cls: type[Algorithm] = type(algorithm)
        return _make(cls, cls.__name__, {**algorithm.hyperparameters, **options})
    if isinstance(algorithm, str):
        return _make(find(algorithm), algorithm, options)
    if isinstance(algorithm, type) and issubclass(algorithm, Algorithm):
        return _make(algorithm, algorithm.__name__, options)
    raise AlgorithmError(
        f"an algorithm is a name, a class or an instance of symnas.Algorithm; got {algorithm!r}: "
        + (_adapted(algorithm) or f"use one of {', '.join(names())}")
    )


def find(name: str) -> type[Algorithm]:
    """Return the class behind a name.

    Raises:
        AlgorithmError: there is no such name, or its package cannot be imported.
    """
    return _load(_entry(name))


def parse_options(pairs: Iterable[str], what: str = "an option") -> dict[str, Any]:
    """Read options as a command line gives them.

    Args:
        pairs: texts such as `population=20`, `uniform=space` or `repeats=true`. What reads as a Python
            literal is one, `true` and `false` are booleans, `none` is None, anything else is a string.
        what: what messages call one of them.

    Raises:
        AlgorithmError: a text has no `=`, or a name comes twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not name.isidentifier():
            example = name if name.isidentifier() else "population"
            raise AlgorithmError(f"{what} is written NAME=VALUE; got {pair!r}: write {example}=20, say")
        if name in options:
            raise AlgorithmError(f"a name is given once; {name!r} came twice: keep one of them")
        options[name] = _literal(text)
    return options


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _entry(name: str) -> EntryPoint:
    # First, so that no package takes a built-in name over.
    if name in BUILT_IN:
        return EntryPoint(name, BUILT_IN[name], GROUP)
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return entry
    known = names()
    raise AlgorithmError(
        f"there is no algorithm named {name!r}{_hint(name, known)}; the names are {', '.join(known)}"
    )


def _hint(name: str, known: Sequence[str]) -> str:
    """Return what may have been meant by an unknown name: a class's, another library's, a misspelt one."""
    # What is added later wins: our own names over words used elsewhere over names of classes.
    meant = {_squeezed(source.rpartition(":")[2]): f"'{own}'" for own, source in BUILT_IN.items()}
    meant |= {_squeezed(word): answer for answer, words in OTHER_NAMES.items() for word in words.split()}
    meant |= {_squeezed(own): f"'{own}'" for own in known}
    answer = meant.get(_squeezed(name))
    return f" (write algorithm={answer})" if answer else nearest(name.lower(), known)


def _adapted(given: object) -> str:
    """Return how an object of another library is used, "" where that is not known."""
    cls = given if isinstance(given, type) else type(given)
    library = cls.__module__.partition(".")[0]
    if library == "pyglove":
        return "write algorithm=symnas.algorithms.PyGlove(generator=…) for a generator of PyGlove"
    return _hint(cls.__name__, ()).strip(" ()") if library == "optuna" else ""


def _squeezed(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _load(entry: EntryPoint) -> type[Algorithm]:
    module, _, attribute = entry.value.partition(":")
    try:
        found: Any = import_module(module.strip())
        for part in attribute.strip().split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever a foreign package raises while it is imported
        raise AlgorithmError(
            f"algorithm {entry.name!r} is declared as {entry.value}, which cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        raise AlgorithmError(
            f"an entry point of {GROUP} names a subclass of symnas.Algorithm; {entry.name!r} names {found!r}"
        )
    return found


def _make(cls: type[Algorithm], name: str, options: Mapping[str, Any]) -> Algorithm:
    defaults = cls.hyperparameter_defaults()
    for option in options:
        if option not in defaults:
            raise AlgorithmError(
                f"algorithm {name} has no option {option!r}{nearest(option, defaults)}; "
                f"its options are {', '.join(defaults) or 'none'}"
            )
    try:
        made = cls(**options)
    except TypeError as error:
        raise AlgorithmError(f"algorithm {name} refuses {dict(options)}: {error}") from error
    # An argument that the constructor did not keep is told now, not in the middle of a study.
    dict(made.hyperparameters)
    return made
