"""Choice points spelled as calls; the names are PyGlove's, the meaning is that of a `# search:` comment.

Outside a run each returns its default, so annotated code runs as it is. Candidates that are lambdas without
parameters are called when chosen: they build what they stand for on demand.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from symnas._typing import Label
from symnas.errors import ProgramError
from symnas.frontend.run import RUN
from symnas.frontend.sites import Spec


def oneof(
    candidates: Iterable[Any],
    *,
    default: Any = None,
    weights: Iterable[float] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> Any:
    """Choose one of the candidates.

    Args:
        candidates: values, or lambdas that build them.
        default: one of the candidates; the first if absent.
        weights: prior weights, one for each candidate.
        name: what the point is called, as `as NAME`.
        shared: one decision for all turns of the enclosing loops.

    Raises:
        ProgramError: called during a run from code that is not instrumented.
    """
    return _plain("oneof", candidates, default=default, weights=weights, name=name, shared=shared)


def manyof(
    k: int | tuple[int, int],
    candidates: Iterable[Any],
    *,
    ordered: bool = False,
    repeats: bool = False,
    default: Iterable[Any] | None = None,
    weights: Iterable[float] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> Any:
    """Choose `k` of the candidates, or between `k[0]` and `k[1]` of them; returns a list.

    Args:
        k: how many, or (fewest, most).
        candidates: values, or lambdas that build them.
        ordered: whether the order counts.
        repeats: whether a candidate may be chosen more than once.
        default: a list of candidates; the first ones if absent.
        weights: prior weights, one for each candidate.
        name: what the point is called, as `as NAME`.
        shared: one decision for all turns of the enclosing loops.
    """
    given = {"ordered": ordered, "repeats": repeats, "default": default, "weights": weights}
    return _plain("manyof", k, candidates, **given, name=name, shared=shared)


def permutate(
    candidates: Iterable[Any],
    *,
    default: Iterable[Any] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> Any:
    """Choose an order of the candidates; returns a list, by default in the order given."""
    return _plain("permutate", candidates, default=default, name=name, shared=shared)


def intv(
    low: int,
    high: int,
    *,
    step: int | None = None,
    factor: int | None = None,
    log: bool = False,
    default: int | None = None,
    name: str | None = None,
    shared: bool = False,
) -> Any:
    """Choose a whole number from `low` to `high`, both included; `low` is the default."""
    given = {"step": step, "factor": factor, "log": log, "default": default}
    return _plain("intv", low, high, **given, name=name, shared=shared)


def floatv(
    low: float,
    high: float,
    *,
    step: float | None = None,
    log: bool = False,
    default: float | None = None,
    name: str | None = None,
    shared: bool = False,
) -> Any:
    """Choose a real number from `low` to `high`, both included; `low` is the default."""
    return _plain("floatv", low, high, step=step, log=log, default=default, name=name, shared=shared)


def describe(kind: str, *args: Any, **given: Any) -> tuple[Spec, list[Any]]:
    """Return the domain of a call whose candidates or bounds are known only now, and the candidates.

    Args:
        kind: name of the function of choice.
        args: its positional arguments.
        given: its keyword arguments.
    """
    default, weights = given.get("default"), given.get("weights")
    if kind in ("intv", "floatv"):
        low, high = args if len(args) == 2 else (given.get("low", *args), given["high"])
        value = low if default is None else default
        real = kind == "floatv"
        return Spec(
            "float" if real else "int", default=float(value) if real else value, low=low, high=high,
            step=given.get("step"), factor=given.get("factor"), log=bool(given.get("log")),
        ), []  # fmt: skip
    positional = list(args)
    k = (positional.pop(0) if positional else given["k"]) if kind == "manyof" else None
    candidates = list(positional[0] if positional else given["candidates"])
    labels = labels_of(candidates)
    prior = None if weights is None else tuple(float(weight) for weight in weights)
    if kind == "oneof":
        index = 0 if default is None else _position(candidates, default)
        return Spec("oneof", labels, prior, labels[index]), candidates
    if kind == "permutate":
        chosen: Iterable[int] = (
            range(len(labels)) if default is None else [_position(candidates, item) for item in default]
        )
        return Spec("permutation", labels, None, tuple(labels[index] for index in chosen)), candidates
    low, high = (k, k) if isinstance(k, int) else k or (0, 0)
    ordered, repeats = bool(given.get("ordered")), bool(given.get("repeats"))
    first = [index % len(labels) for index in range(low)] if not repeats else [0] * low
    picked = first if default is None else [_position(candidates, item) for item in default]
    picked = picked if ordered else sorted(picked)
    value = tuple(labels[index] for index in picked)
    return Spec(
        "manyof", labels, prior, value, low=low, high=high, ordered=ordered, repeats=repeats
    ), candidates


def made(candidate: Any) -> Any:
    """Return a candidate, built now if it is a lambda without parameters."""
    lazy = type(candidate) is FunctionType and candidate.__name__ == "<lambda>"
    return candidate() if lazy and not inspect.signature(candidate).parameters else candidate


def labels_of(candidates: list[Any]) -> tuple[Label, ...]:
    """Return labels for candidates known only as objects: scalars are their own, others go by their name."""
    labels: list[Label] = []
    for candidate in candidates:
        if candidate is None or isinstance(candidate, (str, bool, int, float)):
            labels.append(candidate)
        else:
            labels.append(str(getattr(candidate, "__name__", None) or type(candidate).__name__))
    seen: set[tuple[str, Label]] = set()
    distinct: list[Label] = []
    for position, label in enumerate(labels):
        key = (type(label).__name__, label)
        again = key in seen and not isinstance(candidates[position], (str, bool, int, float, type(None)))
        distinct.append(f"{label}_{position + 1}" if again else label)
        seen.add(key)
    return tuple(distinct)


def _position(candidates: list[Any], default: Any) -> int:
    for index, candidate in enumerate(candidates):
        if candidate is default or (type(candidate) is type(default) and candidate == default):
            return index
    raise ProgramError(
        f"the default of a choice is one of its candidates, got {default!r} for {candidates!r}"
    )


def _plain(kind: str, *args: Any, **given: Any) -> Any:
    if RUN.get() is not None:
        raise ProgramError(
            f"{kind}(…) was called by code that the program does not cover, at {_caller()}; name its "
            "module in "
            "`include=`, so that its choices become points"
        )
    function: Callable[..., Any] = describe
    spec, candidates = function(kind, *args, **given)
    if kind in ("intv", "floatv"):
        return spec.default
    if kind == "oneof":
        index = spec.index(spec.default)
        return made(candidates[0 if index is None else index])
    assert isinstance(spec.default, tuple)
    return [made(candidates[spec.index(label) or 0]) for label in spec.default]


def _caller() -> str:
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown place"
