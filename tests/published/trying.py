"""Tries published models, each in a process of its own, and compares what came out with what is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from known import KNOWN
from specs import MODELS
from stages import STAGES, Cell

FOLDER = Path(__file__).resolve().parent


def part_of(names: list[str], part: str) -> list[str]:
    """Return the models of a part such as `2/3`, which is every third from the second on; all for ``."""
    if not part:
        return names
    index, _, parts = part.partition("/")
    return names[int(index) - 1 :: int(parts)]


def tried(name: str) -> dict[str, Cell]:
    """Return the cells of a model, tried in another process."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "cells.json"
        command = [sys.executable, str(FOLDER / "run.py"), name, "--json", str(written)]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_OFFLINE": "1",
        }
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=scratch, timeout=900
        )
        if done.returncode:
            raise RuntimeError(f"{name} could not be tried:\n{done.stdout}{done.stderr}")
        cells = json.loads(written.read_text())[name]
    return {stage: Cell(**cell) for stage, cell in cells.items()}


def complaints(name: str, cells: dict[str, Cell], *, mended: bool = True) -> list[str]:
    """Return a text for each cell that is not what it should be.

    Args:
        name: of the model.
        cells: what became of its stages.
        mended: whether a cell that works, and is known not to, is one of them. Speed is the machine's, so one
            that is known to be slow may work.
    """
    found = []
    for stage, cell in cells.items():
        status, reason = KNOWN.get((name, stage), ("works", ""))
        fine = {status, "plain"}
        if stage == "relaxed":
            fine |= {"works", "refused"} if status == "works" else {"refused"}
        if cells["space"].status != "works":
            fine.add("-")
        if status == "slow" or not mended:
            fine.add("works")
        if ("space" in {stage for other, stage in KNOWN if other == name}) and stage != "space":
            # Of a space that was not found before nothing more is known.
            fine |= {"works", "refused", "vague", "raw", "slow"}
        if cell.status not in fine:
            expected = f"known to be {status} ({reason}): change known.py" if reason else "expected to work"
            found.append(f"{name}, {stage}: {cell.status}, {expected}\n{cell.note}")
    return found


def unknown_entries() -> set[tuple[str, str]]:
    """Return what `KNOWN` says of models or stages that there are not."""
    return {(name, stage) for name, stage in KNOWN if name not in MODELS or stage not in STAGES}
