"""A relaxed network written by hand, as an oracle for what trains such networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from symnas.contracts.relaxed_points import Mixture, RelaxedPoint
from symnas.relaxed.mixing import Place
from symnas.tree.choices import Branch, ManyOf, OneOf
from symnas.tree.space import Space

OPS = ("linear", "skip", "none")
INNER = tuple(Branch((i,), (OneOf(f"{name}.op", OPS[:2]),)) for i, name in enumerate(("first", "second")))
SPACE = Space((OneOf("op", OPS), ManyOf("edges", ("first", "second"), 1, 1, branches=INNER)))


class ByHand(nn.Module):
    """An op choice, then a node that keeps one of two edges, each with an op choice of its own.

    Args:
        seed: of weights and logits.
        size: features.
        classes: outputs.
        spoil: name of an op of the first point that gives NaN.
    """

    def __init__(self, seed: int = 0, size: int = 4, classes: int = 2, spoil: str = "") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.spoil = spoil
        with torch.random.fork_rng(devices=[]):
            self.linears = nn.ModuleDict({name: nn.Linear(size, size) for name in ("op", "first", "second")})
            self.linears["head"] = nn.Linear(size, classes)
        for parameter in self.linears.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
        self.points = (
            RelaxedPoint("op", OPS, zero=(2,), skips=(1,)),
            RelaxedPoint("edges", ("first", "second"), "edges", keep=1),
            RelaxedPoint("first.op", OPS[:2], skips=(1,), under=("edges", 0)),
            RelaxedPoint("second.op", OPS[:2], skips=(1,), under=("edges", 1)),
        )
        self.places = {
            p.address: Place(p.address, p.labels, f"by_hand.py:{n}") for n, p in enumerate(self.points)
        }
        self._logits = nn.ParameterList(
            [
                nn.Parameter(1e-3 * torch.randn(len(point.labels), generator=generator))
                for point in self.points
            ]
        )

    @property
    def logits(self) -> dict[str, nn.Parameter]:
        return {point.address: own for point, own in zip(self.points, self._logits, strict=True)}

    def weights(self) -> Iterator[nn.Parameter]:
        return self.linears.parameters()

    def forward(self, inputs: Tensor, *, mixes: Mapping[str, Mixture]) -> Tensor:
        def ops(name: str) -> list[Callable[[Tensor], Tensor]]:
            made: list[Callable[[Tensor], Tensor]] = [
                lambda x: torch.tanh(self.linears[name](x)), lambda x: x, lambda x: 0 * x
            ]  # fmt: skip
            if name == "op" and self.spoil:
                made[OPS.index(self.spoil)] = lambda x: x * torch.nan
            return made

        def edge(name: str) -> Callable[[Tensor], Tensor]:
            return lambda x: summed(mixes[f"{name}.op"], ops(name)[:2], x)

        hidden = summed(mixes["op"], ops("op"), inputs)
        node = summed(mixes["edges"], [edge("first"), edge("second")], hidden)
        outputs: Tensor = self.linears["head"](node)
        return outputs

    def decision(self, values: Any) -> Any:
        return SPACE.decision(values)


def summed(mix: Mixture, candidates: list[Callable[[Tensor], Tensor]], inputs: Tensor) -> Tensor:
    """Return the weighted sum that the protocol of `Mixture` describes, term by term."""
    run = range(len(candidates)) if mix.active is None else mix.active
    total = sum(mix.weights[index] * candidates[index](inputs) for index in run)
    if mix.ghosts:
        total = total + sum(mix.weights[index] for index in range(len(candidates)) if index not in run)
    assert isinstance(total, Tensor)
    return total


class Stub:
    """What a search asks of a program, around the network above.

    Args:
        options: of the network.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.space = SPACE

    def relaxed(self, seed: int, checkpoint: bool = False, inputs: Any = None) -> ByHand:
        assert inputs is None
        assert not checkpoint
        return ByHand(seed, **self.options)
