"""What a step of a relaxed search costs beside DARTS written by hand, in time and in memory.

Run `python benchmarks/relaxed.py`; `--batch 64` and `--full` take the network of the paper (16 channels, 8
cells), `--device cuda` another device. Time: the two in turns. Memory: the most bytes of tensors alive at
once during a step, less what is alive before it; what kernels use inside is not seen.
"""

from __future__ import annotations

import argparse
import statistics
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from darts_reference import MixedOp, Network, stepper
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import symnas
from symnas.algorithms import DARTS, GDAS, PCDARTS, Proxyless
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.relaxed.search import network_of
from symnas.relaxed.training import RelaxedTraining

Step = Callable[[Tensor, Tensor], None]


class Meter(TorchDispatchMode):
    """Counts bytes of tensors that operators make, while they are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.known: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note what an operator is given, and what it makes."""
        self._hold((args, kwargs), new=False)
        result = func(*args, **(kwargs or {}))
        self._hold(result, new=True)
        return result

    def _hold(self, values: Any, new: bool) -> None:
        for leaf in tree_iter(values):
            if not isinstance(leaf, Tensor):
                continue
            storage = leaf.untyped_storage()
            key, size = storage._cdata, storage.nbytes() if new else 0
            if key in self.known:
                continue

            def release(_: object, key: int = key, size: int = size) -> None:
                self.alive -= size
                self.known.pop(key, None)

            self.known[key] = weakref.ref(storage, release)
            self.alive += size
            self.peak = max(self.peak, self.alive)


def peak(step: Step, data: tuple[Tensor, Tensor]) -> float:
    """Return the peak memory of a step in MiB."""
    if data[0].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(*data)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with Meter() as meter:
        step(*data)
    return meter.peak / 2**20


def relaxed(
    algorithm: RelaxedAlgorithm, program: Any, data: tuple[Tensor, Tensor], device: str
) -> tuple[Step, RelaxedTraining]:
    """Return a step of a search as the package makes it: of the logits, then of the weights."""
    task = symnas.Task(train=data, valid=data, loss=torch.nn.functional.cross_entropy, device=device)
    training = RelaxedTraining(task, network_of(program, task, algorithm, 0), algorithm, 0)
    training.network.train()

    def step(inputs: Tensor, targets: Tensor) -> None:
        training._move_logits((inputs, targets), (inputs, targets))
        training._move_weights((inputs, targets))

    return step, training


def one_path(channels: int, cells: int, device: str) -> Step:
    """Return a step by hand of a network in which every edge has one operation, drawn at random."""
    network = Network(channels, cells)
    draws = torch.Generator().manual_seed(0)
    for edge in (module for module in network.modules() if isinstance(module, MixedOp)):
        drawn = int(torch.randint(len(edge.operations), (), generator=draws))
        edge.operations = torch.nn.ModuleList([edge.operations[drawn]])
    network.logits = torch.nn.ParameterList(torch.nn.Parameter(torch.zeros(14, 1)) for _ in range(2))
    return stepper(network.to(device))


def seconds(step: Step, data: tuple[Tensor, Tensor]) -> float:
    """Return how long a step takes, by the processor's own time where that is what computes."""
    if data[0].is_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter() if data[0].is_cuda else time.process_time()
    step(*data)
    if data[0].is_cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() if data[0].is_cuda else time.process_time()) - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the paper's network, not the small one")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--darts", action="store_true", help="nothing but DARTS, beside that by hand")
    given = parser.parse_args()
    torch.set_num_threads(1)
    channels, cells = (16, 8) if given.full else (8, 3)
    arguments = {"channels": channels, "cells": cells, "affine": False, "none": True}
    data = torch.randn(given.batch, 3, 32, 32), torch.randint(10, (given.batch,))
    program = symnas.program("symnas.spaces.darts:Net", inputs=torch.zeros(2, 3, 32, 32), **arguments)
    network = Network(channels, cells).to(given.device)
    by_hand = stepper(network)
    moved = data[0].to(given.device), data[1].to(given.device)
    ours, training = relaxed(DARTS(), program, data, given.device)
    assert sum(w.numel() for w in training.weights) == sum(w.numel() for w in network.weights())

    print("## Relaxed search\n")
    print(
        f"DARTS' network for CIFAR-10, {channels} channels, {cells} cells, batches of {given.batch}, ", end=""
    )
    print(f"{given.device}: one step of the logits and one of the weights, beside one written by hand.\n")
    for step in (by_hand, ours):
        step(*moved)
    pairs = [(seconds(ours, moved), seconds(by_hand, moved)) for _ in range(given.rounds)]
    time_ratio = statistics.median(a / b for a, b in pairs)
    hand_peak = peak(by_hand, moved)
    print("| | seconds | times by hand | peak MiB | times by hand |\n|---|---:|---:|---:|---:|")
    print(f"| by hand | {statistics.median(b for _, b in pairs):.3f} | 1.00 | {hand_peak:.0f} | 1.00 |")
    rows: dict[str, Step] = {"DARTS": ours}
    others: dict[str, RelaxedAlgorithm] = {
        "DARTS, computing candidates again": DARTS(checkpoint=True),
        "PC-DARTS": PCDARTS(),
        "GDAS": GDAS(),
        "ProxylessNAS": Proxyless(),
    }
    for name, algorithm in {} if given.darts else others.items():
        rows[name], _ = relaxed(algorithm, program, data, given.device)
    rows["one operation on each edge, by hand"] = one_path(channels, cells, given.device)
    turns = max(1, given.rounds // 2)
    for name, step in rows.items():
        if name != "DARTS":
            step(*moved)
            pairs = [(seconds(step, moved), seconds(by_hand, moved)) for _ in range(turns)]
            time_ratio = statistics.median(a / b for a, b in pairs)
        mib = statistics.median(peak(step, moved) for _ in range(turns))  # some draw what they run
        took = statistics.median(a for a, _ in pairs)
        print(f"| {name} | {took:.3f} | {time_ratio:.2f} | {mib:.0f} | {mib / hand_peak:.2f} |")


if __name__ == "__main__":
    main()
