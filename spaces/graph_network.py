"""Graph neural networks by message passing, in plain torch (Auto-GNN, Zhou et al. 2019).

Chosen in each layer: how neighbours are weighted and aggregated, the activation, the number of heads and
their width. The choices and their formulas are those of the code of GraphNAS (Gao et al. 2020). The default
is the graph attention network of Veličković et al. (2018).

Graphs come as edges, a tensor (2, edges) of source and target nodes with both directions of each edge and
without self-loops.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gather(rows: Tensor, target: Tensor, nodes: int, how: str = "sum") -> Tensor:
    """Return for each node the sum, mean or maximum of the rows of the edges that end there."""
    at = target.view(-1, *[1] * (rows.dim() - 1)).expand_as(rows)
    empty = rows.new_zeros(nodes, *rows.shape[1:])
    return empty.scatter_reduce(0, at, rows, {"max": "amax"}.get(how, how), include_self=False)


class Weights(nn.Module):
    """How much each edge counts; all alike for `const`, by degrees for `gcn`, else by the nodes' features.

    Args:
        kind: "const", "gcn", "gat", "gat_sym", "cos", "linear" or "generalized_linear".
        heads: number of heads.
        width: of a head.
        dropout: probability, on the weights that come from features.
    """

    def __init__(self, kind: str, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.kind = kind
        self.dropout = nn.Dropout(dropout)
        if kind not in ("const", "gcn"):
            self.source = nn.Parameter(torch.empty(heads, width))
            nn.init.xavier_uniform_(self.source)
        if kind not in ("const", "gcn", "linear"):
            self.target = nn.Parameter(torch.empty(heads, width))
            nn.init.xavier_uniform_(self.target)
        if kind == "generalized_linear":
            self.score = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Map features (nodes, heads, width) and the ends of the edges to weights (edges, heads)."""
        if self.kind in ("const", "gcn"):
            ones = x.new_ones(len(source), 1)
            if self.kind == "const":
                return ones
            root = gather(ones, target, len(x)).clamp(min=1).rsqrt()
            return root[source] * root[target]
        scores = self.scores(x, source, target)
        # The largest score of a node keeps the exponentials finite, and cancels in the division.
        scores = (scores - gather(scores, target, len(x), "max")[target]).exp()
        return self.dropout(scores / gather(scores, target, len(x))[target])

    def scores(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Return (edges, heads), of which the softmax over the edges that end at a node is taken."""
        if self.kind == "linear":
            return torch.tanh((x * self.source).sum(-1))[source]
        if self.kind == "cos":
            return ((x * self.source)[source] * (x * self.target)[target]).sum(-1)
        if self.kind == "generalized_linear":
            return self.score(torch.tanh((x * self.source)[source] + (x * self.target)[target])).squeeze(-1)
        ours, theirs = (x * self.source).sum(-1), (x * self.target).sum(-1)
        scores = F.leaky_relu(ours[source] + theirs[target], 0.2)
        if self.kind == "gat_sym":
            scores = scores + F.leaky_relu(ours[target] + theirs[source], 0.2)
        return scores


class Layer(nn.Module):
    """One round of message passing.

    Args:
        features: of each node.
        heads: number of heads.
        width: of a head.
        attention: kind of `Weights`.
        aggregate: "sum", "mean" or "max" of the messages, or "mlp"; all but "sum" go through two linear
            layers first, and "mlp" sums them then.
        joined: whether the output is all heads side by side, or their mean.
        dropout: probability, on the weights.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        width: int,
        attention: str,
        aggregate: str,
        joined: bool = True,
        dropout: float = 0.6,
    ) -> None:
        super().__init__()
        self.heads, self.width, self.joined = heads, width, joined
        self.aggregate = "sum" if aggregate == "mlp" else aggregate
        self.linear = nn.Linear(features, heads * width, bias=False)
        self.weights = Weights(attention, heads, width, dropout)
        pool = (
            nn.Identity()
            if aggregate == "sum"
            else nn.Sequential(nn.Linear(width, 128), nn.Linear(128, width))
        )
        self.pool = pool
        self.bias = nn.Parameter(torch.zeros(heads * width if joined else width))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map features (nodes, features) and edges (2, edges) to (nodes, heads * width) or (nodes, width)."""
        loops = torch.arange(len(x), device=edges.device)
        source, target = torch.cat([edges, torch.stack([loops, loops])], 1)
        x = self.linear(x).view(len(x), self.heads, self.width)
        messages = self.pool(x[source] * self.weights(x, source, target)[:, :, None])
        y = gather(messages, target, len(x), self.aggregate)
        return (y.flatten(1) if self.joined else y.mean(1)) + self.bias


def activation(last: bool) -> nn.Module:
    """Return the activation of the graph attention network."""
    return nn.Identity() if last else nn.ELU()


class GraphNetwork(nn.Module):
    """The whole network.

    Args:
        features: numbers per node of the graph, 1,433 for Cora.
        classes: 7 for Cora.
        layers: 2 for Cora.
        dropout: probability, on each layer's input and on the weights of its edges.
    """

    def __init__(self, features: int = 1433, classes: int = 7, layers: int = 2, dropout: float = 0.6) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers, self.acts = nn.ModuleList(), nn.ModuleList()
        for layer in range(layers):
            last = layer == layers - 1
            # search: {"gat", "gcn", "cos", "const", "gat_sym", "linear", "generalized_linear"}
            attention = "gat"
            aggregate = "sum"  # search: {"sum", "mean", "max", "mlp"}
            # search: {sigmoid: nn.Sigmoid(), tanh: nn.Tanh(), relu: nn.ReLU(), linear: nn.Identity(),
            #          softplus: nn.Softplus(), leaky_relu: nn.LeakyReLU(), relu6: nn.ReLU6(), elu: nn.ELU()}
            act = activation(last)
            heads = 1 if last else 8  # search: heads in {1, 2, 4, 6, 8, 16}
            width = classes
            if not last:
                width = 8  # search: {4, 8, 16, 32, 64, 128, 256}
            self.layers.append(Layer(features, heads, width, attention, aggregate, not last, dropout))
            self.acts.append(act)
            features = heads * width

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map a graph's features (nodes, features) and edges (2, edges) to logits (nodes, classes)."""
        for layer, act in zip(self.layers, self.acts, strict=True):
            x = act(layer(self.dropout(x), edges))
        return x
