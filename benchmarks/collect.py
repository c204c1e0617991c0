"""Run benchmarks and write what they print, with the date and the machine, into docs/benchmarks.md.

    python benchmarks/collect.py                    # all of them
    python benchmarks/collect.py proposal_time.py   # some, whose sections then replace those on the page

Each benchmark is a program that prints Markdown, tables under a `##` heading. One that fails is reported as
failed, and the exit status says so; the page then keeps its old section. What `make bench-quality` writes
into the page, between markers, stays.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PROGRAMS = {
    "startup.py": "Starting up",
    "tree.py": "Tree",
    "build.py": "Build",
    "driver.py": "Driver",
    "proposal_time.py": "Proposal time",
    "adapters.py": "Adapters",
    "supernet.py": "Supernet",
    "relaxed.py": "Relaxed",
}
PACKAGES = ("symnas", "torch", "numpy", "sqlalchemy", "pyglove", "optuna", "hyperopt", "ConfigSpace")
HEAD = """\
# Benchmarks

What is compared with a peer is run in turn with it, in one run, on one core; trust the ratios: absolute
figures drift from machine to machine.

{machine}"""
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


def machine() -> str:
    """Return a paragraph on what the figures were measured with."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return (
        f"Measured with `make bench`: {os.cpu_count()} cores, "
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, {', '.join(versions)}."
    )


def section(program: str) -> str | None:
    """Run a program and return its section, with the date and how busy the machine was; None if it fails."""
    load = os.getloadavg()[0]
    today = datetime.datetime.now(datetime.UTC).date()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "SYMNAS_CACHE": "off"}
    command = [sys.executable, str(HERE / program)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    print(done.stdout, flush=True)
    text = done.stdout.strip()
    if "|" not in text:
        text = f"```text\n{text}\n```"
    if text.startswith("## "):
        text = text.partition("\n")[2].strip()
    busy = "" if load < 0.5 else f", while other work loaded the machine with {load:.0f} processes"
    return None if done.returncode else f"## {PROGRAMS[program]}\n\nMeasured on {today}{busy}.\n\n{text}"


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by their headings."""
    parts = re.split(r"^(?=## )", QUALITY.sub("", page), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.strip() for part in parts}


def main(names: Sequence[str]) -> int:
    failed = []
    for program in names or PROGRAMS:
        print(f"-- {program}", file=sys.stderr, flush=True)
        written = section(program)
        if written is None:
            failed.append(program)
            continue
        old = PAGE.read_text(encoding="utf-8")
        known = {**sections(old), written.partition("\n")[0]: written}
        kept = QUALITY.search(old)
        headings = [f"## {heading}" for heading in PROGRAMS.values()]
        parts = [HEAD.format(machine=machine()), *(known[name] for name in headings if name in known)]
        parts += [kept.group().rstrip()] if kept else []
        PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}; {PAGE.name} keeps their old sections", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
