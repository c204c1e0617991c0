"""`symnas show`: the tree of decisions of a program, its size, and what its children cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from symnas.cli_common import count, echo_json, json_option, load_program, plain, program_options

if TYPE_CHECKING:
    from symnas.program import Program


@click.command()
@click.argument("target")
@program_options
@click.option("--sample", default=64, show_default=True, help="Children to count costs of, with --input.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
@json_option
def show(
    target: str,
    inputs: tuple[str, ...],
    arguments: tuple[str, ...],
    include: tuple[str, ...],
    sample: int,
    seed: int,
    as_json: bool,
) -> None:
    """Print the tree of decisions of TARGET, which is FILE.py:NAME or package.module:NAME.

    With --input, also the smallest and largest number of parameters and FLOPs (2 per multiply-add) that are
    found in a sample of the space, and those of the default.
    """
    program = load_program(target, inputs, arguments, include)
    size = program.space.size
    costs = survey_costs(program, inputs, sample, seed) if inputs else {}
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
            }
        )
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"[bold]{program.name}[/bold]")
    console.print(program.space)
    for kind, figures in costs.items():
        if kind != "children":
            low, default, high = (count(figures[name]) for name in ("smallest", "default", "largest"))
            console.print(f"{kind:<7} {low} .. {high} in {costs['children']} children, default {default}")


def survey_costs(program: Program, inputs: tuple[str, ...], sample: int, seed: int) -> dict[str, Any]:
    """Return the extremes of parameters, FLOPs and memory over sampled children."""
    import numpy as np

    from symnas.cli_common import read_input

    tensors = [read_input(text) for text in inputs]
    space = program.space
    drawn = list(space.sample(sample, np.random.default_rng(seed))) if len(space) else []
    profiles = [program.profile(decision, *tensors) for decision in [space.default, *dict.fromkeys(drawn)]]
    figures: dict[str, Any] = {"children": len(profiles)}
    for kind in ("params", "flops", "memory"):
        values = [getattr(profile, kind) for profile in profiles]
        figures[kind] = {"smallest": min(values), "default": values[0], "largest": max(values)}
    return figures
