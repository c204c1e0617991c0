"""Language models with a recurrent cell of DARTS or ENAS, on words.

`Net` holds the cell of DARTS (Liu, Simonyan & Yang 2019, https://arxiv.org/abs/1806.09055): eight nodes, of
which each reads one state before it through one of four activations; the output is the nodes' mean. The
default is the paper's second-order cell (`DARTS_V2` in the authors' code), in the model for Penn Treebank.

`EnasNet` holds that of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268): twelve nodes; the output
is the mean of those that no other reads. The default is the cell that the authors publish with their code.

Both cells are highways (Zilly et al. 2017): a node moves the state that it reads towards an activation of it,
as far as a gate says. Of the published training, the dropout of inputs, states and outputs is here, with one
mask for all steps (Gal & Ghahramani 2016).
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from symnas import oneof

SEARCH: dict[str, Any] = {"width": 300, "normal": True, "none": True}
"""Arguments of the model in which DARTS searches."""
SMALL: dict[str, Any] = {"words": 100, "width": 16, "normal": True, "none": True}
"""Arguments of a model for tests."""


class Highway(nn.Module):
    """A state, moved towards an activation as far as a gate says."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, state: Tensor, gate: Tensor, value: Tensor) -> Tensor:
        """Map three tensors (batch, width) to one; gate and value are before their activations."""
        return state + gate.sigmoid() * (self.activation(value) - state)


class Zero(nn.Module):
    """Passes nothing on."""

    zero = True

    def forward(self, state: Tensor, gate: Tensor, value: Tensor) -> Tensor:
        """Map (batch, width) to zeros."""
        return torch.zeros_like(state)


def none() -> nn.Module:
    """Make the operation that passes nothing on."""
    return Zero()


def tanh() -> nn.Module:
    """Make a highway."""
    return Highway(nn.Tanh())


def relu() -> nn.Module:
    """Make a highway."""
    return Highway(nn.ReLU())


def sigmoid() -> nn.Module:
    """Make a highway."""
    return Highway(nn.Sigmoid())


def identity() -> nn.Module:
    """Make a highway without an activation."""
    return Highway(nn.Identity())


def operation(op: Any) -> nn.Module:
    """Make one of the operations; `op` is the default."""
    make = op  # search: {tanh, relu, sigmoid, identity} as kind
    return make()


def operation_or_none(op: Any) -> nn.Module:
    """Make one of the operations of the relaxed search; `op` is the default."""
    make = op  # search: {none, tanh, relu, sigmoid, identity} as kind
    return make()


class Edge(nn.Module):
    """One operation on one of the states before a node.

    Args:
        source: position of the state: 0 is made of the input, 1 and on are the nodes.
        op: the default operation.
        gates: what makes gate and value of the state; a node's edges share it.
        choose: which operations there are.
    """

    def __init__(self, source: int, op: Any, gates: nn.Linear, choose: Any):
        super().__init__()
        self.source = source
        self.gates = gates
        self.op = choose(op)

    def forward(self, state: Tensor, mask: Tensor | None) -> Tensor:
        """Map a state (batch, width) to the node's."""
        gate, value = self.gates(state if mask is None else state * mask).chunk(2, dim=-1)
        return self.op(state, gate, value)


