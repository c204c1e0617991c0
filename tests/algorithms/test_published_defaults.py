"""The defaults that this library was published with, and what studies know their algorithms by.

The table is a record: it was written from the code once and is not made anew. A study continues only where
the `repr` of its algorithm is the one it began with, so names, order and values all count.
"""

from __future__ import annotations

from typing import Any

import pytest

from symnas.algorithms import resolve
from symnas.contracts.registry import BUILT_IN
from symnas.study.identity import algorithm_name

PUBLISHED = {
    "asha": "ASHA(inner='random', inner_options=(), factor=4, low=None, high=None)",
    "auto": "Auto(modelled=1000)",
    "bananas": "Bananas(initial=10, pool=100, parents=10, targets='plain')",
    "conservative-rl": (
        "ConservativeRL(elites=1, initial=10, controller='lstm', group='name', lr=0.00035, baseline=0.95, "
        "entropy=0.0001, temperature=5.0, tanh_constant=2.5, normalise=False, hidden=100, layers=1, "
        "repeats=True, init_seed=0)"
    ),
    "darts": (
        "DARTS(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
        "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
        "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=False, partial=1, checkpoint=False, "
        "select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
    ),
    "darts-pt": (
        "DARTSPT(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
        "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
        "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=False, partial=1, checkpoint=False, "
        "select='perturbation', tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
    ),
    "enas": (
        "ENAS(steps=30, batch=10, lr=0.0035, beta1=0.0, epsilon=0.001, baseline=0.99, entropy=0.0001, "
        "temperature=1.0, tanh_constant=1.1, reduce=2.5, skip_target=0.4, skip_weight=0.0, hidden=32, "
        "layers=2, memory=0, memory_weight=1.0, init_seed=0)"
    ),
    "enas-macro": (
        "ENASMacro(steps=50, batch=20, lr=0.001, beta1=0.0, epsilon=0.001, baseline=0.99, entropy=0.0001, "
        "temperature=1.0, tanh_constant=1.5, reduce=1.0, skip_target=0.4, skip_weight=0.8, hidden=32, "
        "layers=2, memory=0, memory_weight=1.0, init_seed=0)"
    ),
    "evolution": (
        "RegularizedEvolution(population=100, tournament=25, repeats=True, crossover=0.0, mutations=1, "
        "adaptive=False)"
    ),
    "gdas": (
        "GDAS(epochs=240, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
        "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
        "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=True, partial=1, checkpoint=False, "
        "select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=(), tau_max=10.0, tau_min=0.1)"
    ),
    "grid": "Grid(levels=5)",
    "hyperband": "Hyperband(inner='random', inner_options=(), factor=3, low=None, high=None)",
    "local-search": "LocalSearch(move='first', starts=10, start='random', restart='random', limit=1000)",
    "mcts": (
        "MCTS(exploration=0.1, order='measured', rollouts='surrogate', samples=200, start=8, "
        "optimism=1.5, trust=1.0, transpositions=False, equivalence=10.0, bisect=9, widening=1.0, "
        "widening_power=0.5, virtual_loss=1.0, floor=0.25)"
    ),
    "nsga2": "NSGA2(population=100, crossover=0.9, mutations=1.0, repeats=False)",
    "optuna": "Optuna(sampler='tpe', sampler_options=None, ordered=False, repeats=True)",
    "pc-darts": (
        "PCDARTS(epochs=50, batch_size=256, held_out=0.5, lr=0.1, lr_min=0.001, momentum=0.9, "
        "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0006, arch_betas=(0.5, 0.999), "
        "arch_decay=0.001, order=1, warmup=15, every=1, weights_first=False, partial=4, checkpoint=False, "
        "select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
    ),
    "proxyless": (
        "Proxyless(epochs=160, batch_size=256, held_out=0.04, lr=0.025, lr_min=0.0, momentum=0.9, "
        "nesterov=True, weight_decay=4e-05, clip=0.0, arch_lr=0.001, arch_betas=(0.0, 0.999), "
        "arch_decay=0.0, order=1, warmup=40, every=5, weights_first=True, partial=1, checkpoint=False, "
        "select='argmax', tune=5, cost='', cost_form='log', cost_weight=0.2, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
    ),
    "pyglove": "PyGlove(generator='regularized_evolution', generator_options=None, dedup=False)",
    "random": "Random(uniform='points', repeats=False)",
    "reinforce": (
        "Reinforce(controller='lstm', batch=10, lr=0.0035, beta1=0.0, epsilon=0.001, baseline=0.99, "
        "entropy=0.0001, temperature=1.0, tanh_constant=1.1, normalise=False, heads='shared', hidden=32, "
        "layers=2, memory=0, memory_weight=1.0, repeats=True, init_seed=0)"
    ),
    "sharp-darts": (
        "SharpDARTS(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.0001, momentum=0.9, "
        "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
        "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=False, partial=1, checkpoint=False, "
        "select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=(), power=10.0, lr_warmup=5, max_w=True, "
        "detach_max=False)"
    ),
    "single-path": "SinglePath(population=50, generations=20, parents=10, mutants=25, mutation=0.1)",
    "single-path-nas": (
        "SinglePathNAS(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
        "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
        "arch_decay=0.0, order=1, warmup=0, every=1, weights_first=False, partial=1, checkpoint=False, "
        "select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, "
        "cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
    ),
    "smbo": (
        "SMBO(surrogate='gp', acquisition='ei', kappa=1.0, targets='soft', initial=5, pool=300, "
        "drawn=0.4, parents=8, starts=2, keep=192)"
    ),
    "successive-halving": (
        "SuccessiveHalving(inner='random', inner_options=(), factor=3, low=None, high=None, size=None)"
    ),
    "tas": (
        "TAS(epochs=600, batch_size=256, held_out=0.5, lr=0.1, lr_min=0.0, momentum=0.9, nesterov=False, "
        "weight_decay=0.0005, clip=5.0, arch_lr=0.001, arch_betas=(0.5, 0.999), arch_decay=0.001, "
        "order=1, warmup=0, every=1, weights_first=False, partial=1, checkpoint=False, select='argmax', "
        "tune=5, cost='', cost_form='linear', cost_weight=0.1, cost_power=0.3, cost_target=0.0, stop='', "
        "skip_limit=0.5, freeze=(), tau_max=10.0, tau_min=0.1, drawn=2)"
    ),
}
WITH_OPTIONS: list[tuple[str, dict[str, Any], str]] = [
    (
        "asha",
        {"inner": "evolution", "inner_options": "population=20,tournament=5", "low": 1, "high": 27},
        "ASHA(inner='evolution', inner_options='population=20,tournament=5', factor=4, low=1, high=27)",
    ),
    (
        "asha",
        {"inner_options": [["uniform", "space"]], "factor": 3},
        "ASHA(inner='random', inner_options=(('uniform', 'space'),), factor=3, low=None, high=None)",
    ),
    (
        "auto",
        {"modelled": 0},
        "Auto(modelled=0)",
    ),
    (
        "bananas",
        {"targets": "rank", "parents": 3},
        "Bananas(initial=10, pool=100, parents=3, targets='rank')",
    ),
    (
        "conservative-rl",
        {"controller": "factorised", "tanh_constant": None, "elites": 5, "normalise": True},
        (
            "ConservativeRL(elites=5, initial=10, controller='factorised', group='name', lr=0.00035, "
            "baseline=0.95, entropy=0.0001, temperature=5.0, tanh_constant=None, normalise=True, "
            "hidden=100, layers=1, repeats=True, init_seed=0)"
        ),
    ),
    (
        "darts",
        {"order": 2, "cost": "flops", "freeze": (("net.op", "relu"),)},
        (
            "DARTS(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
            "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
            "arch_decay=0.001, order=2, warmup=0, every=1, weights_first=False, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost='flops', cost_form='linear', "
            "cost_weight=0.1, cost_power=0.3, cost_target=0.0, stop='', skip_limit=0.5, "
            "freeze=(('net.op', 'relu'),))"
        ),
    ),
    (
        "darts-pt",
        {"tune": 10, "select": "argmax"},
        (
            "DARTSPT(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
            "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
            "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=False, partial=1, "
            "checkpoint=False, select='argmax', tune=10, cost='', cost_form='linear', cost_weight=0.1, "
            "cost_power=0.3, cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
        ),
    ),
    (
        "enas",
        {"steps": 3, "memory": 5, "tanh_constant": None},
        (
            "ENAS(steps=3, batch=10, lr=0.0035, beta1=0.0, epsilon=0.001, baseline=0.99, entropy=0.0001, "
            "temperature=1.0, tanh_constant=None, reduce=2.5, skip_target=0.4, skip_weight=0.0, "
            "hidden=32, layers=2, memory=5, memory_weight=1.0, init_seed=0)"
        ),
    ),
    (
        "enas-macro",
        {"skip_target": 0.2, "hidden": 64},
        (
            "ENASMacro(steps=50, batch=20, lr=0.001, beta1=0.0, epsilon=0.001, baseline=0.99, "
            "entropy=0.0001, temperature=1.0, tanh_constant=1.5, reduce=1.0, skip_target=0.2, "
            "skip_weight=0.8, hidden=64, layers=2, memory=0, memory_weight=1.0, init_seed=0)"
        ),
    ),
    (
        "evolution",
        {"population": 20, "tournament": 5, "repeats": False},
        (
            "RegularizedEvolution(population=20, tournament=5, repeats=False, crossover=0.0, mutations=1, "
            "adaptive=False)"
        ),
    ),
    (
        "evolution",
        {"adaptive": True, "crossover": 1, "mutations": 2},
        (
            "RegularizedEvolution(population=100, tournament=25, repeats=True, crossover=1, mutations=2, "
            "adaptive=True)"
        ),
    ),
    (
        "gdas",
        {"tau_min": 1, "epochs": 10},
        (
            "GDAS(epochs=10, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
            "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
            "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=True, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, "
            "cost_power=0.3, cost_target=0.0, stop='', skip_limit=0.5, freeze=(), tau_max=10.0, "
            "tau_min=1)"
        ),
    ),
    (
        "grid",
        {"levels": 2},
        "Grid(levels=2)",
    ),
    (
        "hyperband",
        {"factor": 4, "inner": "smbo", "inner_options": {"pool": 10}},
        "Hyperband(inner='smbo', inner_options=(('pool', 10),), factor=4, low=None, high=None)",
    ),
    (
        "local-search",
        {"move": "best", "start": "default", "restart": "near"},
        "LocalSearch(move='best', starts=10, start='default', restart='near', limit=1000)",
    ),
    (
        "mcts",
        {"rollouts": "random", "order": "tree", "floor": 0.0, "exploration": 1.0},
        (
            "MCTS(exploration=1.0, order='tree', rollouts='random', samples=200, start=8, optimism=1.5, "
            "trust=1.0, transpositions=False, equivalence=10.0, bisect=9, widening=1.0, "
            "widening_power=0.5, virtual_loss=1.0, floor=0.0)"
        ),
    ),
    (
        "nsga2",
        {"population": 20, "mutations": 3, "repeats": True},
        "NSGA2(population=20, crossover=0.9, mutations=3, repeats=True)",
    ),
    (
        "optuna",
        {"sampler": "cmaes", "ordered": True, "sampler_options": {"sigma0": 0.2}},
        "Optuna(sampler='cmaes', sampler_options={'sigma0': 0.2}, ordered=True, repeats=True)",
    ),
    (
        "pc-darts",
        {"partial": 1},
        (
            "PCDARTS(epochs=50, batch_size=256, held_out=0.5, lr=0.1, lr_min=0.001, momentum=0.9, "
            "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0006, arch_betas=(0.5, 0.999), "
            "arch_decay=0.001, order=1, warmup=15, every=1, weights_first=False, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, "
            "cost_power=0.3, cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
        ),
    ),
    (
        "proxyless",
        {"cost": (("net.op", (1.2, 0.4)),), "cost_form": "linear"},
        (
            "Proxyless(epochs=160, batch_size=256, held_out=0.04, lr=0.025, lr_min=0.0, momentum=0.9, "
            "nesterov=True, weight_decay=4e-05, clip=0.0, arch_lr=0.001, arch_betas=(0.0, 0.999), "
            "arch_decay=0.0, order=1, warmup=40, every=5, weights_first=True, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost=(('net.op', (1.2, 0.4)),), "
            "cost_form='linear', cost_weight=0.2, cost_power=0.3, cost_target=0.0, stop='', "
            "skip_limit=0.5, freeze=())"
        ),
    ),
    (
        "pyglove",
        {"generator": "nsga2", "generator_options": {"population_size": 10}, "dedup": True},
        "PyGlove(generator='nsga2', generator_options={'population_size': 10}, dedup=True)",
    ),
    (
        "random",
        {"uniform": "space", "repeats": True},
        "Random(uniform='space', repeats=True)",
    ),
    (
        "reinforce",
        {
            "controller": "factorised",
            "batch": 1,
            "lr": 0.1,
            "baseline": 0.9,
            "tanh_constant": None,
            "normalise": True,
        },
        (
            "Reinforce(controller='factorised', batch=1, lr=0.1, beta1=0.0, epsilon=0.001, baseline=0.9, "
            "entropy=0.0001, temperature=1.0, tanh_constant=None, normalise=True, heads='shared', "
            "hidden=32, layers=2, memory=0, memory_weight=1.0, repeats=True, init_seed=0)"
        ),
    ),
    (
        "sharp-darts",
        {"power": 1, "max_w": False},
        (
            "SharpDARTS(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.0001, momentum=0.9, "
            "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
            "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=False, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, "
            "cost_power=0.3, cost_target=0.0, stop='', skip_limit=0.5, freeze=(), power=1, lr_warmup=5, "
            "max_w=False, detach_max=False)"
        ),
    ),
    (
        "single-path",
        {"population": 10, "mutants": 0},
        "SinglePath(population=10, generations=20, parents=10, mutants=0, mutation=0.1)",
    ),
    (
        "single-path-nas",
        {"arch_decay": 0.1},
        (
            "SinglePathNAS(epochs=50, batch_size=64, held_out=0.5, lr=0.025, lr_min=0.001, momentum=0.9, "
            "nesterov=False, weight_decay=0.0003, clip=5.0, arch_lr=0.0003, arch_betas=(0.5, 0.999), "
            "arch_decay=0.1, order=1, warmup=0, every=1, weights_first=False, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, "
            "cost_power=0.3, cost_target=0.0, stop='', skip_limit=0.5, freeze=())"
        ),
    ),
    (
        "smbo",
        {"surrogate": "ridge", "acquisition": "ucb", "kappa": 2},
        (
            "SMBO(surrogate='ridge', acquisition='ucb', kappa=2, targets='soft', initial=5, pool=300, "
            "drawn=0.4, parents=8, starts=2, keep=192)"
        ),
    ),
    (
        "successive-halving",
        {"size": 9, "high": 27},
        "SuccessiveHalving(inner='random', inner_options=(), factor=3, low=None, high=27, size=9)",
    ),
    (
        "tas",
        {"drawn": 3, "cost_target": 5},
        (
            "TAS(epochs=600, batch_size=256, held_out=0.5, lr=0.1, lr_min=0.0, momentum=0.9, "
            "nesterov=False, weight_decay=0.0005, clip=5.0, arch_lr=0.001, arch_betas=(0.5, 0.999), "
            "arch_decay=0.001, order=1, warmup=0, every=1, weights_first=False, partial=1, "
            "checkpoint=False, select='argmax', tune=5, cost='', cost_form='linear', cost_weight=0.1, "
            "cost_power=0.3, cost_target=5, stop='', skip_limit=0.5, freeze=(), tau_max=10.0, "
            "tau_min=0.1, drawn=3)"
        ),
    ),
]


def test_every_algorithm_is_in_the_record() -> None:
    assert set(PUBLISHED) == set(BUILT_IN) == {name for name, _, _ in WITH_OPTIONS}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_defaults_are_the_published_ones(name: str) -> None:
    check(name, {}, PUBLISHED[name])


@pytest.mark.parametrize(("name", "options", "text"), WITH_OPTIONS)
def test_options_make_the_algorithm_that_they_made(name: str, options: dict[str, Any], text: str) -> None:
    check(name, options, text)


def check(name: str, options: dict[str, Any], text: str) -> None:
    """Hold an algorithm, and what a store keeps of it (name, options, `repr`), against the record."""
    made = resolve(name, options)
    assert repr(made) == text
    assert algorithm_name(made) == name
    kept = dict(made.hyperparameters)
    inside = ", ".join(f"{option}={value!r}" for option, value in kept.items())
    assert text == f"{type(made).__name__}({inside})"
    assert repr(resolve(name, kept)) == text
