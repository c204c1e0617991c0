"""A search over chips around a search over networks: for every chip, the best network on it.

The loop is an ordinary function that searches, given to a search. With --store all studies are kept in one
file, so that the whole can be killed and run again.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from chip import Chip, latency_ms, layers
from sklearn.datasets import load_digits
from torch import Tensor, nn

import symnas

HERE = Path(__file__).parent
EXAMPLE = torch.zeros(1, 1, 8, 8)
TARGET_MS = 0.05


def reward(accuracy: float, latency: float) -> float:
    """Weigh accuracy against latency as MnasNet does (Tan et al. 2019): accuracy * (t / T) ** -0.07."""
    return accuracy * (latency / TARGET_MS) ** -0.07


def codesign(
    chips,
    nets,
    quality: Callable[[nn.Module, int], float],
    *,
    outer: str = "random",
    inner: str = "evolution",
    chip_trials: int,
    net_trials: int,
    store: str | None = None,
    progress: str = "auto",
):
    """Search chips for the best reward and the least area, each with the best network found for it.

    Args:
        chips: program that builds a `Chip`.
        nets: program that builds a network.
        quality: accuracy of a network, trained with a seed.
        outer: algorithm for the chips.
        inner: algorithm for the networks.
        chip_trials: chips to try.
        net_trials: networks to try on each.
        store: file for both studies.
        progress: how progress is shown.
    """

    def best_on(chip: Chip) -> dict[str, float]:
        def on_this_chip(net: nn.Module) -> dict[str, float]:
            latency = latency_ms(layers(net, EXAMPLE), chip)
            accuracy = quality(net, 0)
            return {"reward": reward(accuracy, latency), "accuracy": accuracy, "latency_ms": latency}

        found = symnas.search(
            nets, on_this_chip, algorithm=inner, trials=net_trials, store=store, objectives="reward"
        )
        return {**found.best.metrics, "area_mm2": chip.area_mm2}

    return symnas.search(
        chips,
        best_on,
        algorithm=outer,
        trials=chip_trials,
        store=store,
        objectives={"reward": "max", "area_mm2": "min"},
        progress=progress,
    )


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).float().mean()


def digits() -> symnas.Task:
    """Return a task on the 1,797 digits of scikit-learn: two passes over 1,000, scored on the rest."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16, torch.tensor(labels)
    return symnas.Task(
        train=(x[:1000], y[:1000]),
        valid=(x[1000:], y[1000:]),
        loss=nn.functional.cross_entropy,
        metrics={"accuracy": accuracy},
        optimizer=adam,
        epochs=2,
    )


def adam(parameters) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=12, help="chips to try")
    parser.add_argument("--nets", type=int, default=8, help="networks to try on each chip")
    parser.add_argument("--store", help="file that keeps the studies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = digits()

    def quality(net: nn.Module, seed: int) -> float:
        return task.fit(net, seed=seed)["accuracy"]

    study = codesign(
        symnas.program(f"{HERE / 'chip.py'}:Chip"),
        symnas.program(f"{HERE / 'net.py'}:Net"),
        quality,
        inner=symnas.algorithms.RegularizedEvolution(population=4, tournament=2),
        chip_trials=options.chips,
        net_trials=options.nets,
        store=options.store,
    )
    print(f"{len(study.front)} of {len(study.trials)} chips are best for their area:")
    for trial in sorted(study.front, key=lambda trial: trial.metrics["area_mm2"]):
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in trial.metrics.items())
        print(f"  {numbers}  {dict(trial.decision)}")


if __name__ == "__main__":
    main()
