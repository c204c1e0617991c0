"""BANANAS: an ensemble of networks, independent Thompson sampling, and mutation."""

from __future__ import annotations

from symnas.algorithms.bayesian.smbo import SMBO


class Bananas(SMBO):
    """SMBO with an ensemble of networks, independent Thompson sampling and mutations of the best.

    White, Neiswanger, Savani: BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search, AAAI 2021 (arXiv:1910.11858), with its 10 random founders and 100 mutated candidates.
    A fit takes about a second.

    Args:
        initial: how many decisions are tried before the networks are asked.
        pool: how many mutated candidates are drawn per proposal.
        parents: how many of the best they are mutated from.
        targets: how values are scaled for the networks, as in `SMBO`.
    """

    def __init__(
        self, *, initial: int = 10, pool: int = 100, parents: int = 10, targets: str = "plain"
    ) -> None:
        super().__init__(
            surrogate="networks",
            acquisition="thompson",
            targets=targets,
            initial=initial,
            pool=pool,
            drawn=0.0,
            parents=parents,
            starts=0,
        )
