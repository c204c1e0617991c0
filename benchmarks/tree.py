"""Sampling, moving and encoding decisions, next to PyGlove, Optuna and ConfigSpace, in one run.

    python benchmarks/tree.py [--out RESULTS.md] [--quick]

Rates are per second of the process's own CPU time on one thread, medians of turns taken one after the other.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spaces import SPACES, darts
from symnas.tree.choices import Branch, IntRange, OneOf
from symnas.tree.space import Space

BATCH = 100_000
MOVES = 20_000
GOALS = {"S1": 1_000_000, "S2": 300_000}


def rate(call: Callable[[], object], per_call: int, seconds: float) -> float:
    """Return how many per CPU second, running for at least so long."""
    call()
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds or not count:
        call()
        count += 1
    return count * per_call / spent


class Ours:
    """What is measured of SymNAS on one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.rng = np.random.default_rng(0)
        self.some = space.sample(MOVES, self.rng)
        self.few = space.sample(200, self.rng)

    def sample_batch(self, seconds: float) -> float:
        return rate(lambda: self.space.sample(BATCH, self.rng), BATCH, seconds)

    def sample_one(self, seconds: float) -> float:
        return rate(lambda: dict(self.space.draw(self.rng)), 1, seconds)

    def sample_and_hash(self, seconds: float) -> float:
        def both() -> object:
            decision = self.space.sample(1, self.rng)[0]
            return dict(decision), decision.key

        return rate(both, 1, seconds)

    def mutate(self, seconds: float) -> float:
        return rate(lambda: self.space.mutate(self.some, self.rng), MOVES, seconds)

    def neighbours(self, seconds: float) -> float:
        found = len(self.space.neighbours(self.few))
        return rate(lambda: self.space.neighbours(self.few), found, seconds)

    def coding(self, seconds: float, view: str = "onehot") -> float:
        return rate(lambda: self.space.decode(self.space.encode(self.some, view), view), MOVES, seconds)


def compare(which: str, repeats: int, seconds: float) -> list[tuple[str, str, float, dict[str, float]]]:
    """Return rows of (space, measure, ours, peers' rates), turns taken one after the other."""
    from tree_peers import PEERS

    ours = Ours(SPACES[which]())
    peers = [peer(which) for peer in PEERS]
    mine: dict[str, list[float]] = {}
    theirs: dict[str, dict[str, list[float]]] = {}

    def note(measure: str, name: str, value: float) -> None:
        theirs.setdefault(measure, {}).setdefault(name, []).append(value)

    for _ in range(repeats):
        mine.setdefault("sample, batches", []).append(ours.sample_batch(seconds))
        mine.setdefault("sample, one at a time", []).append(ours.sample_one(seconds))
        mine.setdefault("sample(1), mapping and hash", []).append(ours.sample_and_hash(seconds))
        mine.setdefault("mutate", []).append(ours.mutate(seconds))
        mine.setdefault("neighbours", []).append(ours.neighbours(seconds))
        mine.setdefault("encode + decode, one-hot", []).append(ours.coding(seconds))
        mine.setdefault("encode + decode, ordinal", []).append(ours.coding(seconds, "ordinal"))
        for peer in peers:
            if peer.name == "optuna":
                peer.fresh()
            note("sample, one at a time", peer.name, rate(peer.one, 1, seconds))
            note("sample(1), mapping and hash", peer.name, theirs["sample, one at a time"][peer.name][-1])
            if peer.name == "ConfigSpace":
                note("sample, batches", peer.name, rate(lambda p=peer: p.many(1000), 1000, seconds))
            for measure, found in (("mutate", peer.mutation()), ("neighbours", peer.neighbours())):
                if found is not None:
                    note(measure, peer.name, rate(*found, seconds))
            coding = rate(peer.coding(), 1, seconds)
            note("encode + decode, one-hot", peer.name, coding)
            note("encode + decode, ordinal", peer.name, coding)
    return [
        (
            which,
            measure,
            statistics.median(values),
            {name: statistics.median(v) for name, v in theirs.get(measure, {}).items()},
        )
        for measure, values in mine.items()
    ]


