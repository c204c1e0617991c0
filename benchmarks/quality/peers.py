"""Other libraries, each on its own interface and with its own defaults, on the same points.

Whatever departs from a library's defaults is written here and said on the page.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import native
from symnas.tree.space import Decision, Space

Evaluate = Callable[[Decision], float]


def random_search(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
    """Draw decisions, every point uniform over its values, whatever came before."""
    for decision in space.sample(budget, np.random.default_rng([seed, 7])):
        evaluate(decision)


def _optuna(space: Space, evaluate: Evaluate, budget: int, sampler: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(budget):
        trial = study.ask()
        decision = space.decision(
            native.walk(space, lambda point, trial=trial: native.optuna_value(trial, point))
        )
        study.tell(trial, evaluate(decision))


def optuna_tpe(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
    """Optuna's TPE, multivariate; grouped where points are conditional, as its documentation advises."""
    import optuna

    conditional = any(point.branches for point in space.walk())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=conditional)
        _optuna(space, evaluate, budget, sampler)


def optuna_gp(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
    """Optuna's Gaussian process."""
    import optuna
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        _optuna(space, evaluate, budget, sampler)


def hyperopt_tpe(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
    """The TPE of hyperopt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hyperopt import fmin, tpe

        logging.getLogger("hyperopt").setLevel(logging.ERROR)

        def loss(sampled: Any) -> float:
            found = native.chosen(native.hyperopt_values(sampled))
            return -evaluate(space.decision(native.walk(space, found)))

        fmin(
            loss,
            native.hyperopt_space(space),
            algo=tpe.suggest,
            max_evals=budget,
            rstate=np.random.default_rng(seed),
            show_progressbar=False,
            verbose=False,
        )


def pyglove_evolution(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
    """PyGlove's regularised evolution with a population of 20 (its default is 100: random until then)."""
    import pyglove as pg

    algorithm = pg.evolution.regularized_evolution(
        mutator=pg.evolution.mutators.Uniform(seed=seed), population_size=20, tournament_size=10, seed=seed
    )
    examples = pg.sample(native.pyglove_space(space), algorithm, num_examples=budget)
    for sampled, feedback in examples:
        found = native.chosen(native.pyglove_values(sampled, space.addresses))
        feedback(evaluate(space.decision(native.walk(space, found))))


def smac_forest(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
    """SMAC's facade for hyperparameters (random forest, log EI); cost is 100 minus the accuracy."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        from smac import HyperparameterOptimizationFacade, Scenario

        def cost(configuration: Any, seed: int = 0) -> float:  # noqa: ARG001  (SMAC passes it by name)
            found = native.chosen(dict(configuration))
            return 100.0 - evaluate(space.decision(native.walk(space, found)))

        scenario = Scenario(
            native.configuration_space(space, seed),
            deterministic=True,
            n_trials=budget,
            seed=seed,
            output_directory=Path(folder),
        )
        HyperparameterOptimizationFacade(
            scenario, cost, logging_level=logging.ERROR, overwrite=True
        ).optimize()