def kept_edges(gates: nn.ModuleList, choose: Any) -> list[list[Edge]]:
    """Return the edge that each node keeps."""
    edge: Any = partial(Edge, choose=choose)
    g1, g2, g3, g4, g5, g6, g7, g8 = gates
    n1 = [edge(0, sigmoid, g1)]  # search: 1 of {s0: edge(0, sigmoid, g1)}
    n2 = [edge(1, relu, g2)]  # search: 1 of {s0: edge(0, relu, g2), s1: edge(1, relu, g2)}
    n3 = [edge(1, relu, g3)]  # search: 1 of {
    #      s0: edge(0, relu, g3), s1: edge(1, relu, g3), s2: edge(2, relu, g3)}
    n4 = [edge(1, identity, g4)]  # search: 1 of {
    #      s0: edge(0, identity, g4), s1: edge(1, identity, g4), s2: edge(2, identity, g4),
    #      s3: edge(3, identity, g4)}
    n5 = [edge(2, tanh, g5)]  # search: 1 of {
    #      s0: edge(0, tanh, g5), s1: edge(1, tanh, g5), s2: edge(2, tanh, g5), s3: edge(3, tanh, g5),
    #      s4: edge(4, tanh, g5)}
    n6 = [edge(5, sigmoid, g6)]  # search: 1 of {
    #      s0: edge(0, sigmoid, g6), s1: edge(1, sigmoid, g6), s2: edge(2, sigmoid, g6),
    #      s3: edge(3, sigmoid, g6), s4: edge(4, sigmoid, g6), s5: edge(5, sigmoid, g6)}
    n7 = [edge(3, tanh, g7)]  # search: 1 of {
    #      s0: edge(0, tanh, g7), s1: edge(1, tanh, g7), s2: edge(2, tanh, g7), s3: edge(3, tanh, g7),
    #      s4: edge(4, tanh, g7), s5: edge(5, tanh, g7), s6: edge(6, tanh, g7)}
    n8 = [edge(5, relu, g8)]  # search: 1 of {
    #      s0: edge(0, relu, g8), s1: edge(1, relu, g8), s2: edge(2, relu, g8), s3: edge(3, relu, g8),
    #      s4: edge(4, relu, g8), s5: edge(5, relu, g8), s6: edge(6, relu, g8), s7: edge(7, relu, g8)}
    return [n1, n2, n3, n4, n5, n6, n7, n8]


class Cell(nn.Module):
    """Eight nodes and their mean.

    Args:
        width: of the input and of every state.
        normal: whether states are normalised, as in the search.
        none: whether edges may pass nothing on, as in the relaxed search.
    """

    def __init__(self, width: int, normal: bool, none: bool):
        super().__init__()
        self.first = nn.Linear(2 * width, 2 * width, bias=False)
        self.gates = nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in range(8))
        nodes = kept_edges(self.gates, operation_or_none if none else operation)
        self.nodes: Any = nn.ModuleList(nn.ModuleList(edges) for edges in nodes)
        self.norm = nn.BatchNorm1d(width, affine=False) if normal else nn.Identity()

    def forward(self, x: Tensor, state: Tensor, mask: Tensor | None) -> Tensor:
        """Map a step's input and the state, each (batch, width), to the next state.

        Args:
            x: the input.
            state: what the step before returned.
            mask: dropout of states.
        """
        dropped = state if mask is None else state * mask
        gate, value = self.first(torch.cat([x, dropped], dim=-1)).chunk(2, dim=-1)
        states = [self.norm(state + gate.sigmoid() * (value.tanh() - state))]
        for edges in self.nodes:
            states.append(self.norm(sum(edge(states[edge.source], mask) for edge in edges)))
        return torch.stack(states[1:]).mean(0)


ENAS: list[tuple[int, Any]] = [(0, tanh), (1, relu), (2, relu), (2, tanh), (2, tanh), (5, relu), (1, tanh),
                               (6, relu), (8, relu), (8, relu), (8, relu)]  # fmt: skip
"""The published cell of ENAS: for each node behind the first a state and an activation."""


