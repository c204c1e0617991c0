"""`symnas algorithms`: what `--algorithm` takes, and what `--set` sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from symnas.cli.common import echo_json, json_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from symnas.contracts.algorithm import Capabilities
    from symnas.contracts.registry import AlgorithmInfo


@click.command()
@click.argument("name", required=False)
@click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", help="Option; capabilities may depend on it."
)
@click.option("--choices", is_flag=True, help="Show which algorithm takes which kind of choice.")
@json_option
def algorithms(name: str | None, options: Sequence[str], choices: bool, as_json: bool) -> None:
    """List search algorithms, built in and installed; or all about the one that is named."""
    from symnas.contracts.registry import available

    if choices:
        _choices(name, as_json)
        return
    if name is not None:
        data = _about(name, options)
        if as_json:
            echo_json(data)
        else:
            _print(*_page(data))
        return
    if options:
        raise click.UsageError(
            "--set belongs to one algorithm: name it, as in symnas algorithms NAME --set …"
        )
    infos = available()
    if as_json:
        echo_json([dataclasses.asdict(info) for info in infos])
        return
    _print(*_table(infos))


# ---------------------------------------------------------------- all of them

OF_CHOICES = ("conditional", "real_valued")
"""Capabilities that `--choices` shows."""


def _table(infos: Sequence[AlgorithmInfo]) -> list[RenderableType]:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    able = [info.capabilities for info in infos if info.capabilities is not None]
    fields = [field for field in _fields(able) if field not in OF_CHOICES]
    differing = [field for field in fields if len({getattr(one, field) for one in able}) > 1]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it does")
    for field in differing:
        table.add_column(_words(field).replace(" ", "\n"), justify="center")
    for info in infos:
        if info.capabilities is None:
            table.add_row(info.name, Text(info.summary, style="red"))
            continue
        marks = ["yes" if getattr(info.capabilities, field) else "" for field in differing]
        table.add_row(info.name, Text(" ".join(info.summary.split())), *marks)
    lines: list[RenderableType] = [table, ""]
    for verdict, word in ((True, "All"), (False, "None")):
        same = [f for f in fields if f not in differing and getattr(able[0], f) is verdict]
        if same:
            lines.append(f"{word}: {', '.join(map(_words, same))}.")
    lines.append("Which kinds of choices they take: symnas algorithms --choices")
    return [*lines, "Options of one: symnas algorithms NAME"]


def _fields(able: Iterable[Capabilities]) -> list[str]:
    first = next(iter(able), None)
    return [] if first is None else [field.name for field in dataclasses.fields(first)]


def _words(field: str) -> str:
    return field.replace("_", " ")


def _choices(name: str | None, as_json: bool) -> None:
    """Show which algorithm takes which kind of choice."""
    from rich import box
    from rich.table import Table

    from symnas.contracts.compatibility import CHOICES, table
    from symnas.contracts.registry import available, find

    names = [name] if name else [info.name for info in available() if info.capabilities is not None]
    rows = table({each: find(each) for each in names})
    if as_json:
        kinds = [choice.name for choice in CHOICES]
        echo_json({each: dict(zip(kinds, row, strict=True)) for each, row in rows.items()})
        return
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown.add_column("name", no_wrap=True)
    # Names of kinds are too long for columns of a narrow terminal: they stand below, by number.
    for number in range(1, len(CHOICES) + 1):
        shown.add_column(str(number), justify="center")
    for each, row in rows.items():
        shown.add_row(each, *("yes" if able else "" for able in row))
    _print(shown, "")
    for number, choice in enumerate(CHOICES, 1):
        click.echo(f"{number}  {choice.name:<26}{choice.example}")


# ---------------------------------------------------------------- one of them


def _about(name: str, options: Sequence[str]) -> dict[str, Any]:
    """Return all that is known of an algorithm as plain data."""
    from symnas.contracts.compatibility import names_taken
    from symnas.contracts.hyperparameters import described, description
    from symnas.contracts.registry import find, parse_options, resolve

    cls = find(name)
    made = parse_options(options)
    cls.hyperparameter_defaults()  # tells where a constructor breaks the rule
    return {
        "name": name,
        "description": description(cls),
        "options": {
            each.name: {
                "type": each.type,
                "default": each.default,
                "allowed": each.allowed,
                "text": each.meaning + "." * bool(each.meaning),
                "source": each.source,
            }
            for each in described(cls)
        },
        "set": made,
        "capabilities": dataclasses.asdict(resolve(name, made).capabilities if made else cls.capabilities),
        "choices": list(names_taken(cls)),
        "source": f"{cls.__module__}:{cls.__qualname__}",
    }


def _page(data: dict[str, Any]) -> list[RenderableType]:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    paragraphs = [" ".join(text.split()) for text in data["description"].split("\n\n")]
    parts: list[RenderableType] = [Text(f"{data['name']}  ({data['source']})", style="bold"), ""]
    for paragraph in paragraphs:
        parts += [Text(paragraph), ""]
    if data["options"]:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in ("--set", "default", "what it is"):
            table.add_column(heading)
        for option, about in data["options"].items():
            text = Text(about["text"]).append(_limits(about), style="dim")
            table.add_row(option, Text(repr(about["default"])), text)
        parts += [table, ""]
    given = "".join(f", with {option}={value!r}" for option, value in data["set"].items())
    able = ", ".join(_words(field) for field, yes in data["capabilities"].items() if yes)
    lacks = ", ".join(_words(field) for field, yes in data["capabilities"].items() if not yes)
    parts.append(Text(f"Takes or asks for{given}: {able or 'nothing'}. Not: {lacks or 'nothing'}."))
    parts.append(Text(f"Chooses: {', '.join(data['choices'])}."))
    return parts


def _limits(about: Mapping[str, Any]) -> str:
    """Return the type, the allowed values and the source of a hyperparameter, as far as they are known."""
    source = about["source"] and f"default from {about['source']}"
    known = [part for part in (about["type"], about["allowed"], source) if part]
    return f"\n{'; '.join(known)}" if known else ""


def _print(*parts: RenderableType) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for part in parts:
        console.print(part)
