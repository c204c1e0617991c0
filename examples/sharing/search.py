"""Search with the algorithm that is named, and say how well what it found does when it is trained by itself.

The word is all that changes in the call of `symnas.search`.
"""

import argparse
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from task import make_task
from words import ALONE, DATA, WORDS

import symnas

HERE = Path(__file__).parent
NETS = {"mnist": {"dims": 2, "width": 8}, "mnist1d": {"dims": 1, "width": 12}}
RETRAININGS = 2
CHILDREN = 6  # how many random children are trained again, for their mean


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    result = run(options.word, options.data, options.seed)
    if options.json:
        print(json.dumps(result))
        return
    print(f"found: {result['decision']}")
    print(f"test accuracy, trained by itself: {mean(result['test']):.3f}")
    print(f"search: {result['seconds']:.1f} s of CPU time, {result['megabytes']:.0f} MB more memory")


def run(word: str, data: str, seed: int) -> dict:
    """Return what was found, what that took, and the test accuracies of what was found."""
    given = WORDS[word]
    program = symnas.program(f"{HERE / 'net.py'}:Net", **NETS[data])
    alone = make_task(data, ALONE[data])
    task = make_task(data, given.get("epochs", ALONE[data]))
    ends = []
    warm_up(program, alone)
    memory, began = peak(start=True), time.process_time()
    study = symnas.search(
        program, task, algorithm=word, options=given.get("options"), trials=given.get("trials"), seed=seed,
        progress="silent", on_trial=lambda _: ends.append(time.process_time() - began),
    )  # fmt: skip
    result = {
        "data": data, "word": word, "seed": seed, "seconds": round(time.process_time() - began, 1),
        "megabytes": round(peak() - memory, 1), "decision": study.best.decision.flat(),
        "test": retrained(study.best, alone, RETRAININGS),
    }  # fmt: skip
    if word == "random":
        result["path"] = path(study.trials, ends, alone)
        result["children"] = [retrained(trial, alone, 1)[0] for trial in study.trials[:CHILDREN]]
    return result


def retrained(trial, alone: symnas.Task, times: int) -> list[float]:
    """Return test accuracies of a trial's child, trained anew, with seeds that no search has used."""
    scores = []
    for seed in range(1000, 1000 + times):
        torch.manual_seed(seed)
        child = trial.build()
        alone.fit(child, seed=seed)
        scores.append(round(alone.score(child, split="test")["accuracy"], 4))
    return scores


def path(trials, ends: list[float], alone: symnas.Task) -> list[tuple[float, list[float]]]:
    """Return when a search found something better by validation, and its test accuracies."""
    found, best = [], float("-inf")
    for trial, end in zip(trials, ends, strict=True):
        if trial.metrics["accuracy"] > best:
            best = trial.metrics["accuracy"]
            found.append((round(end, 1), retrained(trial, alone, RETRAININGS)))
    return found


def warm_up(program, task: symnas.Task) -> None:
    """Train for a step, so that what libraries load on first use counts neither as memory nor as time."""
    replace(task, epochs=None, steps=1).fit(program.build(program.space.default))


def peak(start: bool = False) -> float:
    """Return the most memory that this process has had since the last call with `start`, in MB; on Linux."""
    if not Path("/proc/self/clear_refs").exists():
        return float("nan")
    if start:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", choices=WORDS, help="the algorithm")
    parser.add_argument("--data", choices=DATA, default="mnist1d")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