def table(rows: Sequence[tuple[str, str, float, dict[str, float]]]) -> str:
    lines = [
        "| space | per second | SymNAS | pyglove | optuna | ConfigSpace | times the fastest |",
        "|---|---|---|---|---|---|---|",
    ]
    for which, measure, ours, peers in rows:
        cells = [
            f"{peers[name]:,.0f}" if name in peers else "–" for name in ("pyglove", "optuna", "ConfigSpace")
        ]
        ratio = f"{ours / max(peers.values()):,.1f}" if peers else "–"
        lines.append(f"| {which} | {measure} | {ours:,.0f} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


# -------------------------------------------------------------------- growth and memory


def wide(points: int) -> Space:
    """Return a space of one-of points side by side."""
    return Space(tuple(OneOf(f"x{i}", (0, 1, 2, 3)) for i in range(points)))


def looped(points: int) -> Space:
    """Return a space of ten points per turn of one counted loop."""
    turns = points // 10
    branches = tuple(
        Branch(range(t, turns), tuple(OneOf(f"i[{t}].x{k}", (0, 1, 2, 3)) for k in range(10)))
        for t in range(turns)
    )
    return Space((IntRange("i", 1, turns, branches=branches),))


def growth(seconds: float) -> str:
    """Return a table of what a point costs as spaces grow."""
    lines = [
        "| space | points | construct | sample(1) | batch of 1,000 | mutate, 1,000 | encode, 100 | size |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, make in (("side by side", wide), ("in a loop", looped)):
        for points in (100, 1_000, 10_000):
            rng = np.random.default_rng(0)
            space = make(points)
            batch = space.sample(1000, rng)

            def spent(call: Callable[[], Any], count: int, points: int = points) -> str:
                return f"{1e9 / rate(call, count * points, seconds):,.1f} ns"

            cells = [
                spent(lambda make=make, points=points: make(points).compiled.sampler, 1),
                spent(lambda space=space, rng=rng: space.sample(1, rng)[0], 1),
                spent(lambda space=space, rng=rng: space.sample(1000, rng), 1000),
                spent(lambda space=space, rng=rng, batch=batch: space.mutate(batch, rng), 1000),
                spent(lambda space=space, batch=batch: space.encode(batch[:100]), 100),
                spent(lambda make=make, points=points: make(points).size, 1),
            ]
            lines.append(f"| {name} | {points:,} | {' | '.join(cells)} |")
    return "Time per point and decision:\n\n" + "\n".join(lines)


def memory() -> str:
    """Return the memory that a million DARTS decisions take, measured in a process of their own."""
    run = subprocess.run([sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _peak() -> float:
    """Return the largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # the other counter includes what the parent held when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _memory() -> None:
    space = darts()
    space.sample(10, np.random.default_rng(0))
    before = _peak()
    batch = space.sample(1_000_000, np.random.default_rng(0))
    held = (batch.codes.nbytes + batch.reals.nbytes) / 1e6
    print(
        f"1,000,000 DARTS decisions: {held:,.0f} MB held, {_peak() - before:,.0f} MB more at the peak, "
        f"{_peak():,.0f} MB for the whole process"
    )


def report(quick: bool) -> str:
    repeats, seconds = (1, 0.1) if quick else (3, 0.4)
    rows = [row for which in SPACES for row in compare(which, repeats, seconds)]
    found = {which: ours for which, measure, ours, _ in rows if measure == "sample, batches"}
    met = [f"{which}: {found[which]:,.0f}/s in batches, goal {goal:,}" for which, goal in GOALS.items()]
    day, python = datetime.date.today(), platform.python_version()
    head = f"## Tree\n\n{day}, Python {python}, {platform.machine()}, one thread\n"
    return "\n".join([head, table(rows), "", "; ".join(met), "", growth(seconds / 2), "", memory(), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="append the tables to this file")
    parser.add_argument("--quick", action="store_true", help="one short turn each, to see that it runs")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        _memory()
        return
    warnings.simplefilter("ignore")
    text = report(arguments.quick)
    print(text)
    if arguments.out:
        with arguments.out.open("a") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
