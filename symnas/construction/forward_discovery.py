"""Finds the choices that a program makes when its model is called, and which of them can be added up.

`y = a  # search: {a, self.conv(a)}` in `forward` is met by no run of the constructor. So the model that one
has made is called, once, in a run (`symnas.frontend.run`) that evaluates every candidate where it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from symnas._typing import Value
from symnas.construction.mixed_module import MixedModule
from symnas.construction.superposition import ConstructorRun, evaluating, looking, superpose
from symnas.frontend import execution
from symnas.frontend.run import RUN, Run, Visit, set_value
from symnas.frontend.sites import Site

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

Above = tuple[str, int]
"""Address of a point, and the code of the candidate that something stands below."""


@contextmanager
def calling(program: ProgramView, model: nn.Module, run: Run) -> Iterator[None]:
    """Let the model's own code ask a run what its choices are; in one already, nothing changes."""
    if RUN.get() is not None:
        yield
        return
    # Points in `forward` have the path of their module in a child, so a candidate has that of its choice.
    for module, path, _ in _walk(model, "", None, {}):
        run.paths.setdefault(id(module), path)
    with evaluating(program.internals.source_set, run):
        yield


class Probe(Run):
    """A run that evaluates all candidates of the choices it meets, and notes which can be added up."""

    def __init__(self, values: Mapping[str, Value], above: Mapping[int, Above]) -> None:
        super().__init__(values)
        self.forward = True
        self.above = above
        self.fit: dict[str, Above | None] = {}
        """Addresses of the choices that can be added up, and what they stand below."""
        self.unfit: set[str] = set()

    def offers(self, visit: Visit) -> Collection[int] | None:
        """Return all codes."""
        return range(len(visit.labels)) if visit.kind == "oneof" else None

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        """Note whether they can be added up, and go on with the chosen one."""
        # The code goes on with one of them, whichever: what comes after has to be met, and not to be right.
        set_value(visit, visit.value if visit.decided else visit.labels[0])
        fit = all(map(_addable, values.values())) or all(map(callable, values.values()))
        if visit.address in self.values or not fit:
            self.unfit.add(visit.address)
        else:
            self.fit.setdefault(visit.address, self._above(visit))
        assert isinstance(visit.code, int)
        return values[visit.code]

    def _above(self, visit: Visit) -> Above | None:
        # A candidate that is being evaluated in `forward` is nearer than one that the module is part of.
        parent = visit.parent
        while parent is not None:
            if parent.address in self.fit or parent.address not in self.values:
                codes = [code for code, label in enumerate(parent.labels) if str(label) == parent.branch]
                return parent.address, codes[0]
            parent = parent.parent
        return self.above.get(id(visit.frame.owner))


def found_in_forward(
    program: ProgramView, run: ConstructorRun
) -> tuple[dict[str, Above | None], Mapping[str, Site]]:
    """Return the addresses of choices in `forward` that can be added up, each with what it stands below.

    Args:
        program: whose `forward` holds choices.
        run: the model on the device `meta`, with its choices open.
    """
    for device in ("meta", None):
        # What cannot be called without computing is made again where its code makes it.
        made = run if device is not None else superpose(program, run.opening)
        places = list(_walk(made.module, "", None, _edges(made)))
        probe = Probe(
            run.opening.values, {id(module): above for module, _, above in places if above is not None}
        )
        with torch.random.fork_rng(devices=[]):  # a function may draw them
            args, kwargs = program.internals.example(device)
        try:
            with (
                torch.no_grad(),
                torch.random.fork_rng(devices=[]),
                looking(made, _all),
                calling(program, made.module.eval(), probe),
            ):
                made.module(*args, **kwargs)
        except Exception:
            if device is None:
                raise
            continue
        sites = {address: visit.site for address, visit in probe.visits.items()}
        return {a: above for a, above in probe.fit.items() if a not in probe.unfit}, sites
    raise AssertionError("one of the two devices returns or raises")


def _all(choice: MixedModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call all candidates, so that choices in any of them are met."""
    return [candidate(*args, **kwargs) for candidate in choice.candidates][choice.active]


def _addable(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_addable, value.values()))
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(_addable, value))
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _edges(made: ConstructorRun) -> dict[int, Above]:
    return {
        id(module): (address, code)
        for address, lists in made.subsets.items()
        for modules in lists
        for code, module in enumerate(modules)
    }


def _walk(
    module: nn.Module, path: str, above: Above | None, edges: Mapping[int, Above]
) -> Iterator[tuple[nn.Module, str, Above | None]]:
    """Yield modules, their paths in a child, spelled as in addresses, and the candidates they are in."""
    above = edges.get(id(module), above)
    yield module, execution.bracketed(path), above
    # In a child the candidate itself stands where the choice does, so it has the path of the choice.
    if isinstance(module, MixedModule):
        for code, candidate in enumerate(module.candidates):
            yield from _walk(candidate, path, (module.address, code), edges)
        return
    for name, child in module.named_children():
        yield from _walk(child, f"{path}.{name}" if path else name, above, edges)
