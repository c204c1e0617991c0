"""Checks the law of relaxed networks on example inputs, when a network is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from symnas._typing import Value
from symnas.construction.plugging import Plugs
from symnas.construction.superposition import ConstructorRun
from symnas.contracts.relaxed_points import Mixture, RelaxedPoint
from symnas.errors import BuildError, ProgramError, SymnasError
from symnas.relaxed.mixing import Place
from symnas.tree.covering import covering

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision, Space

TOLERANCE = 1e-3
"""Largest difference between outputs, as a share of the largest: sums may be made in another order."""


class Checked(Protocol):
    """What is checked: a relaxed network, that is."""

    training: bool

    @property
    def program(self) -> ProgramView:
        """Whose it is."""

    @property
    def space(self) -> Space:
        """The program's, with what is frozen."""

    @property
    def points(self) -> Sequence[RelaxedPoint]:
        """What is relaxed."""

    @property
    def places(self) -> Mapping[str, Place]:
        """Where each point is written, by address."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, with the `mixes` of a step."""

    def train(self, mode: bool = True) -> Any:
        """Set it to training or evaluation."""

    def one_hot(self, decision: Decision, *, sparse: bool = False) -> Mapping[str, Mixture]:
        """Return the mixes under which it computes what a child computes."""

    def extract(self, decision: Decision) -> Any:
        """Build the child of a decision, with a copy of its weights."""

    def only_relaxed(self, decision: Decision) -> Mapping[str, Value]:
        """Return the values of relaxed points alone."""


def check(network: Checked, run: ConstructorRun, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Compare one-hot mixes with children, for decisions that between them take every candidate.

    Code that does more with a choice than calling it and adding up does so while it constructs, or when it
    is called. The former sees a stand-in in the constructor, and is found by children that are constructed.
    Where it was seen looking (`symnas.construction.watching`), these take every candidate of every point;
    else a few do, which between them take every candidate once that is written at a choice among modules, and
    every value of the other points. The latter is found without constructing any: the candidates themselves
    are put where their choices stand in the network, for every candidate of every point.

    Args:
        network: the relaxed network.
        run: what has made its model.
        args: of the model.
        kwargs: of the model.

    Raises:
        ProgramError: they differ: the program does more with a choice than calling it and adding up.
    """
    before = network.training
    network.train(False)
    try:
        call(network, args, kwargs)
        for decision in _suspects(network, run, args, kwargs):
            wrong = _wrong(network, decision, args, kwargs)
            if wrong:
                raise _error(network, decision, wrong, _guilty(network, decision, args, kwargs))
    finally:
        network.train(before)


def _suspects(
    network: Checked, run: ConstructorRun, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterable[Decision]:
    """Return the decisions whose children are constructed to be compared."""
    decisions = list(covering(network.space, bases=1))
    # Choices that come from the same text are alike: code around it treats all of them in one way.
    texts = {address: id(run.sites[address]) for address in run.choices}
    suspects = [*decisions[:1], *covering(network.space, bases=0, alike=texts)]
    switches = [each for each in decisions[1:] if _among_modules(decisions[0], each, run)]
    told = set() if run.looked_at else _as_candidates(network, run, switches, args, kwargs)
    suspects += [each for each in decisions[1:] if each.key not in told]
    return {each.key: each for each in suspects}.values()


def _among_modules(first: Decision, other: Decision, run: ConstructorRun) -> bool:
    """Whether two decisions differ in nothing but choices among modules, of one or of several."""
    modules = run.choices.keys() | run.subsets.keys()
    return all(
        address in modules or (address in first and first[address] == value)
        for address, value in other.items()
    )


def _as_candidates(
    network: Checked,
    run: ConstructorRun,
    decisions: Iterable[Decision],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> set[Any]:
    """Return the keys of decisions under which a network computes the same with candidates for choices.

    The chosen candidates themselves are put where their choices stand.
    """
    # Only in place of choices that nothing but calls knows of: gates and weights of edges hang on the others.
    plain = [each for each in run.mixed if not each._forward_hooks and not each._forward_pre_hooks]
    plugs = Plugs(run, plain)
    same = set()
    for decision in decisions:
        mixes = network.one_hot(decision, sparse=True)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                mixed = network(*args, **kwargs, mixes=mixes)
                with plugs.plugged(decision):
                    torch.manual_seed(0)
                    if not _difference(network(*args, **kwargs, mixes=mixes), mixed):
                        same.add(decision.key)
        except Exception:  # whatever it is, the child that is constructed will tell
            continue
    return same


def call(network: Checked, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Call a network with all candidates at once: their outputs have one shape.

    Raises:
        BuildError: the user's code raised.
    """
    before = network.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network.train(False)(*args, **kwargs)
    except SymnasError:
        raise
    except Exception as error:
        raise BuildError(
            f"calling the relaxed {network.program.name} on the example inputs failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        network.train(before)


def _wrong(network: Checked, decision: Decision, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Say what is wrong under a decision, or return an empty text."""
    child = network.extract(decision)
    results = []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for call in (child, network):
                torch.manual_seed(0)  # code may draw in evaluation, too: then both draw the same
                mixes = {"mixes": network.one_hot(decision, sparse=True)} if call is network else {}
                results.append(call(*args, **kwargs, **mixes))
    except SymnasError:
        raise
    except Exception as error:
        if not results:
            raise
        return f"it raised {type(error).__name__}: {error}"
    return _difference(*results)


def _guilty(network: Checked, decision: Decision, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the address of a point that is wrong by itself, the others as they are by default."""
    # One value changed at a time: what is wrong under it alone is to blame. Where only several together are
    # wrong, the first point is named, whose line is a place to begin.
    default = network.space.default
    for point in network.points:
        if point.address in decision and point.address in default:
            alone = default.replace({point.address: decision[point.address]}, admitted=False)
            if alone != default and _wrong(network, alone, args, kwargs):
                return point.address
    return network.points[0].address


def _error(network: Checked, decision: Decision, wrong: str, address: str) -> ProgramError:
    return ProgramError(
        f"{network.places[address].location}\nall candidates of a relaxed choice are called and what they "
        f"return is added up, which has to be all that the program does with them; with all weight on "
        f"{network.only_relaxed(decision)} this network does not compute what that child does: {wrong}. "
        f"Look around {address!r} for code that asks what was chosen (isinstance, len, names) or that does "
        "not add up what several edges return; or sample it (symnas.SharedWeights), or freeze it"
    )


def _difference(expected: Any, found: Any) -> str:
    """Say how outputs differ, or return an empty text."""
    ours, theirs = list(_tensors(found)), list(_tensors(expected))
    if len(ours) != len(theirs):
        return f"{len(ours)} tensors instead of {len(theirs)}"
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape:
            return f"an output of shape {tuple(mine.shape)} instead of {tuple(other.shape)}"
        if not mine.is_floating_point():
            continue
        scale = float(other.abs().amax()) if other.numel() else 0.0
        apart = float((mine - other).abs().amax()) if other.numel() else 0.0
        # Not `apart > …`, which is false of NaN.
        if not apart <= TOLERANCE * max(scale, 1e-6):
            return f"an output that differs by {apart:.3g}, the largest being {scale:.3g}"
    return ""


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
