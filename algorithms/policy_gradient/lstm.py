"""The recurrent policy of ENAS, its controller, over any tree of decision points."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from symnas._typing import Array, Ints, Reals
from symnas.algorithms.policy_gradient.policies import (
    NOTHING,
    SCALES,
    Adam,
    TrainablePolicy,
    bounded,
    draw_rows,
    log_softmax,
    logistic_units,
    row_entropy,
)
from symnas.algorithms.sequencing.batches import Query
from symnas.algorithms.sequencing.points import PointSequence
from symnas.tree.choices import OneOf
from symnas.tree.space import Batch

if TYPE_CHECKING:
    import torch

    from symnas.tree.space import Space

Key = tuple[object, ...]

# First parameters are uniform within this, as in ENAS.
BOUND = 0.1
EXTREME = 3.0


class LSTMPolicy(TrainablePolicy):
    """A stacked LSTM that decides the points of a decision in tree order, each knowing those before it.

    The input of a step is the embedding of the previous choice, a learned start at first; an output head
    turns the hidden state into logits. Every distinct kind and number of candidates has a head and an
    embedding of its own (`heads="shared"`, as in ENAS), or every point has (`heads="point"`, as in Zoph and
    Le 2017, arXiv:1611.01578). A real range is a logistic distribution squashed into the range, whose mean
    and scale a head gives; what follows sees its value.

    As in Pham et al. 2018 (arXiv:1802.03268) and their code: no biases, all parameters uniform in
    [-0.1, 0.1] at first. Their attention over earlier nodes and their preference for the first two
    operations belong to their space and are left out: an index is a choice like any other.

    Training needs torch and happens on the CPU. Draws are plain numpy on the same parameters, which is
    several times as fast for a few decisions at a time, and leaves the global generator of torch alone.

    Args:
        space: the space of the decisions.
        hidden: size of the hidden state.
        layers: how many LSTM layers.
        heads: "shared" or "point".
        temperature: divides logits.
        tanh_constant: bounds logits; None leaves them as they are.
        adam: how parameters are changed.
        readout: have parameters that read a decision off the last hidden state (see `recall`).
        init_seed: seed of the first parameters.
        double: compute in 64 bits.
        reduce: divides the bounded logits of choices among things that are no numbers, as ENAS does for the
            operations of its cells.
    """

    def __init__(
        self,
        space: Space,
        *,
        hidden: int = 32,
        layers: int = 2,
        heads: str = "shared",
        temperature: float = 1.0,
        tanh_constant: float | None = None,
        adam: Adam,
        readout: bool = False,
        init_seed: int = 0,
        double: bool = False,
        reduce: float = 1.0,
    ) -> None:
        super().__init__(space, temperature=temperature, tanh_constant=tanh_constant, adam=adam)
        self.reduce = reduce
        self.hidden = hidden
        self.layers = layers
        self.readout = readout
        self._number_heads(heads)
        rng = np.random.default_rng(init_seed)
        # Embeddings, with the start as the last row; heads; per layer what gates get from below and from
        # before; and for the read-out a weight vector and an offset per column of the one-hot view.
        shapes = [(self.total + 1, hidden), (self.total, hidden)] + [(4 * hidden, hidden)] * (2 * layers)
        if readout:
            shapes.append((space.compiled.encoder.width, hidden + 1))
        kind = np.float64 if double else np.float32
        self.arrays: list[Array] = [rng.uniform(-BOUND, BOUND, shape).astype(kind) for shape in shapes]
        self.moments = adam.start(self.arrays)
        self._tensors: list[torch.Tensor] = []

    def _number_heads(self, heads: str) -> None:
        """Give every head a range of rows in the matrices of embeddings and of output weights."""
        self.head_of: dict[int, int] = {}
        known: dict[Key, int] = {}
        self.sizes: list[int] = []
        for number, point in self.sequencer.points.items():
            # Row r of the heads gives the logit of the action whose embedding is row r. A real range has two:
            # mean and log-scale there, and here a direction (the first), which its value goes along.
            key: Key = (point.kind, point.options, *([number] if heads == "point" else []))
            if key not in known:
                known[key] = len(self.sizes)
                self.sizes.append(point.options or 2)
            self.head_of[number] = known[key]
        self.starts = np.cumsum([0, *self.sizes])
        self.total = int(self.starts[-1])

    @property
    def parameters(self) -> list[torch.Tensor]:
        """Embeddings, output weights, the LSTM's input and recurrent weights layer by layer, the read-out.

        The last row of the embeddings is the start. The tensors share their memory with `arrays`.
        """
        import torch

        if not self._tensors:
            with torch.inference_mode(False):
                self._tensors = [torch.from_numpy(array).requires_grad_() for array in self.arrays]
        return self._tensors

    # ------------------------------------------------------------ drawing

    def sample(
        self, n: int, rng: np.random.Generator, kept: Batch | None = None, free: frozenset[int] = NOTHING
    ) -> Batch:
        """Draw decisions point by point."""
        walker = _Walker(self, n, rng)
        self._begin(walker, kept, free)
        return self.sequencer.run(n, walker, None, kept, free)

    def entropy(self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING) -> Reals:
        """Return the summed entropies of the actions along each decision, (rows,), in nats."""
        walker = _Walker(self, len(batch), None)
        self._begin(walker, kept, free)
        self.sequencer.run(len(batch), walker, batch, kept, free)
        return walker.entropy

    def _begin(self, reader: _Walker | _Trail, kept: Batch | None, free: frozenset[int]) -> None:
        """Let the state see all that stays, and then the start."""
        # First all that stays, in tree order, then the start: what is chosen anew is chosen in view of all of
        # it, of what comes behind it in the tree as well.
        if kept is not None:
            self.sequencer.run(len(kept), _Told(reader, free), kept)
        reader.begin()

    # ------------------------------------------------------------ likelihood

    def log_prob(
        self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING
    ) -> torch.Tensor:
        """Return the exact logarithm of each decision's probability, (rows,), as a tensor with gradients."""
        return self.follow(batch, kept, free)[0]

    def follow(
        self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the LSTM along decisions.

        Returns:
            log-probabilities, (rows,), and the last layer's hidden state after every input, (inputs, rows,
            hidden); rows with fewer actions start later, so that all end together.
        """
        import torch

        trail = _Trail(self, len(batch))
        self._begin(trail, kept, free)
        self.sequencer.run(len(batch), trail, batch, kept, free)
        with torch.inference_mode(False), torch.enable_grad():
            outputs = self._outputs(trail)
            # Decisions without an action have a gradient too, of zero.
            result = 0.0 * outputs[-1, :, 0]
            for size, actions in groupby(sorted(trail.actions, key=_options), _options):
                rows, scores = (self._score if size else self._score_units)(trail, list(actions), outputs)
                result = result.index_add(0, torch.from_numpy(rows), scores)
        return result, outputs

    def _outputs(self, trail: _Trail) -> torch.Tensor:
        import torch

        # (inputs, rows): what a row has fewer inputs is padded in front.
        width = int(trail.length.max(initial=1))
        index = np.full((width, trail.rows), self.total, np.intp)
        scale = np.zeros((width, trail.rows, 1), self.arrays[0].dtype)
        # Without biases, nothing going in leaves the state at zero, so that padding in front is free.
        shift = width - trail.length
        for rows, position, places, factors in trail.inputs:
            index[shift[rows] + position, rows] = places
            scale[shift[rows] + position, rows, 0] = factors
        embedded = self.parameters[0][torch.from_numpy(index)] * torch.from_numpy(scale)
        zero = torch.zeros(self.layers, trail.rows, self.hidden, dtype=embedded.dtype)
        weights = self.parameters[2 : 2 + 2 * self.layers]
        return torch.lstm(embedded, (zero, zero), weights, False, self.layers, 0.0, True, False, False)[0]

    def _before(
        self, trail: _Trail, actions: list[tuple[Query, Ints]], outputs: torch.Tensor
    ) -> tuple[Ints, torch.Tensor]:
        """Return the rows of some actions, and what the heads say of them, (actions, options)."""
        import torch

        rows = np.concatenate([query.rows for query, _ in actions])
        # An action is decided by the state after the input right before it: position plus the row's padding.
        at = np.concatenate([position for _, position in actions]) + len(outputs) - trail.length[rows]
        size = actions[0][0].point.options or 2
        starts = np.concatenate(
            [np.full(len(query.rows), self.start_of(query.point)) for query, _ in actions]
        )
        weights = self.parameters[1][torch.from_numpy(starts[:, None] + np.arange(size))]
        states = outputs[torch.from_numpy(at), torch.from_numpy(rows)]
        return rows, (weights * states[:, None, :]).sum(dim=2)

    def _score(
        self, trail: _Trail, actions: list[tuple[Query, Ints]], outputs: torch.Tensor
    ) -> tuple[Ints, torch.Tensor]:
        import torch

        rows, logp = self._log_softmax(trail, actions, outputs)
        taken = torch.from_numpy(np.concatenate([query.taken for query, _ in actions]))
        return rows, logp.gather(1, taken[:, None])[:, 0]

    def _log_softmax(
        self, trail: _Trail, actions: list[tuple[Query, Ints]], outputs: torch.Tensor
    ) -> tuple[Ints, torch.Tensor]:
        """Return the rows of some actions, and the log-probabilities of their options, (actions, options)."""
        import torch

        rows, raw = self._before(trail, actions, outputs)
        offsets = np.concatenate([query.log_prior for query, _ in actions]).astype(raw.detach().numpy().dtype)
        parts = np.concatenate([np.full(len(query.rows), self.divisor(query.point)) for query, _ in actions])
        bent = self.squash(raw, torch.tanh) / torch.from_numpy(parts.astype(offsets.dtype))[:, None]
        return rows, torch.log_softmax(bent + torch.from_numpy(offsets), dim=1)

    def _score_units(
        self, trail: _Trail, actions: list[tuple[Query, Ints]], outputs: torch.Tensor
    ) -> tuple[Ints, torch.Tensor]:
        import torch

        rows, raw = self._before(trail, actions, outputs)
        units = np.concatenate([query.units for query, _ in actions])
        where = torch.from_numpy(np.log(units) - np.log1p(-units)).to(raw.dtype)
        volume = torch.from_numpy(np.log(units) + np.log1p(-units)).to(raw.dtype)
        scale = raw[:, 1].clamp(*SCALES)
        # u = σ(m + s L) with L standard logistic and t = (logit u - m) / s; heads give m and log s:
        # log p(u) = -t - log s - 2 log(1 + e^-t) - log u - log(1 - u).
        t = (where - raw[:, 0]) / scale.exp()
        return rows, -t - scale - 2.0 * torch.nn.functional.softplus(-t) - volume

    def divisor(self, point: PointSequence) -> float:
        """Return what the bounded logits of a point are divided by."""
        domain = point.entry.domain
        named = isinstance(domain, OneOf) and any(isinstance(value, str) for value in domain.candidates)
        return self.reduce if named else 1.0

    def start_of(self, point: PointSequence) -> int:
        """Return the first row of a point's head and embeddings."""
        return int(self.starts[self.head_of[point.entry.number]])

    # ------------------------------------------------------------ training

    def reinforce(
        self,
        batch: Batch,
        weights: Reals,
        kept: Batch | None = None,
        free: frozenset[int] = NOTHING,
        memory: Batch | None = None,
        memory_weight: float = 1.0,
        skips: tuple[float, float] | None = None,
    ) -> None:
        """Take one step of Adam up the gradient of the mean of weight times log-probability.

        Args:
            batch: as for every policy.
            weights: as for every policy.
            kept: as for every policy.
            free: as for every policy.
            memory: decisions that the last hidden state must tell apart; their `recall` is subtracted.
            memory_weight: times how much.
            skips: the share of points between True and False that should be True, and the weight with which
                their `divergence` from it is subtracted.
        """
        import torch

        log_prob, _ = self.follow(batch, kept, free)
        with torch.inference_mode(False), torch.enable_grad():
            factors = torch.from_numpy(bounded(weights).astype(self.arrays[0].dtype))
            # J = mean of w log p - memory_weight · mean cross-entropy of the read-out - skip weight ·
            # divergence.
            gain = (log_prob * factors).mean()
            if memory is not None and len(memory):
                gain = gain - memory_weight * self.recall(memory).mean()
            if skips is not None:
                gain = gain - skips[1] * self.divergence(batch, skips[0])
            # Up, by an Adam of ours on the arrays that the tensors share; heads that no decision used have a
            # gradient of 0.
            gradients = torch.autograd.grad(gain, self.parameters, allow_unused=True)
        found = [
            np.zeros_like(array) if gradient is None else gradient.numpy()
            for array, gradient in zip(self.arrays, gradients, strict=True)
        ]
        self.adam.ascend(self.arrays, found, self.moments)

    def recall(self, batch: Batch) -> torch.Tensor:
        """Return how badly a linear read-out of the last hidden state tells each decision, (rows,).

        It is the cross-entropy, in nats, of the columns of the decision's one-hot encoding. Training on a
        memory of earlier decisions makes the state keep what was chosen, which that of ENAS by itself
        forgets: Adam and Lorraine 2019, Understanding Neural Architecture Search Techniques
        (arXiv:1904.00438).
        """
        import torch

        if not self.readout:
            raise ValueError("recall needs the parameters of a read-out; make the policy with readout=True")
        # A selection with repeats counts above 1, and is told as chosen or not.
        target = np.clip(self.space.encode(batch), 0.0, 1.0).astype(self.arrays[0].dtype)
        with torch.inference_mode(False), torch.enable_grad():
            last = self.follow(batch)[1][-1]
            read = self.parameters[-1]
            logits = last @ read[:, :-1].T + read[:, -1]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, torch.from_numpy(target), reduction="none"
            )
            return loss.sum(dim=1)

    def divergence(self, batch: Batch, share: float) -> torch.Tensor:
        """Return how far points between True and False are from being True with a given probability.

        It is the Kullback-Leibler divergence from there, in nats, averaged over all such actions along the
        decisions; nothing where there are none. ENAS keeps its skip connections sparse with it.

        Args:
            batch: decisions.
            share: the probability of True, between 0 and 1, ends excluded.
        """
        import torch

        trail = _Trail(self, len(batch))
        trail.begin()
        self.sequencer.run(len(batch), trail, batch)
        flags = [action for action in trail.actions if _flag(action[0].point)]
        with torch.inference_mode(False), torch.enable_grad():
            if not flags:
                return torch.zeros(())
            _, logp = self._log_softmax(trail, flags, self._outputs(trail))
            wanted = [
                [share if value else 1.0 - share for value in query.point.entry.domain.candidates]  # type: ignore[attr-defined]
                for query, _ in flags
                for _ in query.rows
            ]
            target = torch.tensor(wanted, dtype=logp.dtype).log()
            # KL(p || t) = sum p log (p / t) over True and False, (actions,).
            return (logp.exp() * (logp - target)).sum(dim=1).mean()


