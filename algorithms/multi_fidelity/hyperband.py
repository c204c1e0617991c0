"""Hyperband."""

from __future__ import annotations

from symnas.algorithms.multi_fidelity.successive_halving import SuccessiveHalving
from symnas.contracts.hyperparameters import with_hyperparameters


@with_hyperparameters(source="Li et al. 2018", only=("inner", "inner_options", "factor", "low", "high"))
class Hyperband(SuccessiveHalving):
    """Successive halving over and over, each round beginning with fewer trials that go further at first.

    A round that starts at the lowest fidelity trusts early results, one at the highest does not; nobody needs
    to know beforehand which is right. Of `rungs` rungs, a round that has the last `s + 1` starts with
    `floor(rungs / (s + 1)) * factor ** s` trials.

    Rungs, comparisons and what the inner algorithm is told are those of successive halving.

    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar: Hyperband, JMLR 2018 (arXiv:1603.06560), algorithm 1. The
    sizes are those of the paper's table 1 and of its authors' code, which round down before they multiply;
    the text of algorithm 1 does not, and would start the second round with 34 trials where the table has 27.
    """

    def _shape(self, number: int) -> tuple[tuple[int, ...], int]:
        # s + 1 = `own` rungs for s = rungs - 1, …, 0, and again. From 1 to 81 by 3 (table 1): 81 trials from
        # 1 on, 27 from 3, 9 from 9, 6 from 27, and 5 at 81.
        rungs = len(self._ladder)
        own = rungs - number % rungs
        return self._ladder[-own:], rungs // own * self.factor ** (own - 1)
