"""Choices that are made when a relaxed network is called: all their tensors are computed, and added up.

`y = a  # search: {a, self.conv(a)}` in `forward` has no module that could hold its candidates. So the model's
own code is called in a run (`symnas.frontend.run`) that evaluates every candidate where it stands and puts
the weighted sum in their place. Candidates may be tensors (or tuples, lists and mappings of them), or modules
and functions, which the code calls then. Which choices can be mixed so is found by a call of its own
(`symnas.construction.forward_discovery`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from symnas._typing import Value
from symnas.construction.forward_discovery import calling
from symnas.frontend.run import Run, Visit
from symnas.relaxed.mixing import Mixes, mixed

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView


class Call(Run):
    """A run that mixes the candidates of choices in `forward`.

    Args:
        values: of the others, by address.
        opened: addresses of those.
        step: the mixes of this call.
    """

    def __init__(self, values: Mapping[str, Value], opened: Collection[str], step: Mixes) -> None:
        super().__init__(values)
        self.opened, self.step = opened, step
        self.forward = True

    def offers(self, visit: Visit) -> Collection[int] | None:
        """Return the codes of the candidates that the step runs."""
        if visit.address not in self.opened or self.step.mixes is None:
            return None
        active = self.step.mixes[visit.address].active
        return range(len(visit.labels)) if active is None else active

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        """Return the weighted sum, or what computes it when called."""
        assert self.step.mixes is not None
        address = visit.address
        place, mix, factors = self.step.places[address], self.step.mixes[address], self.step.factors[address]
        if not all(map(callable, values.values())):
            return mixed(place, mix, factors, values)

        # Modules and functions are added up where the code calls what it has been given for them.

        def call(*args: Any, **kwargs: Any) -> Any:
            results = {code: each(*args, **kwargs) for code, each in values.items()}  # type: ignore[operator]
            return mixed(place, mix, factors, results)

        return call


@dataclass(frozen=True)
class Caller:
    """Calls a model whose `forward` holds relaxed choices.

    Args:
        program: whose model it is.
        model: with its choices open.
        values: of the points that are closed, by address.
        opened: addresses of the relaxed choices in `forward`.
    """

    program: ProgramView
    model: nn.Module
    values: Mapping[str, Value]
    opened: frozenset[str]

    def run(self, step: Mixes) -> AbstractContextManager[None]:
        """Return a context in which the model may be called."""
        if not self.opened and not self.program.internals.source_set.when_called:
            return nullcontext()
        return calling(self.program, self.model, Call(self.values, self.opened, step))
