"""How the LSTM controller goes along decisions: step by step in numpy to draw, recorded at once to train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symnas._typing import Array, Ints, Reals
from symnas.algorithms.policy_gradient.moves import Turn
from symnas.algorithms.policy_gradient.policies import (
    SCALES,
    draw_rows,
    log_softmax,
    logistic_units,
    row_entropy,
)

if TYPE_CHECKING:
    from symnas.algorithms.policy_gradient.lstm import LSTM


class Told:
    """Passes the moves of the points that stay on to a reader, without asking it anything."""

    def __init__(self, reader: Walker | Trail, free: frozenset[int]) -> None:
        self.reader = reader
        self.free = free

    def pick(self, turn: Turn) -> Ints:
        """Pass on the options taken."""
        if turn.step.entry.number not in self.free:
            self.reader.tell(turn, turn.given, 1.0)
        return turn.given

    def place(self, turn: Turn) -> Reals:
        """Pass on the value taken."""
        if turn.step.entry.number not in self.free:
            self.reader.tell(turn, turn.nodes, 2.0 * turn.placed - 1.0)
        return turn.placed


class Walker:
    """Runs the LSTM step by step in numpy: draws moves, or follows given ones, and sums entropies."""

    def __init__(self, controller: LSTM, rows: int, rng: np.random.Generator | None) -> None:
        self.controller = controller
        self.rng = rng
        self.entropy = np.zeros(rows)
        layers, hidden = controller.layers, controller.hidden
        kind = controller.arrays[0].dtype
        self.state = np.zeros((layers, rows, hidden), kind)
        self.cell = np.zeros((layers, rows, hidden), kind)
        lstm = controller.arrays[2 : 2 + 2 * layers]
        self.weights = [(lstm[2 * layer].T, lstm[2 * layer + 1].T) for layer in range(layers)]

    def begin(self) -> None:
        """Feed the start to all rows."""
        rows = np.arange(self.state.shape[1])
        self._feed(rows, np.repeat(self.controller.arrays[0][-1:], len(rows), axis=0))

    def tell(self, turn: Turn, taken: Ints, factors: Reals | float) -> None:
        """Feed the embeddings of moves."""
        embedded = self.controller.arrays[0][self.controller.start_of(turn.step) + taken]
        if isinstance(factors, np.ndarray):
            embedded = embedded * factors[:, None].astype(embedded.dtype)
        self._feed(turn.rows, embedded)

    def _feed(self, rows: Ints, x: Array) -> None:
        everyone = len(rows) == self.state.shape[1]
        hidden = self.controller.hidden
        for layer, (into, again) in enumerate(self.weights):
            state = self.state[layer] if everyone else self.state[layer, rows]
            cell = self.cell[layer] if everyone else self.cell[layer, rows]
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

    def pick(self, turn: Turn) -> Ints:
        """Draw one option per row, or take the given ones."""
        start = self.controller.start_of(turn.step)
        heads = self.controller.arrays[1][start : start + turn.step.options]
        raw = self.state[-1, turn.rows] @ heads.T
        bent = self.controller.squash(raw) / self.controller.divisor(turn.step)
        logits = bent.astype(np.float64) + turn.offsets
        if self.rng is not None:
            taken = draw_rows(logits, self.rng)
        else:
            taken = turn.given
            self.entropy[turn.rows] += row_entropy(log_softmax(logits))
        self.tell(turn, taken, 1.0)
        return taken

    def place(self, turn: Turn) -> Reals:
        """Draw one number per row, or take the given ones."""
        start = self.controller.start_of(turn.step)
        mean, scale = self.controller.arrays[1][start : start + 2] @ self.state[-1, turn.rows].T
        if self.rng is not None:
            units = logistic_units(mean.astype(np.float64), scale.astype(np.float64), self.rng)
        else:
            units = turn.placed
            self.entropy[turn.rows] += np.clip(scale, *SCALES)
        self.tell(turn, turn.nodes, 2.0 * units - 1.0)
        return units


class Trail:
    """The inputs and moves of decisions, recorded for one run of the LSTM over all of them."""

    def __init__(self, controller: LSTM, rows: int) -> None:
        self.controller = controller
        self.rows = rows
        self.length = np.zeros(rows, np.intp)
        self.inputs: list[tuple[Ints, Ints, Ints | int, Reals | float]] = []
        # Each move with the position of the input right before it.
        self.moves: list[tuple[Turn, Ints]] = []

    def begin(self) -> None:
        """Record the start as an input of all rows."""
        self.inputs.append((np.arange(self.rows), self.length.copy(), self.controller.total, 1.0))
        self.length += 1

    def tell(self, turn: Turn, taken: Ints, factors: Reals | float) -> None:
        """Record the embeddings of moves as inputs."""
        places = self.controller.start_of(turn.step) + taken
        self.inputs.append((turn.rows, self.length[turn.rows], places, factors))
        self.length[turn.rows] += 1

    def pick(self, turn: Turn) -> Ints:
        """Record a move among listed options."""
        self.moves.append((turn, self.length[turn.rows] - 1))
        self.tell(turn, turn.given, 1.0)
        return turn.given

    def place(self, turn: Turn) -> Reals:
        """Record the value of a real range."""
        self.moves.append((turn, self.length[turn.rows] - 1))
        self.tell(turn, turn.nodes, 2.0 * turn.placed - 1.0)
        return turn.placed
