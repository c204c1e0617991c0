"""Tries one published model and prints what became of each stage: `python tests/published/run.py NAME …`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from specs import MODELS
from stages import STAGES, run


def main() -> None:
    """Try the models named, in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(MODELS), metavar="NAME")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), help="these alone")
    parser.add_argument("--json", type=Path, help="write the cells to this file")
    parser.add_argument("--keep", type=Path, help="write the copied files here, and keep them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.names:
            cells = run(MODELS[name], (options.keep or Path(scratch)) / name, options.stages)
            results[name] = {stage: asdict(cell) for stage, cell in cells.items()}
            for stage, cell in cells.items():
                print(f"{name:24} {stage:10} {cell.status:8} {cell.seconds:6.1f} s  {cell.note}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
