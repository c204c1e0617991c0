"""Trials per second of the search loop itself, next to Optuna's.

Random search on 20 one-of x 5, with an evaluator that builds nothing:

    python benchmarks/driver.py            # 1,000 .. 100,000 trials; some minutes
    python benchmarks/driver.py --quick    # 1,000 and 5,000

SymNAS commits every trial to disk before the next one starts (SQLite in WAL mode, synchronous=FULL); Optuna's
SQLite storage leaves SQLite's defaults. Both sum the twenty values. Larger studies are not asked of
Optuna's SQLite storage, which would take an hour.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import symnas
from symnas import OneOf, Space

SPACE = Space(tuple(OneOf(f"p{place}", (0, 1, 2, 3, 4), 0) for place in range(20)))
OPTUNA_SQLITE_LIMIT = 1_000
OPTUNA_MEMORY_LIMIT = 10_000


def evaluate(decision: symnas.Decision) -> float:
    return float(sum(decision.values()))


def symnas_memory(trials: int, _: Path) -> None:
    symnas.search(SPACE, evaluate, trials=trials, progress=False)


def symnas_sqlite(trials: int, folder: Path) -> None:
    symnas.search(SPACE, evaluate, trials=trials, store=folder / "symnas.db", progress=False)


def optuna_study(trials: int, storage: str | None) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        return float(sum(trial.suggest_categorical(f"p{place}", (0, 1, 2, 3, 4)) for place in range(20)))

    sampler = optuna.samplers.RandomSampler(seed=0)
    optuna.create_study(storage=storage, sampler=sampler, direction="maximize").optimize(
        objective, n_trials=trials
    )


def optuna_memory(trials: int, _: Path) -> None:
    optuna_study(trials, None)


def optuna_sqlite(trials: int, folder: Path) -> None:
    optuna_study(trials, f"sqlite:///{folder / 'optuna.db'}")


def rate(search: Callable[[int, Path], None], trials: int) -> float:
    """Return trials per second of wall time, the making of the study included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        search(trials, Path(folder))
        return trials / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the small studies")
    sizes = [1_000, 5_000] if parser.parse_args().quick else [1_000, 10_000, 100_000]
    rows: list[tuple[str, Callable[[int, Path], None], int]] = [
        ("SymNAS, memory", symnas_memory, sizes[-1]),
        ("SymNAS, SQLite, durable", symnas_sqlite, sizes[-1]),
        ("Optuna, memory", optuna_memory, OPTUNA_MEMORY_LIMIT),
        ("Optuna, SQLite", optuna_sqlite, OPTUNA_SQLITE_LIMIT),
    ]
    for _, search, _ in rows:
        rate(search, 20)  # imports and compiled statements are not what is measured
    print(f"\nTrials per second, Python {platform.python_version()}, one process\n")
    print("| driver | " + " | ".join(f"{size:,} trials" for size in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    for name, search, limit in rows:
        cells = [f"{rate(search, size):,.0f}" if size <= limit else "–" for size in sizes]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
