"""Hyperband."""

from __future__ import annotations

from symnas.algorithms.multi_fidelity.rungs import InnerOptions
from symnas.algorithms.multi_fidelity.successive_halving import SuccessiveHalving


class Hyperband(SuccessiveHalving):
    """Successive halving over and over, each round beginning with fewer trials that go further at first.

    A round that starts at the lowest fidelity trusts early results, one at the highest does not; nobody needs
    to know beforehand which is right. Of `rungs` rungs, a round that has the last `s + 1` starts with
    `floor(rungs / (s + 1)) * factor ** s` trials.

    Rungs, comparisons and what the inner algorithm is told are those of successive halving.

    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar: Hyperband, JMLR 2018 (arXiv:1603.06560), algorithm 1. The
    sizes are those of the paper's table 1 and of its authors' code, which round down before they multiply;
    the text of algorithm 1 does not, and would start the second round with 34 trials where the table has 27.

    Args:
        inner: name of the algorithm that proposes decisions.
        inner_options: its options, as pairs or as `"population=20,tournament=5"`.
        factor: ratio of the rungs' fidelities, and the inverse of the share that goes on.
        low: lowest fidelity; None takes the evaluator's, or 1.
        high: highest fidelity (epochs, steps); None takes the evaluator's.
    """

    def __init__(
        self,
        *,
        inner: str = "random",
        inner_options: InnerOptions = (),
        factor: int = 3,
        low: int | None = None,
        high: int | None = None,
    ) -> None:
        self._keep(inner, inner_options, factor, low, high)
        self.size = None

    def _shape(self, number: int) -> tuple[tuple[int, ...], int]:
        rungs = len(self._ladder)
        own = rungs - number % rungs
        return self._ladder[-own:], rungs // own * self.factor ** (own - 1)
