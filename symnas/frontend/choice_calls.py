"""Choice points spelled as calls; the names are PyGlove's, the meaning is that of a `# search:` comment.

Outside a run each returns its default, so annotated code runs as it is. Candidates that are lambdas without
parameters are called when chosen: they build what they stand for on demand.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any, Protocol, TypeVar, overload

from symnas._typing import Label
from symnas.errors import ProgramError
from symnas.frontend.run import RUN
from symnas.grammar.domains.model import FORMS
from symnas.tree import choices

T = TypeVar("T")
Built = TypeVar("Built", covariant=True)


class Lambda(Protocol[Built]):
    """A lambda without parameters, as type checkers see one: what it returns is the candidate.

    A function with a name looks the same to them when it takes nothing, though it is a candidate itself.
    """

    __code__: CodeType

    def __call__(self) -> Built:
        """Build the candidate."""


@overload
def oneof(
    candidates: Iterable[Lambda[T]],
    *,
    default: Lambda[T] | None = None,
    weights: Iterable[float] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> T: ...
@overload
def oneof(
    candidates: Iterable[T],
    *,
    default: T | None = None,
    weights: Iterable[float] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> T: ...
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


@overload
def manyof(
    k: int | tuple[int, int],
    candidates: Iterable[Lambda[T]],
    *,
    ordered: bool = False,
    repeats: bool = False,
    default: Iterable[Lambda[T]] | None = None,
    weights: Iterable[float] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> list[T]: ...
@overload
def manyof(
    k: int | tuple[int, int],
    candidates: Iterable[T],
    *,
    ordered: bool = False,
    repeats: bool = False,
    default: Iterable[T] | None = None,
    weights: Iterable[float] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> list[T]: ...
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
) -> list[Any]:
    """Choose `k` of the candidates, or between `k[0]` and `k[1]` of them.

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
    chosen: list[Any] = _plain("manyof", k, candidates, **given, name=name, shared=shared)
    return chosen


@overload
def permutate(
    candidates: Iterable[Lambda[T]],
    *,
    default: Iterable[Lambda[T]] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> list[T]: ...
@overload
def permutate(
    candidates: Iterable[T],
    *,
    default: Iterable[T] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> list[T]: ...
def permutate(
    candidates: Iterable[Any],
    *,
    default: Iterable[Any] | None = None,
    name: str | None = None,
    shared: bool = False,
) -> list[Any]:
    """Choose an order of the candidates, by default the one given."""
    chosen: list[Any] = _plain("permutate", candidates, default=default, name=name, shared=shared)
    return chosen


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
) -> int:
    """Choose a whole number from `low` to `high`, both included; `low` is the default."""
    given = {"step": step, "factor": factor, "log": log, "default": default}
    number: int = _plain("intv", low, high, **given, name=name, shared=shared)
    return number


def floatv(
    low: float,
    high: float,
    *,
    step: float | None = None,
    log: bool = False,
    default: float | None = None,
    name: str | None = None,
    shared: bool = False,
) -> float:
    """Choose a real number from `low` to `high`, both included; `low` is the default."""
    number: float = _plain("floatv", low, high, step=step, log=log, default=default, name=name, shared=shared)
    return number


def describe(address: str, kind: str, *args: Any, **given: Any) -> tuple[choices.Point, list[Any]]:
    """Return the point of a call whose candidates or bounds are known only now, and the candidates.

    Args:
        address: of the point.
        kind: name of the function of choice.
        args: its positional arguments.
        given: its keyword arguments.

    Raises:
        SpaceError: the arguments break a rule of the tree.
    """
    # The same rules as for what is written out (`symnas.grammar.calls`), on values in place of syntax trees.
    candidates, default, given = _bound(kind, args, given)
    log = bool(given.get("log"))
    if kind == "floatv":
        return choices.FloatRange(address, given["low"], given["high"], given.get("step"), log, default), []
    if kind == "intv":
        low, high, step = int(given["low"]), int(given["high"]), int(given.get("step") or 1)
        return choices.IntRange(address, low, high, step, given.get("factor"), log, default), []
    labels, weights = labels_of(candidates), given.get("weights")
    prior = None if weights is None else tuple(float(weight) for weight in weights)
    chosen = tuple(labels[index] for index in default)
    if kind == "oneof":
        return choices.OneOf(address, labels, chosen[0], weights=prior), candidates
    if kind == "permutate":
        return choices.Permutation(address, labels, chosen), candidates
    low, high = _ends(given["k"])
    ordered, repeats = bool(given.get("ordered")), bool(given.get("repeats"))
    return choices.ManyOf(address, labels, low, high, ordered, repeats, chosen, weights=prior), candidates


def _bound(kind: str, args: Sequence[Any], given: Mapping[str, Any]) -> tuple[list[Any], Any, dict[str, Any]]:
    """Return the candidates, the default (a number, or indices of candidates), and all arguments by name."""
    given = dict(zip(FORMS[kind][0], args, strict=False)) | dict(given)
    default = given.get("default")
    if kind in ("intv", "floatv"):
        value = given["low"] if default is None else default
        return [], float(value) if kind == "floatv" else value, given
    candidates = list(given["candidates"])
    if not candidates:
        raise ProgramError(f"{kind}: a choice has at least one candidate, got none")
    if kind == "oneof":
        return candidates, [0 if default is None else _position(candidates, default)], given
    if default is not None:
        chosen = [_position(candidates, item) for item in default]
    elif kind == "permutate":
        chosen = list(range(len(candidates)))
    else:
        low, _ = _ends(given["k"])
        chosen = [0] * low if given.get("repeats") else [index % len(candidates) for index in range(low)]
    if kind == "manyof" and not given.get("ordered"):
        chosen.sort()
    return candidates, chosen, given


def _ends(k: Any) -> tuple[int, int]:
    """Return the fewest and the most of `k`, a number or a pair."""
    return (k, k) if isinstance(k, int) else k or (0, 0)


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
    # Equal scalars stay equal, for the tree to refuse; objects of one name are told apart by their position.
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
            f"{kind}(…) was called by code that the program does not cover, at {_caller()}; name its module "
            "in `include=`, so that its choices become points"
        )
    candidates, default, _ = _bound(kind, args, given)
    if kind in ("intv", "floatv"):
        return default
    chosen = [made(candidates[index]) for index in default]
    return chosen[0] if kind == "oneof" else chosen


def _caller() -> str:
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown place"
