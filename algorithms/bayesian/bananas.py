"""BANANAS: an ensemble of networks, independent Thompson sampling, and mutation."""

from __future__ import annotations

from symnas.algorithms.bayesian.smbo import SMBO
from symnas.contracts.hyperparameters import with_hyperparameters


@with_hyperparameters(source="White et al. 2021", only=("initial", "pool", "parents", "targets"))
class Bananas(SMBO):
    """SMBO with an ensemble of networks, independent Thompson sampling and mutations of the best.

    Five networks are fitted to path encodings. Of `pool` variations of the best `parents` decisions, each
    gets one draw from the normal distribution that the ensemble has for it, independently of the others, and
    the largest draw is tried. A fit takes about a second.

    White, Neiswanger, Savani: BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search, AAAI 2021 (arXiv:1910.11858), with its 10 founders and 100 mutated decisions;
    reference implementation github.com/naszilla/naszilla. Founders are random there, and far apart here;
    candidates are mutations there, and a quarter of them recombinations of two parents here.
    """

    surrogate: str = "networks"
    acquisition: str = "thompson"
    targets: str = "plain"
    initial: int = 10
    pool: int = 100
    drawn: float = 0.0
    parents: int = 10
    # A draw is no function of its decision: there is nothing to climb.
    starts: int = 0
