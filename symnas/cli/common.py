"""What the commands share: reading targets, inputs and tasks from words, and writing answers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from symnas.cli.app import JSON_ASKED
from symnas.errors import AlgorithmError, ProgramError, StudyError

if TYPE_CHECKING:
    import torch

    from symnas.programs.program import Program
    from symnas.study.study import Study
    from symnas.study.trials.trial import Trial

Command = TypeVar("Command", bound=Callable[..., Any])

_INPUT = re.compile(r"(?P<sizes>\d+(x\d+)*)(:(?P<dtype>[a-z]+\d*))?")


def json_option(command: Command) -> Command:
    """Add `--json` to a command; errors are then told as JSON too."""

    def note(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
        ctx.meta[JSON_ASKED] = value
        return value

    help_text = "Print JSON, for machines."
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=note, help=help_text)(
        command
    )


def program_options(command: Command) -> Command:
    """Add the options that say how a program is to be loaded."""
    command = click.option(
        "--arg",
        "arguments",
        multiple=True,
        metavar="NAME=VALUE",
        help="Argument for the program's constructor, a Python literal.",
    )(command)
    command = click.option(
        "--include", multiple=True, metavar="MODULE", help="Module whose annotations belong to the program."
    )(command)
    return click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="SHAPE[:DTYPE]",
        help="Example input, such as 1x1x28x28 or 4x16:int64; once per argument of forward.",
    )(command)


def echo_json(value: object) -> None:
    """Print JSON that any reader takes: infinite and undefined numbers become strings."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def plain(value: object) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def read_pairs(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """Read `NAME=VALUE` words as options of algorithms are read."""
    from symnas.contracts.registry import parse_options

    try:
        return parse_options(pairs, option)
    except AlgorithmError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def read_input(text: str) -> torch.Tensor:
    """Make an example input: zeros of a shape such as `1x1x28x28`, or of another type, `4x16:int64`."""
    found = _INPUT.fullmatch(text)
    if not found:
        raise click.BadParameter(
            f"a shape is numbers joined by x, as 1x1x28x28; got {text!r}", param_hint="--input"
        )
    import torch

    dtype = getattr(torch, found["dtype"] or "float32", None)
    if not isinstance(dtype, torch.dtype):
        raise click.BadParameter(f"torch has no type {found['dtype']!r}", param_hint="--input")
    return torch.zeros(*map(int, found["sizes"].split("x")), dtype=dtype)


def load_program(
    target: str, inputs: Sequence[str], arguments: Sequence[str], include: Sequence[str]
) -> Program:
    """Load the program that a command names, as `file.py:Name` or `package.module:Name`."""
    from symnas.programs.program import program

    sys.path.insert(0, str(Path.cwd()))
    tensors = tuple(read_input(text) for text in inputs)
    options = read_pairs(arguments, "--arg")
    made: Program = program(target, include=tuple(include), inputs=tensors or None, **options)
    return made


def count(number: float) -> str:
    """Write a large number short: 1234567 is `1.2 M`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:g}"


def count_noun(number: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def trial_data(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data."""
    return {
        "trial": trial.number,
        "status": trial.status.value,
        **({} if trial.fidelity is None else {"fidelity": trial.fidelity, "resumes": trial.resumes}),
        "metrics": dict(trial.metrics),
        "decision": trial.decision.flat(),
        "seconds": trial.seconds,
        "error": trial.error,
    }


def program_of(study: Study, target: str | None) -> Any:
    """Return the program that a study searched: from where the study says, or at the place that is given.

    Raises:
        StudyError: it is not known which that was, or it was a bare space.
        ProgramError: nothing is there.
    """
    if target is not None:
        if study.locator is None:
            return load_program(target, (), (), ())
        from symnas.programs.locator import locate

        sys.path.insert(0, str(Path.cwd()))
        return locate(study.locator, at=target)
    found = study.program
    if not hasattr(found, "build"):
        raise StudyError(f"a child is built by a program, and study {study.name!r} searched a bare space")
    return found


def source_of(program: Any, trial: Trial) -> str:
    """Return a child's standalone text.

    Raises:
        ProgramError: the program is not made of source text.
    """
    if not hasattr(program, "source"):
        raise ProgramError(
            f"a child's text is made of its program's, and {program.name!r} has none of its own"
        )
    text: str = program.source(trial.decision)
    return text
