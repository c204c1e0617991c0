"""`symnas status` and `symnas best`: what is in a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from symnas.cli.app import FAILED
from symnas.cli.common import echo_json, json_option, program_of, source_of, trial_data

if TYPE_CHECKING:
    from symnas.study.study import Study
    from symnas.study.trials.trial import Trial


@click.command()
@click.argument("store")
@json_option
def status(store: str, as_json: bool) -> None:
    """List the studies of STORE, a SQLite file or a database URL."""
    from symnas.study.study import load_study, studies

    rows: list[dict[str, Any]] = []
    for summary in studies(store):
        front = load_study(store, summary.name).front
        rows.append(
            {
                "study": summary.name,
                "state": summary.state,
                "trials": summary.trials,
                "counts": {status.value: number for status, number in summary.counts.items()},
                "algorithm": summary.algorithm,
                "driver": summary.driver,
                "age": round(summary.age, 1),
                "best": [trial_data(trial) for trial in front],
            }
        )
    if as_json:
        echo_json(rows)
        return
    width = max((len(row["study"]) for row in rows), default=0)
    for row in rows:
        counts = ", ".join(f"{number} {status}" for status, number in row["counts"].items()) or "no trials"
        click.echo(f"{row['study']:<{width}}  {row['state']}: {counts}; best {short_best(row['best'])}")
        click.echo(f"{'':<{width}}  {row['algorithm']}")


def short_best(front: Sequence[dict[str, Any]]) -> str:
    """Return the best trial's objective in a few words, or how many trials the front has."""
    if len(front) != 1:
        return f"front of {len(front)}" if front else "none"
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in list(front[0]["metrics"].items())[:2])
    return f"{metrics} (trial {front[0]['trial']})"


@click.command()
@click.argument("store")
@click.option("--study", "name", help="Name of the study; may be left out where the store has one.")
@click.option("--top", default=1, show_default=True, help="How many trials, best first.")
@click.option("--source", is_flag=True, help="Print the child's standalone source text, too.")
@click.option("--program", "target", metavar="FILE.py:NAME", help="The program, if it is not where it was.")
@json_option
@click.pass_context
def best(
    ctx: click.Context,
    store: str,
    name: str | None,
    top: int,
    source: bool,
    target: str | None,
    as_json: bool,
) -> None:
    """Print decision, metrics and child of the best trials of a study in STORE.

    With several objectives, all trials of the Pareto front. Exits with 1 if no trial has a result.
    """
    from symnas.study.study import load_study

    study = load_study(store, name)
    program = program_of(study, target) if source or target else None
    trials = ranked(study, top)
    if as_json:
        found = [trial_data(trial) for trial in trials]
        for data, trial in zip(found, trials, strict=True):
            data["source"] = source_of(program, trial) if program else None
        echo_json(found)
    else:
        for trial in trials:
            print_trial(study, trial)
            if program:
                click.echo(f"\n{source_of(program, trial)}")
        if not trials:
            click.echo(f"no trial of {study.name} has a result yet", err=True)
    ctx.exit(0 if trials else FAILED)


def ranked(study: Study, top: int) -> list[Trial]:
    """Return the front, or with one objective the best few, best first, those that went further before."""
    if len(study.objectives) > 1:
        return list(study.front)
    done = [trial for trial in study.trials if trial.status == "done" and trial.values]
    sign = -1.0 if "min" in study.objectives.values() else 1.0
    return sorted(done, key=lambda trial: (-(trial.fidelity or 0), -sign * (trial.values or (0.0,))[0]))[:top]


def print_trial(study: Study, trial: Trial) -> None:
    """Print one trial's metrics, and its decision against the default."""
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in trial.metrics.items())
    reached = "" if trial.fidelity is None else f" at {trial.fidelity}"
    click.echo(f"{study.name}, trial {trial.number}{reached}: {metrics}")
    default = study.space.default
    width = max((len(address) for address in trial.decision), default=0)
    for address, value in trial.decision.items():
        usual = default.get(address, value)
        note = "" if usual == value else f"   (default {usual})"
        click.echo(f"  {address:<{width}}  {value}{note}")
