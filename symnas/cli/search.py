"""`symnas search`: run a search, or go on with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from symnas.cli.app import INTERRUPTED
from symnas.cli.common import (
    count_noun,
    echo_json,
    json_option,
    load_program,
    program_options,
    trial_data,
)
from symnas.errors import EvaluatorError


def search_options(command: Any) -> Any:
    """Add what says how to search."""
    options = (
        click.option(
            "--task", required=True, metavar="FILE.py:NAME", help="A Task, or a function of the child."
        ),
        click.option("--algorithm", "-a", default="auto", show_default=True, help="See `symnas algorithms`."),
        click.option(
            "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Option of the algorithm."
        ),
        click.option(
            "--trials", "-n", type=int, help="How many, those of earlier runs included; 100 without a budget."
        ),
        click.option(
            "--budget", type=int, metavar="N", help="With hyperband and the like: epochs (or steps) in total."
        ),
        click.option("--initial", metavar="FILE.json", help="Decisions to try first."),
        click.option(
            "--warm-start", multiple=True, metavar="STORE[:NAME]", help="Study to learn from, repeatable."
        ),
        click.option("--store", metavar="FILE", help="SQLite file or database URL to keep the study in."),
        click.option("--name", help="Name of the study; by default program, task and algorithm."),
        click.option("--workers", "-w", default=1, show_default=True, help="How many trials run at once."),
        click.option("--seed", default=0, show_default=True, help="Everything random comes from it."),
        click.option("--objective", multiple=True, metavar="METRIC=max|min", help="What to optimise."),
        click.option("--timeout", type=float, metavar="SECONDS", help="Longest that a trial may take."),
        click.option("--pruner", type=click.Choice(["median", "halving"]), help="Stop bad trials early."),
        click.option(
            "--deterministic", is_flag=True, help="Same study from the same seed with several workers."
        ),
        click.option(
            "--import-changed", is_flag=True, help="Import what still fits where the search has changed."
        ),
        click.option("--progress", type=click.Choice(["auto", "live", "plain", "silent"]), default="auto"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("target")
@program_options
@search_options
@json_option
@click.pass_context
def search(ctx: click.Context, /, target: str, as_json: bool, **given: Any) -> None:
    """Search the space of TARGET, which is FILE.py:NAME or package.module:NAME.

    The same line again continues where the last one stopped, however it stopped, Ctrl-C included.
    Exits with 1 if no trial has a result, with 130 after Ctrl-C.
    """
    from symnas.contracts.registry import parse_options
    from symnas.frontend.sources import load
    from symnas.study.search import search as run

    program = load_program(target, given["inputs"], given["arguments"], given["include"])
    study = run(
        program,
        load(given["task"], what="the task", error=EvaluatorError, importable=True),
        algorithm=given["algorithm"],
        options=parse_options(given["settings"]),
        trials=given["trials"],
        budget=given["budget"],
        initial=read_initial(given["initial"]),
        warm_start=given["warm_start"] or None,
        store=given["store"],
        name=given["name"],
        workers=given["workers"],
        seed=given["seed"],
        objectives=read_objectives(given["objective"]),
        timeout=given["timeout"],
        deterministic=given["deterministic"],
        pruner=make_pruner(given["pruner"]),
        on_change="import" if given["import_changed"] else "refuse",
        progress="silent" if as_json else given["progress"],
    )
    best = study.front
    if as_json:
        echo_json(
            {
                "study": study.name,
                "store": given["store"],
                "state": study.state,
                "counts": {status.value: number for status, number in study.counts.items()},
                "best": [trial_data(trial) for trial in best],
            }
        )
    else:
        click.echo(f"{study.name}: {study.state}, {count_noun(len(study.trials), 'trial')}")
        for trial in best:
            metrics = ", ".join(f"{name} {value:.4g}" for name, value in trial.metrics.items())
            click.echo(f"best: trial {trial.number}, {metrics}")
        for trial in study.trials if not best else ():
            click.echo(f"trial {trial.number} {trial.status.value}: {trial.error or ''}", err=True)
            break
    if study.state == "interrupted":
        ctx.exit(INTERRUPTED)
    ctx.exit(0 if best else 1)


def read_objectives(words: tuple[str, ...]) -> dict[str, str] | None:
    """Read `accuracy=max`; a name alone is maximised, unless it says that less is better."""
    from symnas.contracts.objectives import assumed

    pairs = (word.partition("=") for word in words)
    return {name: direction or assumed(name) for name, _, direction in pairs} or None


def read_initial(file: str | None) -> list[Any] | None:
    """Read decisions from a file: a JSON list of them, or what `symnas best --json` prints."""
    if file is None:
        return None
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{file} cannot be read: {error}", param_hint="--initial") from None
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise click.BadParameter(
            f"{file} should hold a JSON list of decisions, each a mapping from addresses to values",
            param_hint="--initial",
        )
    return [item["decision"] if isinstance(item.get("decision"), dict) else item for item in found]


def make_pruner(name: str | None) -> Any:
    """Return the pruner of a name, with its usual settings."""
    if name is None:
        return None
    from symnas.study.pruners import Median, SuccessiveHalving

    return Median() if name == "median" else SuccessiveHalving()
