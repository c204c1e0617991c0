"""Which samplers Optuna has, and what each keeps between its calls; told without importing Optuna."""

from __future__ import annotations

from collections.abc import Mapping

SAMPLERS: Mapping[str, str] = {
    "brute-force": "BruteForceSampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
    "tpe": "TPESampler",
}
"""Classes of `optuna.samplers` by the names that the algorithm takes."""

FORGETFUL = ("tpe", "gp", "random", "brute-force")
"""These work everything out from the trials, so nothing of what they note need be kept."""

SCOUTED = ("tpe", "gp", "cmaes", "nsgaii", "nsgaiii")
"""These look for the parameters that all trials have, and remember how far they have looked."""