def _flag(point: PointSequence) -> bool:
    domain = point.entry.domain
    return isinstance(domain, OneOf) and {*map(repr, domain.candidates)} == {"True", "False"}


def _options(action: tuple[Query, Ints]) -> int:
    return action[0].point.options


# -------------------------------------------------------------------- going along decisions


class _Told:
    """Passes the actions of the points that stay on to a reader, without asking it anything."""

    def __init__(self, reader: _Walker | _Trail, free: frozenset[int]) -> None:
        self.reader = reader
        self.free = free

    def pick(self, query: Query) -> Ints:
        """Pass on the options taken."""
        if query.point.entry.number not in self.free:
            self.reader.tell(query, query.taken, 1.0)
        return query.taken

    def place(self, query: Query) -> Reals:
        """Pass on the value taken."""
        if query.point.entry.number not in self.free:
            self.reader.tell(query, query.nodes, 2.0 * query.units - 1.0)
        return query.units


class _Walker:
    """Runs the LSTM step by step in numpy: draws actions, or follows given ones, and sums entropies."""

    def __init__(self, policy: LSTMPolicy, rows: int, rng: np.random.Generator | None) -> None:
        self.policy = policy
        self.rng = rng
        self.entropy = np.zeros(rows)
        layers, hidden = policy.layers, policy.hidden
        kind = policy.arrays[0].dtype
        self.state = np.zeros((layers, rows, hidden), kind)
        self.cell = np.zeros((layers, rows, hidden), kind)
        lstm = policy.arrays[2 : 2 + 2 * layers]
        self.weights = [(lstm[2 * layer].T, lstm[2 * layer + 1].T) for layer in range(layers)]

    def begin(self) -> None:
        """Feed the start to all rows."""
        rows = np.arange(self.state.shape[1])
        self._feed(rows, np.repeat(self.policy.arrays[0][-1:], len(rows), axis=0))

    def tell(self, query: Query, taken: Ints, factors: Reals | float) -> None:
        """Feed the embeddings of actions."""
        embedded = self.policy.arrays[0][self.policy.start_of(query.point) + taken]
        if isinstance(factors, np.ndarray):
            embedded = embedded * factors[:, None].astype(embedded.dtype)
        self._feed(query.rows, embedded)

    def _feed(self, rows: Ints, x: Array) -> None:
        everyone = len(rows) == self.state.shape[1]
        hidden = self.policy.hidden
        for layer, (into, again) in enumerate(self.weights):
            state = self.state[layer] if everyone else self.state[layer, rows]
            cell = self.cell[layer] if everyone else self.cell[layer, rows]
            # (k, 4 hidden), in torch's order: input i, forget f, candidate g, output o. Then
            # c <- σ(f) c + σ(i) tanh(g) and h <- σ(o) tanh(c) (Hochreiter and Schmidhuber 1997), no biases.
            gates = x @ into + state @ again
            # The logistic function by way of the tangent, which cannot overflow.
            sigmoid = 0.5 + 0.5 * np.tanh(0.5 * gates)
            fresh = np.tanh(gates[:, 2 * hidden : 3 * hidden])
            cell = sigmoid[:, hidden : 2 * hidden] * cell + sigmoid[:, :hidden] * fresh
            x = sigmoid[:, 3 * hidden :] * np.tanh(cell)
            if everyone:
                self.state[layer], self.cell[layer] = x, cell
            else:
                self.state[layer, rows], self.cell[layer, rows] = x, cell

    def pick(self, query: Query) -> Ints:
        """Draw one option per row, or take the given ones."""
        start = self.policy.start_of(query.point)
        heads = self.policy.arrays[1][start : start + query.point.options]
        raw = self.state[-1, query.rows] @ heads.T
        bent = self.policy.squash(raw) / self.policy.divisor(query.point)
        logits = bent.astype(np.float64) + query.log_prior
        if self.rng is not None:
            taken = draw_rows(logits, self.rng)
        else:
            taken = query.taken
            self.entropy[query.rows] += row_entropy(log_softmax(logits))
        self.tell(query, taken, 1.0)
        return taken

    def place(self, query: Query) -> Reals:
        """Draw one number per row, or take the given ones."""
        start = self.policy.start_of(query.point)
        mean, scale = self.policy.arrays[1][start : start + 2] @ self.state[-1, query.rows].T
        if self.rng is not None:
            units = logistic_units(mean.astype(np.float64), scale.astype(np.float64), self.rng)
        else:
            units = query.units
            self.entropy[query.rows] += np.clip(scale, *SCALES)
        # `nodes` are 0: the first embedding of the range, times its value between -1 and 1.
        self.tell(query, query.nodes, 2.0 * units - 1.0)
        return units


