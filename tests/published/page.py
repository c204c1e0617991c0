"""Tries all models, two at a time, and writes docs/published.md: `python tests/published/page.py`."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from known import KNOWN
from specification import Model
from specs import MODELS
from stages import STAGES, STATUSES, Cell
from trying import tried

PAGE = Path(__file__).resolve().parents[2] / "docs" / "published.md"
MARKS = {"works": "✓"}
Results = dict[str, dict[str, Cell]]


def main() -> None:
    """Try, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="how many models at a time")
    parser.add_argument("--cells", type=Path, help="read what this file has, and keep there what is new")
    options = parser.parse_args()
    kept = options.cells.read_text() if options.cells and options.cells.exists() else "{}"
    results = {name: {s: Cell(**c) for s, c in cells.items()} for name, cells in json.loads(kept).items()}
    start = time.monotonic()
    missing = [name for name in MODELS if name not in results]
    with ThreadPoolExecutor(options.processes) as pool:
        running = {pool.submit(tried, name): name for name in missing}
        for done in as_completed(running):
            name = running[done]
            results[name] = done.result()
            failed = [
                f"{stage} {cell.status}" for stage, cell in results[name].items() if cell.status != "works"
            ]
            print(f"{name}: {', '.join(failed) or 'works'}", flush=True)
            if options.cells:
                plain = {n: {s: asdict(c) for s, c in each.items()} for n, each in results.items()}
                options.cells.write_text(json.dumps(plain, indent=1))
    print(f"{len(missing)} models in {time.monotonic() - start:.0f} s")
    PAGE.write_text(page({name: results[name] for name in MODELS}), encoding="utf-8")


def page(results: Results) -> str:
    """Return the whole page."""
    packages = {model.package: model.version for model in MODELS.values()}
    seconds = sum(cell.seconds for cells in results.values() for cell in cells.values())
    counts = {stage: Counter(cells[stage].status for cells in results.values()) for stage in STAGES}
    main = [stage for stage in STAGES if stage != "relaxed"]
    works = sum(counts[stage]["works"] for stage in main)
    parts = [
        "# Published models",
        "",
        "<!-- written by tests/published/page.py -->",
        "",
        f"{len(results)} models of {len(packages)} packages, as pip installs them, annotated by comments",
        "alone. `tests/published` says where they go; the files are copied out of the packages, the",
        "comments put in, when the tests run. `make test-published` tries all of it.",
        "",
        *(f"- **{stage}**: {function.__doc__}" for stage, function in STAGES.items()),
        "",
        "; ".join(f"{MARKS.get(name, f'*{name}*')}: {text}" for name, text in STATUSES.items()) + ".",
        "",
        f"Of {len(main) * len(results)} cells other than relaxed networks, {works} work "
        f"({100 * works / (len(main) * len(results)):.0f} %). All of it takes {seconds / 60:.0f} minutes of "
        "processor time, the copies of packages not counted.",
        "",
        "| model | package | kind | points | " + " | ".join(STAGES) + " |",
        "|---|---|---|---|" + "---|" * len(STAGES),
    ]
    for name, cells in results.items():
        model = MODELS[name]
        points = (
            cells["space"].note.rpartition(" · ")[2].partition(" ")[0]
            if cells["space"].status == "works"
            else ""
        )
        marks = " | ".join(MARKS.get(cells[stage].status, cells[stage].status) for stage in STAGES)
        parts.append(f"| {name} | {model.package} | {model.kind} | {points} | {marks} |")
    parts += ["", "| | " + " | ".join(STAGES) + " |", "|---|" + "---|" * len(STAGES)]
    for status in STATUSES:
        if any(counts[stage][status] for stage in STAGES):
            parts.append(f"| {status} | " + " | ".join(str(counts[stage][status]) for stage in STAGES) + " |")
    parts += ["", "## What is annotated", "", *_annotated()]
    if KNOWN:
        parts += ["", "## What does not work, and why", ""]
        parts += [
            f"- {name}, {stage}: {status}. {reason}" for (name, stage), (status, reason) in KNOWN.items()
        ]
    return "\n".join(parts) + "\n"


def _annotated() -> list[str]:
    return [
        f"- **{model.name}** ({model.package} {model.version}, `{model.files[0]}`): {_listed(model)}"
        for model in MODELS.values()
    ]


def _listed(model: Model) -> str:
    own = [f"`{at.scope}`: `{at.comment}`" for at in model.comments]
    used = [line.partition("# search: ")[2] for line in model.usage.splitlines() if "# search: " in line]
    return "; ".join([*own, *(f"arguments: `{text}`" for text in used)])


if __name__ == "__main__":
    main()
