"""The graph neural networks of NAS-Bench-Graph (Qin et al. 2022), in plain torch.

Four nodes, each with one operation on one input: the features, or an earlier node. There are nine ways to
link them, written as four digits: "0012" says that the nodes read the features (0), the features, node 1 and
node 2. Nodes that nobody reads are concatenated, and a linear layer classifies. As in the paper's code, a
node normalises what it reads unless that is the features. A skip that merely passes on what others could
read themselves does nothing at all, and skipped features never reach the output; so architectures that the
published table regards as equal are equal here.

Graphs come as edges, a tensor (2, edges) of source and target nodes with both directions of each edge and
without self-loops.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def add_loops(edges: Tensor, nodes: int) -> Tensor:
    """Return the edges with one from every node to itself."""
    loops = torch.arange(nodes, device=edges.device)
    return torch.cat([edges, torch.stack([loops, loops])], dim=1)


def gather(x: Tensor, edges: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return for each node the sum over its incoming edges of the source's row, times the edge's weight."""
    rows = x[edges[0]]
    if weight is not None:
        rows = rows * weight.view(-1, *[1] * (x.dim() - 1))
    return torch.zeros_like(x).index_add(0, edges[1], rows)


def symmetric(edges: Tensor, nodes: int) -> Tensor:
    """Return the weight of each edge: one over the root of the degrees of both its ends."""
    degree = torch.zeros(nodes, device=edges.device).index_add(
        0, edges[1], torch.ones(edges.shape[1], device=edges.device)
    )
    root = degree.clamp(min=1).rsqrt()
    return root[edges[0]] * root[edges[1]]


class GCN(nn.Module):
    """Graph convolution (Kipf & Welling 2017): self-loops, symmetric normalisation."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.linear = nn.Linear(features, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        edges = add_loops(edges, len(x))
        return gather(self.linear(x), edges, symmetric(edges, len(x))) + self.bias


class GAT(nn.Module):
    """Graph attention (Veličković et al. 2018) with four heads, concatenated."""

    def __init__(self, features: int, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.linear = nn.Linear(features, width, bias=False)
        self.source = nn.Parameter(torch.empty(heads, width // heads))
        self.target = nn.Parameter(torch.empty(heads, width // heads))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.source)
        nn.init.xavier_uniform_(self.target)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        edges = add_loops(edges, len(x))
        values = self.linear(x).view(len(x), self.heads, -1)
        scores = (values * self.source).sum(-1)[edges[0]] + (values * self.target).sum(-1)[edges[1]]
        # The largest score of all keeps the exponentials finite, and cancels in the division.
        scores = F.leaky_relu(scores, 0.2)
        powers = (scores - scores.max()).exp()
        total = powers.new_zeros(len(x), self.heads).index_add(0, edges[1], powers)
        share = powers / total[edges[1]].clamp(min=1e-16)
        out = torch.zeros_like(values).index_add(0, edges[1], values[edges[0]] * share[:, :, None])
        return out.flatten(1) + self.bias


class GIN(nn.Module):
    """Graph isomorphism layer (Xu et al. 2019): a linear layer on the sum of a node and its neighbours."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.linear = nn.Linear(features, width)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        return self.linear(x + gather(x, edges))


