"""`symnas show`: the tree of decisions of a program, its size, and what its children cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from symnas.cli.common import count, echo_json, json_option, load_program, plain, program_options

if TYPE_CHECKING:
    from symnas.programs.program import Program
    from symnas.study.study import Study


@click.command()
@click.argument("target")
@program_options
@click.option("--sample", default=64, show_default=True, help="Children to count costs of, with --input.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
@click.option("--store", help="Store with a study of TARGET, whose trials are told at each point.")
@click.option("--study", "name", help="Name of the study; may be left out where the store has one.")
@json_option
def show(
    target: str,
    inputs: tuple[str, ...],
    arguments: tuple[str, ...],
    include: tuple[str, ...],
    sample: int,
    seed: int,
    store: str | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Print the tree of decisions of TARGET, which is FILE.py:NAME or package.module:NAME.

    With --input, also the smallest and largest number of parameters and FLOPs (2 per multiply-add) that are
    found in a sample of the space, and those of the default. With --store, also how each candidate did in
    the trials of a study: how many had it, their mean and the best; with MCTS, also how often the search
    tree went through it, and the order in which it decides points.
    """
    if name is not None and store is None:
        raise click.UsageError("a study is in a store: give --store as well")
    program = load_program(target, inputs, arguments, include)
    size = program.space.size
    costs = survey_costs(program, inputs, sample, seed) if inputs else {}
    study = opened(store, name, program) if store is not None else None
    if as_json:
        space = program.space
        echo_json(
            {
                "program": program.name,
                "fingerprint": program.fingerprint,
                "size": None if size == math.inf else size,
                "points": len(space.addresses),
                "default": plain(space.default.flat()),
                "requires": list(space.requires),
                "costs": costs,
                "space": space.to_json(),
                **({"study": told(study)} if study is not None else {}),
            }
        )
        return
    from rich.console import Console

    from symnas.cli.statistics_view import statistics_tree

    console = Console(highlight=False)
    console.print(f"[bold]{program.name}[/bold]")
    console.print(program.space)
    for kind, figures in costs.items():
        if kind != "children":
            low, default, high = (count(figures[name]) for name in ("smallest", "default", "largest"))
            console.print(f"{kind:<7} {low} .. {high} in {costs['children']} children, default {default}")
    if study is not None:
        console.print(f"[bold]{study.name}[/bold], by {objective(study)}")
        console.print(statistics_tree(program.space, study.statistics(), sign(study)))


def opened(store: str, name: str | None, program: Program) -> Study:
    """Return a study of a program; one of another program's space is an error that says so."""
    from symnas.study.study import load_study

    return load_study(store, name, program=program)


def sign(study: Study) -> int:
    """Return -1 where a study minimises its first objective, 1 otherwise."""
    return -1 if next(iter(study.objectives.values()), "max") == "min" else 1


def objective(study: Study) -> str:
    """Return in words what a study's first objective is."""
    named = list(study.objectives.items())
    return f"{named[0][0]} ({named[0][1]})" if named else "its only metric (max)"


def told(study: Study) -> dict[str, Any]:
    """Return a study's statistics as plain data."""
    from symnas.cli.statistics_view import statistics_json

    return {
        "name": study.name,
        "objective": objective(study),
        **statistics_json(study.statistics(), sign(study)),
    }


def survey_costs(program: Program, inputs: tuple[str, ...], sample: int, seed: int) -> dict[str, Any]:
    """Return the extremes of parameters, FLOPs and memory over sampled children, kept for the next time."""
    from symnas.programs.kept_surveys import kept

    def counted() -> dict[str, Any]:
        return _counted(program, inputs, sample, seed)

    figures: dict[str, Any] = kept(program.internals, ("costs", inputs, sample, seed), counted)
    return figures


def _counted(program: Program, inputs: tuple[str, ...], sample: int, seed: int) -> dict[str, Any]:
    import numpy as np

    from symnas.cli.common import read_input

    tensors = [read_input(text) for text in inputs]
    space = program.space
    drawn = list(space.sample(sample, np.random.default_rng(seed))) if len(space) else []
    profiles = [program.profile(decision, *tensors) for decision in [space.default, *dict.fromkeys(drawn)]]
    figures: dict[str, Any] = {"children": len(profiles)}
    for kind in ("params", "flops", "memory"):
        values = [getattr(profile, kind) for profile in profiles]
        figures[kind] = {"smallest": min(values), "default": values[0], "largest": max(values)}
    return figures