class EnasCell(nn.Module):
    """Nodes of which each reads one before it, and the mean of those that none reads.

    Args:
        width: of the input and of every state.
        nodes: how many, at most twelve.
    """

    def __init__(self, width: int, nodes: int):
        super().__init__()
        self.first = nn.Linear(2 * width, 2 * width, bias=False)
        self.gates = nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in range(nodes - 1))
        self.start = operation(tanh)
        self.sources = []
        self.ops = nn.ModuleList()
        for node in range(nodes - 1):
            source = oneof(range(node + 1), default=ENAS[node][0])
            self.sources.append(source)
            self.ops.append(operation(ENAS[node][1]))
        self.unread = [node for node in range(nodes) if node not in self.sources]

    def forward(self, x: Tensor, state: Tensor, mask: Tensor | None) -> Tensor:
        """Map a step's input and the state, each (batch, width), to the next state.

        Args:
            x: the input.
            state: what the step before returned.
            mask: dropout of states.
        """
        dropped = state if mask is None else state * mask
        gate, value = self.first(torch.cat([x, dropped], dim=-1)).chunk(2, dim=-1)
        states = [self.start(state, gate, value)]
        for source, gates, op in zip(self.sources, self.gates, self.ops, strict=True):
            read = states[source]
            gate, value = gates(read if mask is None else read * mask).chunk(2, dim=-1)
            states.append(op(read, gate, value))
        return torch.stack([states[node] for node in self.unread]).mean(0)


def mask(x: Tensor, rate: float) -> Tensor:
    """Return a mask for dropout of the shape of `x`, whose mean is one."""
    return F.dropout(torch.ones_like(x), rate)


class LanguageModel(nn.Module):
    """Words in, scores of the next words out; both ends share one table of words.

    Args:
        cell: maps a step's input and state to the next state.
        words: size of the vocabulary.
        width: of words and states.
        bias: whether the scores have one.
        rates: of dropout: of the words' vectors, of what enters the cell, of its states, of its outputs.
    """

    def __init__(
        self, cell: nn.Module, words: int, width: int, bias: bool, rates: tuple[float, float, float, float]
    ):
        super().__init__()
        self.cell = cell
        self.table = nn.Embedding(words, width)
        self.head = nn.Linear(width, words, bias=bias)
        self.head.weight = self.table.weight
        self.rates = rates
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.04, 0.04)

    def forward(self, words: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map words (batch, steps) to scores (batch, steps, words), and to the last state (batch, width).

        Args:
            words: as numbers.
            state: (batch, width), where the words go on from; zeros for None.
        """
        x = self.table(words)
        state = torch.zeros_like(x[:, 0]) if state is None else state
        masks: list[Any] = [None] * 4
        if self.training:
            masks = [mask(x[:, 0], rate) if rate else None for rate in self.rates]
        for dropped in masks[:2]:
            x = x if dropped is None else x * dropped[:, None]
        outputs = []
        for step in x.unbind(1):
            state = self.cell(step, state, masks[2])
            outputs.append(state)
        y = torch.stack(outputs, dim=1)
        return self.head(y if masks[3] is None else y * masks[3][:, None]), state


class Net(LanguageModel):
    """The language model with the cell of DARTS.

    Args:
        words: size of the vocabulary.
        width: of words and states.
        normal: whether states are normalised, as in the search.
        none: whether edges may pass nothing on, as in the relaxed search.
        rates: of dropout: of the words' vectors, of what enters the cell, of its states, of its outputs.
    """

    def __init__(
        self,
        words: int = 10_000,
        width: int = 850,
        normal: bool = False,
        none: bool = False,
        rates: tuple[float, float, float, float] = (0.2, 0.75, 0.25, 0.75),
    ):
        cell = Cell(width, normal, none)
        super().__init__(cell, words, width, True, rates)


class EnasNet(LanguageModel):
    """The language model with the cell of ENAS.

    Args:
        words: size of the vocabulary.
        width: of words and states.
        nodes: of the cell, at most twelve.
        rates: of dropout: of the words' vectors, of what enters the cell, of its states, of its outputs.
    """

    def __init__(
        self,
        words: int = 10_000,
        width: int = 748,
        nodes: int = 12,
        rates: tuple[float, float, float, float] = (0.21, 0.75, 0.25, 0.76),
    ):
        cell = EnasCell(width, nodes)
        super().__init__(cell, words, width, False, rates)
