"""`symnas check`: every annotation of some files, what it describes, and every mistake at once."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from symnas.cli.app import FAILED
from symnas.cli.common import count_noun, echo_json, json_option
from symnas.errors import ProgramError, unreadable

if TYPE_CHECKING:
    from symnas.errors import AnnotationError
    from symnas.grammar import Annotation, ParsedModule


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--quiet", "-q", is_flag=True, help="Print mistakes only.")
@json_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], quiet: bool, as_json: bool) -> None:
    """List every annotation in FILES (folders are searched), what it describes, and every mistake.

    Exits with 1 if there is a mistake in any file.
    """
    from symnas.grammar import parse_module
    from symnas.grammar.requirements import unknown_names

    read = {path: parse_module(source_text(path), str(path)) for path in python_files(files)}
    # A clause may name what another of the files has.
    unknown = unknown_names(list(read.values()))
    report: list[dict[str, Any]] = []
    mistakes = 0
    for index, (path, parsed) in enumerate(read.items()):
        errors = sorted([*parsed.errors, *unknown[index]], key=lambda error: error.location.line)
        mistakes += len(errors)
        report.append(
            {
                "file": str(path),
                "annotations": [describe(annotation) for annotation in parsed.annotations],
                "requirements": [
                    {"line": found.location.line, "requires": list(found.expressions)}
                    for found in parsed.requirements
                ],
                "mistakes": [complaint(error, "error") for error in errors],
                "advice": [complaint(warning, "warning") for warning in parsed.warnings],
            }
        )
        if not as_json:
            print_file(report[-1], parsed, errors, quiet)
    if as_json:
        echo_json(report)
    else:
        found = sum(len(entry["annotations"]) for entry in report)
        counts = (count_noun(found, "annotation"), count_noun(mistakes, "mistake"))
        click.echo(f"{', '.join(counts)} in {count_noun(len(report), 'file')}")
    ctx.exit(FAILED if mistakes else 0)


def python_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files that were named, and every Python file of the folders that were."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def describe(annotation: Annotation) -> dict[str, Any]:
    """Return what one annotation says and what it describes, as plain data."""
    return {
        "line": annotation.location.line,
        "column": annotation.location.column + 1,
        "domain": str(annotation.domain),
        "describes": ast.unparse(annotation.node),
        "role": str(annotation.role),
        "name": annotation.name,
        "shared": annotation.shared,
        "requires": list(annotation.requires),
        "spelling": annotation.spelling,
    }


def complaint(error: AnnotationError, severity: str) -> dict[str, Any]:
    """Return a mistake as plain data, in lines and columns from 1; the end is one past the last column."""
    place = error.location
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column + 1,
        "end_line": place.line,
        "end_column": max(place.end, place.column + 1) + 1,
        "severity": severity,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
    }


def source_text(path: Path) -> str:
    """Return a file's text in the encoding that its first lines name, UTF-8 without one, as Python reads it.

    Raises:
        ProgramError: it is written in another one.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (UnicodeDecodeError, SyntaxError, LookupError) as error:
        raise ProgramError(unreadable(path, error)) from None


def print_file(
    entry: dict[str, Any], parsed: ParsedModule, errors: Iterable[AnnotationError], quiet: bool
) -> None:
    """Print one file's annotations as aligned lines, then its mistakes with their carets."""
    lines = entry["annotations"]
    width = min(40, max((len(line["describes"]) for line in lines), default=0))
    if not quiet:
        for line in lines:
            extra = f" as {line['name']}" if line["name"] else ""
            extra += " shared" if line["shared"] else ""
            extra += "".join(f" require {text}" for text in line["requires"])
            place = f"{entry['file']}:{line['line']}"
            click.echo(f"{place}  {line['describes']:<{width}}  {line['domain']}{extra}")
        for stated in entry["requirements"]:
            for text in stated["requires"]:
                click.echo(f"{entry['file']}:{stated['line']}  require {text}")
        for warning in parsed.warnings:
            click.echo(f"{warning.location}\n{warning.message}\n")
    for error in errors:
        click.echo(f"{error}\n")
