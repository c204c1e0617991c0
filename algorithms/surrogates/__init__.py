"""Models of outcomes over the tree of decisions.

To read in this order: `base` (what a surrogate does, and its names), `embedding` (decisions as columns),
`tree_kernel` (how alike two decisions are), `gp`, `lbfgs` and `triangular` (its fit), `ridge`, `rank_ridge`,
`forest`, `networks`, `gpytorch`.

Laws, in `tests/algorithms/surrogates`: posteriors against dense algebra and scikit-learn.
"""
