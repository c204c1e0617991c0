"""How far trials go: proposals with a fidelity per decision, and the ladder that halving climbs.

A fidelity is a whole number that an evaluator spends on a trial: epochs, steps, examples. A trial has one or
none. The same decision at a higher fidelity is another trial, which goes on from where the earlier one
stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import AlgorithmError
from symnas.tree.space import Batch


class Proposal(Batch):
    """Decisions to try, each at a fidelity of its own; what algorithms that have fidelities propose.

    Parts of it (slices, masks) are plain batches.

    Args:
        batch: the decisions.
        fidelities: one whole number of at least 1 per decision.
    """

    __slots__ = ("fidelities",)

    def __init__(self, batch: Batch, fidelities: Sequence[int]) -> None:
        if len(batch) != len(fidelities):
            raise AlgorithmError(
                f"a proposal has a fidelity per decision; got {len(batch)} decisions and "
                f"{len(fidelities)} fidelities"
            )
        # A batch is immutable, so its columns and the rows that were read from them already are shared.
        super().__init__(batch.space, batch.codes, batch.reals)
        self._rows = batch._rows
        self.fidelities = tuple(int(fidelity) for fidelity in fidelities)

    def __eq__(self, other: object) -> bool:
        """Compare decisions and fidelities, in order."""
        if isinstance(other, Proposal) and other.fidelities != self.fidelities:
            return False
        return super().__eq__(other)

    __hash__ = None

    def __repr__(self) -> str:
        """Show how many decisions, and at which fidelities."""
        return f"<Proposal of {len(self)} decisions at {list(self.fidelities)}>"


def fidelities_of(batch: Batch) -> tuple[int, ...] | None:
    """Return the fidelities of a proposal; None of a plain batch."""
    return batch.fidelities if isinstance(batch, Proposal) else None


def handed_out(batch: Batch) -> list[Outcome]:
    """Return what an algorithm observes of a proposal when its trials have just begun."""
    fidelities = fidelities_of(batch)
    if fidelities is None:
        return [RUNNING] * len(batch)
    return [Outcome(Status.RUNNING, fidelity=fidelity) for fidelity in fidelities]


def ladder(low: int, high: int, factor: int) -> tuple[int, ...]:
    """Return the fidelities of the rungs: `high`, and as often divided by `factor` as stays at `low` or more.

    Li et al.: Hyperband, JMLR 2018, algorithm 1, whose rungs are anchored at the largest; rounded to whole
    numbers.

    Args:
        low: smallest fidelity, at least 1.
        high: largest fidelity.
        factor: ratio of one rung to the next, at least 2.
    """
    # s = floor(log_factor(high / low)) rungs lie below the top, counted in whole numbers, since the logarithm
    # of 243 to the base 3 is 4.999…; rung i has high factor^(i - s), so the last is exactly `high`.
    rungs = 0
    while low * factor ** (rungs + 1) <= high:
        rungs += 1
    return tuple(max(low, round(high / factor**rung)) for rung in range(rungs, -1, -1))