class _Trail:
    """The inputs and actions of decisions, recorded for one run of the LSTM over all of them."""

    def __init__(self, policy: LSTMPolicy, rows: int) -> None:
        self.policy = policy
        self.rows = rows
        self.length = np.zeros(rows, np.intp)
        self.inputs: list[tuple[Ints, Ints, Ints | int, Reals | float]] = []
        # Each action with the position of the input right before it.
        self.actions: list[tuple[Query, Ints]] = []

    def begin(self) -> None:
        """Record the start as an input of all rows."""
        self.inputs.append((np.arange(self.rows), self.length.copy(), self.policy.total, 1.0))
        self.length += 1

    def tell(self, query: Query, taken: Ints, factors: Reals | float) -> None:
        """Record the embeddings of actions as inputs."""
        places = self.policy.start_of(query.point) + taken
        self.inputs.append((query.rows, self.length[query.rows], places, factors))
        self.length[query.rows] += 1

    def pick(self, query: Query) -> Ints:
        """Record an action among listed options."""
        self.actions.append((query, self.length[query.rows] - 1))
        self.tell(query, query.taken, 1.0)
        return query.taken

    def place(self, query: Query) -> Reals:
        """Record the value of a real range."""
        self.actions.append((query, self.length[query.rows] - 1))
        self.tell(query, query.nodes, 2.0 * query.units - 1.0)
        return query.units