class Cheb(nn.Module):
    """Chebyshev convolution (Defferrard et al. 2016) of order two, the largest eigenvalue taken as 2."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.constant = nn.Linear(features, width)
        self.first = nn.Linear(features, width, bias=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        return self.constant(x) - self.first(gather(x, edges, symmetric(edges, len(x))))


class Sage(nn.Module):
    """GraphSAGE (Hamilton et al. 2017) with the mean of the neighbours."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.neighbours = nn.Linear(features, width)
        self.root = nn.Linear(features, width, bias=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        count = x.new_zeros(len(x)).index_add(0, edges[1], x.new_ones(edges.shape[1]))
        return self.neighbours(gather(x, edges) / count.clamp(min=1)[:, None]) + self.root(x)


class Graph(nn.Module):
    """The k-GNN layer (Morris et al. 2019): the neighbours' sum and the node itself."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.neighbours = nn.Linear(features, width)
        self.root = nn.Linear(features, width, bias=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        return self.neighbours(gather(x, edges)) + self.root(x)


class Arma(nn.Module):
    """Auto-regressive moving-average filter (Bianchi et al. 2019): one stack of one layer."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.initial = nn.Linear(features, width, bias=False)
        self.root = nn.Linear(features, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        spread = gather(self.initial(x), edges, symmetric(edges, len(x)))
        return F.relu(spread + self.root(x) + self.bias)


class Dense(nn.Module):
    """A linear layer that does not look at the graph."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.linear = nn.Linear(features, width)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map (nodes, features) to (nodes, width)."""
        return self.linear(x)


class Skip(nn.Module):
    """Its input."""

    def __init__(self, features: int, width: int):
        super().__init__()

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Return x."""
        return x


OPS = {
    "gat": GAT,
    "gcn": GCN,
    "gin": GIN,
    "cheb": Cheb,
    "sage": Sage,
    "arma": Arma,
    "graph": Graph,
    "fc": Dense,
    "skip": Skip,
}


def passing(sources: list[int], ops: list[str]) -> tuple[list[bool], list[bool]]:
    """Return for each node whether it is a skip without effect, and for 0 to 4 whether the features come out.

    A skip has an effect only where its output is joined with what another node makes of the same input.
    """
    origin, raw, passed = [0], [True], []
    for source, op in zip(sources, ops, strict=True):
        origin.append(origin[source] if op == "skip" and len(origin) in sources else len(origin))
        raw.append(raw[source] and op == "skip")
    reads = [origin[source] for source in sources]
    for at, op in enumerate(ops):
        alone = reads.count(reads[at]) == 1
        passed.append(op == "skip" and (at + 1 in sources or alone or raw[at + 1]))
    return passed, raw


class NasBenchGraph(nn.Module):
    """The whole network.

    Args:
        features: numbers per node of the graph, 1,433 for Cora.
        classes: 7 for Cora.
        width: of every operation's output, a multiple of 4.
        before: whether a linear layer comes before the four nodes (its output then counts as the features).
        after: whether a linear layer comes between the four nodes and the classifier.
        dropout: probability, on the features and wherever a node normalises its input.
    """

    def __init__(
        self,
        features: int = 1433,
        classes: int = 7,
        width: int = 256,
        before: bool = False,
        after: bool = True,
        dropout: float = 0.6,
    ):
        super().__init__()
        # search: {"0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123"}
        link = "0123"
        chosen = []
        for node in range(4):
            # search: {"gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip"}
            op = "gcn"
            chosen.append(op)
        # search: require any(op != "skip" for op in chosen)
        sources = [int(digit) for digit in link]
        passed, raw = passing(sources, chosen)
        self.sources = sources
        self.before = nn.Linear(features, width) if before else None
        # Which nodes take what they read as it is, without normalisation.
        self.plain = [passed[at] or (raw[source] and not before) for at, source in enumerate(sources)]
        widths = [features if skipped and not before else width for skipped in raw]
        self.ops = nn.ModuleList([OPS[op](widths[at], width) for at, op in zip(sources, chosen, strict=True)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(width) for _ in sources])
        # Four skips learn nothing, and no table has them; a linear layer on the features is what they are.
        self.leaves = [at for at in range(1, 5) if at not in sources and not raw[at]] or [4]
        joined = sum(widths[at] for at in self.leaves)
        self.after = nn.Linear(joined, width) if after else None
        self.head = nn.Linear(width if after else joined, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Map a graph's features (nodes, features) and edges (2, edges) to logits (nodes, classes)."""
        x = self.dropout(x)
        if self.before is not None:
            x = self.before(x)
        values = [x]
        for at, source in enumerate(self.sources):
            value = values[source]
            if not self.plain[at]:
                value = self.dropout(F.relu(self.norms[at](value)))
            values.append(self.ops[at](value, edges))
        joined = F.relu(torch.cat([values[at] for at in self.leaves], dim=1))
        if self.after is not None:
            joined = self.after(joined)
        return self.head(joined)
