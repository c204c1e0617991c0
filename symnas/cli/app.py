"""The command line: `symnas check | show | search | status | best | export | algorithms`.

Commands are imported when they run, so that `symnas --help` answers at once. Exit codes: 0 all is well;
1 mistakes were found, or what was asked for could not be done; 2 the command line itself is wrong; 3 a study
or its store refused; 130 interrupted.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import click

from symnas._version import __version__
from symnas.errors import StudyError, SymnasError

_COMMANDS = {
    "algorithms": ("symnas.cli.algorithms", "List search algorithms and their options."),
    "best": ("symnas.cli.study", "Print the best trials of a study."),
    "check": ("symnas.cli.check", "List every annotation and every mistake in files."),
    "export": ("symnas.cli.export", "Write a trial's model, weights and decision to a folder."),
    "search": ("symnas.cli.search", "Search a program's space; the same command again continues."),
    "show": ("symnas.cli.show", "Print the tree of decisions of a program."),
    "status": ("symnas.cli.study", "List the studies of a store and their states."),
}
FAILED, REFUSED, INTERRUPTED = 1, 3, 130
JSON_ASKED = "symnas.json"


class LazyGroup(click.Group):
    """A group of commands that are imported when used and tell mistakes without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[name][0]), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; tell SymNAS's errors in words, or as JSON where that was asked for."""
        try:
            return super().invoke(ctx)
        except SymnasError as error:
            if ctx.params.get("debug"):
                raise
            if ctx.meta.get(JSON_ASKED):
                click.echo(json.dumps({"error": type(error).__name__, "message": str(error)}, indent=2))
            else:
                click.echo(
                    f"{type(error).__name__}: {error}" if "\n" not in str(error) else str(error), err=True
                )
            ctx.exit(REFUSED if isinstance(error, StudyError) else FAILED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="symnas")
def main(debug: bool) -> None:
    """Annotate ordinary PyTorch code, get a tree of decisions, search it, get plain PyTorch back."""
