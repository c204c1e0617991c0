"""`symnas export`: a trial as files that need no SymNAS."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from symnas.cli.common import echo_json, json_option, plain, program_of, read_input, source_of, trial_data
from symnas.errors import MissingExtraError, ProgramError, StudyError

if TYPE_CHECKING:
    from symnas.study.trials.trial import Trial


@click.command()
@click.argument("store")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--study", "name", help="Name of the study; may be left out where the store has one.")
@click.option("--best", "best", is_flag=True, help="Export the best trial; so it is without --trial, too.")
@click.option("--trial", "number", type=int, help="Export the trial of this number.")
@click.option("--program", "target", metavar="FILE.py:NAME", help="The program, if it is not where it was.")
@click.option("--input", "inputs", multiple=True, metavar="SHAPE[:DTYPE]", help="Example input, for ONNX.")
@click.option("--onnx", is_flag=True, help="Write model.onnx, too; needs --input and symnas[onnx].")
@json_option
def export(
    store: str,
    out: Path,
    name: str | None,
    best: bool,
    number: int | None,
    target: str | None,
    inputs: tuple[str, ...],
    onnx: bool,
    as_json: bool,
) -> None:
    """Write a trial of a study in STORE to the folder OUT.

    Written are decision.json, model.py (standalone source; a folder model of several
    files where one does not do), weights.pt (the trained state_dict) and, on
    request, model.onnx. What a study does not have, such as weights that were not kept, is named.
    """
    from symnas.study.study import load_study

    if best and number is not None:
        raise click.UsageError("--best and --trial exclude each other")
    study = load_study(store, name)
    program = program_of(study, target)
    study = load_study(store, study.name, program=program)
    trial = study.best if number is None else find_trial(study.trials, number)
    out.mkdir(parents=True, exist_ok=True)
    written, left_out = {}, {}
    path = out / "decision.json"
    data = {
        **trial_data(trial),
        "study": study.name,
        "program": program.name,
        "nested": trial.decision.to_json(),
    }
    path.write_text(json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    written["decision"] = str(path)
    for kind, write in (("source", write_source), ("weights", write_weights)):
        try:
            written[kind] = str(write(out, program, trial))
        except (ProgramError, StudyError) as error:
            left_out[kind] = str(error)
    if onnx:
        path = write_onnx(out, program, trial, inputs, trained="weights" in written)
        written["onnx"] = str(path)
    if as_json:
        echo_json({"written": written, "left_out": left_out})
        return
    for file in written.values():
        click.echo(file)
    for kind, reason in left_out.items():
        click.echo(f"no {kind}: {reason}", err=True)


def find_trial(trials: tuple[Trial, ...], number: int) -> Trial:
    """Return a trial by its number."""
    if not 0 <= number < len(trials):
        raise StudyError(f"trials are numbered from 0 to {len(trials) - 1}; got --trial {number}")
    return trials[number]


def write_source(out: Path, program: Any, trial: Trial) -> Path:
    """Write the child as Python text: model.py, or the package model where one file does not do."""
    if not hasattr(program, "export"):
        (out / "model.py").write_text(source_of(program, trial), encoding="utf-8")
        return out / "model.py"
    path: Path = program.export(out / "model", trial.decision)
    return path


def write_weights(out: Path, program: Any, trial: Trial) -> Path:
    """Write the trained weights as a `state_dict`."""
    import torch

    path = out / "weights.pt"
    torch.save(trial.load().state_dict(), path)
    return path


def write_onnx(out: Path, program: Any, trial: Trial, shapes: tuple[str, ...], *, trained: bool) -> Path:
    """Write the child as an ONNX file; without shapes, by the example inputs that were searched with.

    Raises:
        MissingExtraError: the packages that write ONNX are not installed.
    """
    if not shapes and getattr(program, "inputs", None) is None:
        raise click.UsageError("--onnx needs example inputs: add --input, for example --input 1x1x28x28")
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "writing ONNX needs packages that are not installed: pip install 'symnas[onnx]'"
        ) from error
    import torch

    path = out / "model.onnx"
    args, kwargs = (tuple(map(read_input, shapes)), {}) if shapes else program.internals.example()
    model = (trial.load() if trained else trial.build()).eval()
    with warnings.catch_warnings():
        # The exporter warns of its own use of what PyTorch deprecates; nobody here could act on it.
        warnings.simplefilter("ignore")
        torch.onnx.export(model, args, path, kwargs=kwargs, dynamo=True, verbose=False)
    return path
