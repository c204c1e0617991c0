"""`symnas algorithms`: what `--algorithm` takes, and what `--set` sets."""

from __future__ import annotations

import dataclasses

import click

from symnas.cli_common import echo_json, json_option


@click.command()
@json_option
def algorithms(as_json: bool) -> None:
    """List search algorithms, built in and installed, and their options with defaults."""
    from symnas.algorithms.registry import available

    infos = available()
    if as_json:
        echo_json([dataclasses.asdict(info) for info in infos])
        return
    width = max(len(info.name) for info in infos)
    for info in infos:
        click.echo(f"{info.name:<{width}}  {info.summary}")
        if info.options:
            options = "  ".join(f"{name}={value!r}" for name, value in info.options.items())
            click.echo(f"{'':<{width}}  --set {options}")
