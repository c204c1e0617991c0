"""Run every benchmark and write what they print, with the date and the machine, into docs/benchmarks.md.

Each benchmark is a program that prints Markdown, tables under a `##` heading. One that fails is reported as
failed, and the exit status says so; the page then keeps its old text. What `make bench-quality` writes into
the page, between markers, stays.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PROGRAMS = (
    "startup.py",
    "tree.py",
    "build.py",
    "driver.py",
    "thinking.py",
    "adapters.py",
    "supernet.py",
)
PACKAGES = ("symnas", "torch", "numpy", "sqlalchemy", "pyglove", "optuna", "hyperopt", "ConfigSpace")
# Written by `benchmarks/quality/summary.py`.
QUALITY = re.compile(r"<!-- quality -->.*<!-- /quality -->\n", re.DOTALL)


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine(before: float) -> str:
    """Return a paragraph on what the figures were measured with, and what else ran when they began to be."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"Measured on {today} with `make bench`: {os.cpu_count()} cores, "
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, {', '.join(versions)}. "
        f"When it began, the machine had a load of {before:.1f} from other work."
    )


def main() -> int:
    before = os.getloadavg()[0]
    sections, failed = [], []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    for program in PROGRAMS:
        print(f"-- {program}", file=sys.stderr, flush=True)
        command = [sys.executable, str(HERE / program)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
        print(done.stdout, flush=True)
        text = done.stdout.strip()
        if "|" not in text:
            text = f"```text\n{text}\n```"
        sections.append(text if text.startswith("## ") else f"## {Path(program).stem.capitalize()}\n\n{text}")
        if done.returncode:
            failed.append(program)
    if failed:
        print(f"failed: {', '.join(failed)}; {PAGE.name} was left as it was", file=sys.stderr)
        return 1
    head = (
        "# Benchmarks\n\nWhat is compared with a peer is run in turn with it, in one run, on one core; "
        f"trust the ratios: absolute figures drift from machine to machine.\n\n{machine(before)}\n"
    )
    kept = QUALITY.search(PAGE.read_text(encoding="utf-8"))
    sections += [kept.group().rstrip()] if kept else []
    PAGE.write_text(head + "".join(f"\n{section}\n" for section in sections), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
