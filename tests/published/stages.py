"""What is tried on a published model: one function a stage, which raises where something is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pickle
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from specification import Model
from torch import Tensor, nn

import symnas
from symnas.errors import BuildError, SymnasError
from symnas.export.torch_graph import graph as export_graph
from symnas.frontend.sources import load
from symnas.grammar import check_source
from symnas.tree.outline import headline

STATUSES = {
    "works": "does what it should",
    "refused": "a SymnasError names the rule, the line and what to do instead",
    "vague": "a SymnasError, but without a line of the user's",
    "raw": "another error, which is a defect",
    "wrong": "no error, and not what the plain model computes, which is a defect",
    "slow": "took longer than its limit of processor time",
    "plain": "the plain model cannot do it either",
    "-": "not reached, as the space was not found",
}
LIMITS = {"space": 45}
"""Seconds of processor time by stage; all others have `LIMIT`."""
LIMIT = 30
_LINE = re.compile(r"\.py:\d+")


@dataclass(frozen=True)
class Cell:
    """What became of one stage.

    Args:
        status: one of `STATUSES`.
        seconds: of processor time.
        note: the message, or figures.
    """

    status: str
    seconds: float = 0.0
    note: str = ""


class TooSlowError(BaseException):
    """The limit of a stage is over; no code that is tried catches it as an error of its own."""


class WrongError(AssertionError):
    """Something computes what it should not."""


class PlainError(Exception):
    """The model as it was published cannot do it either."""


class Tried:
    """A model in the files of a project, with comments and without.

    Args:
        model: its specification.
        folder: where its files are written.
    """

    def __init__(self, model: Model, folder: Path) -> None:
        self.model = model
        self.files = model.write(folder / f"{model.name}_annotated")
        self.plain_files = model.write(folder / f"{model.name}_plain", comments=False)
        self.folder = folder
        sys.path.insert(0, str(folder))

    def load(self, files: list[Path]) -> Any:
        """Return the target of a copy, as a user would name it."""
        torch.manual_seed(0)  # modules may draw weights when they are imported
        if len(files) == 1:
            return load(f"{files[0]}:{self.model.target}")
        return load(f"{files[0].parent.name}.{files[0].stem}:{self.model.target}")

    def arguments(self, target: Any) -> dict[str, Any]:
        """Return what the target is called with."""
        prepared = self.model.prepare(sys.modules[target.__module__]) if self.model.prepare else {}
        return {**self.model.arguments, **prepared}

    @cached_property
    def program(self) -> Any:
        """The annotated model as a program."""
        target = self.load(self.files)
        include = [f"{file.parent.name}.{file.stem}" for file in self.files[1:]]
        return symnas.program(target, include=include, inputs=self.model.inputs(), **self.arguments(target))

    def plain(self) -> nn.Module:
        """Return the model as it was published, made under seed 0."""
        target = self.load(self.plain_files)
        torch.manual_seed(0)
        return target(**self.arguments(target))

    def child(self, decision: Any = None) -> nn.Module:
        """Return a child, made under seed 0."""
        torch.manual_seed(0)
        return self.program.build(decision)

    def some(self, n: int) -> list[Any]:
        """Return the default and random decisions, n in all."""
        drawn = self.program.sample(n - 1, 0) if n > 1 else []
        return [self.program.space.default, *drawn]


# --------------------------------------------------------------------- stages


def check(tried: Tried) -> str:
    """Every comment is read, and none is a mistake."""
    found = 0
    for file in tried.files:
        report = check_source(file.read_text(encoding="utf-8"), str(file))
        if report.errors:
            raise WrongError("\n".join(str(error) for error in report.errors))
        found += len(report.findings) + len(report.requirements)
    if found != len(tried.model.comments) + tried.model.usage.count("# search:"):
        raise WrongError(f"{found} annotations are read of {len(tried.model.comments)}")
    return f"{found} annotations"


def space(tried: Tried) -> str:
    """The tree of decisions is found."""
    found = tried.program.space
    layout = found.compiled.layout
    return headline(len(layout.entries), layout.reals, found.leaves)


def default(tried: Tried) -> str:
    """The default child has the weights and computes the outputs of the plain model."""
    ours, plain = tried.child(), tried.plain()
    _same_weights(ours.state_dict(), plain.state_dict())
    for train in (False, True):
        _same_outputs(tried.model, ours.train(train), plain.train(train))
    return f"{sum(p.numel() for p in ours.parameters())} parameters"


def children(tried: Tried) -> str:
    """Twenty decisions are built, run, and trained a step."""
    for decision in tried.some(20):
        child = tried.child(decision)
        _step(tried.model, child)
    return ""


def pickled(tried: Tried) -> str:
    """Children, and the program itself, survive pickle."""
    with _plain_can(lambda: pickle.dumps(tried.plain())):
        for decision in tried.some(3):
            child = tried.child(decision).eval()
            _same_outputs(tried.model, pickle.loads(pickle.dumps(child)), child)
    again = pickle.loads(pickle.dumps(tried.program))
    if [a.location for a in again.annotations] != [a.location for a in tried.program.annotations]:
        raise WrongError("the pickled program has other annotations")
    return ""


def profile(tried: Tried) -> str:
    """Parameters are those of the child, and operations are counted."""
    for decision in tried.some(3):
        costs = tried.program.profile(decision)
        own = sum(p.numel() for p in tried.child(decision).parameters())
        if costs.params != own or not costs.flops:
            raise WrongError(f"{costs} of a child with {own} parameters")
    return ""


def graph(tried: Tried) -> str:
    """The graph of a child computes what the child computes."""
    ways = set()
    for decision in tried.some(2):
        torch.manual_seed(0)
        with _plain_can(lambda: export_graph(tried.plain(), *tried.program.internals.example())):
            made = tried.program.graph(decision)
        ways.add(type(made).__name__)
        module = made.module() if hasattr(made, "module") else made
        _same_outputs(tried.model, module, tried.child(decision), rtol=1e-3)
    return ", ".join(sorted(ways))


def source(tried: Tried) -> str:
    """What is exported of a child makes a model that takes its weights and computes the same."""
    for number, decision in enumerate(tried.some(3)):
        name = f"{tried.model.name}_source_{number}"
        written = tried.program.export(tried.folder / name, decision)
        texts = [file.read_text() for file in ([written] if written.is_file() else written.rglob("*.py"))]
        if any("search:" in text or "symnas" in text for text in texts):
            raise WrongError("the text still has annotations")
        try:
            target = getattr(import_module(name), tried.model.target)
        except ImportError as error:
            raise WrongError(f"the text cannot be imported: {error}") from error
        torch.manual_seed(1)
        standalone = target(**tried.arguments(target))
        child = tried.child(decision).eval()
        standalone.load_state_dict(child.state_dict(), strict=True)
        _same_outputs(tried.model, standalone.eval(), child)
    return ""


def supernet(tried: Tried) -> str:
    """Children under shared weights compute what they compute alone, and train."""
    shared = tried.program.supernet()
    for decision in tried.some(3):
        shared.eval()
        alone = shared.extract(decision).eval()
        _same_weights_names(alone, tried.child(decision))
        with shared.child(decision) as child:
            _same_outputs(tried.model, child, alone)
        shared.train()
        with shared.child(decision) as child:
            _outputs(tried.model, child)
    return ""


def relaxed(tried: Tried) -> str:
    """All candidates at once are trained a step."""
    network = tried.program.relaxed()
    _step(tried.model, network)
    return f"{len(network.points)} points mixed"


STAGES: Mapping[str, Callable[[Tried], str]] = {
    stage.__name__: stage
    for stage in (check, space, default, children, pickled, profile, graph, source, supernet, relaxed)
}


def run(model: Model, folder: Path, stages: Iterator[str] | None = None) -> dict[str, Cell]:
    """Return what became of each stage of a model."""
    cells: dict[str, Cell] = {}
    tried = Tried(model, folder)
    for name in stages or STAGES:
        reached = name in ("check", "space") or cells.get("space", Cell("works")).status == "works"
        cells[name] = _timed(tried, name) if reached else Cell("-")
    return cells


def _timed(tried: Tried, name: str) -> Cell:
    limit = LIMITS.get(name, LIMIT)
    start = time.process_time()
    status, note = "works", ""
    try:
        with _limited(limit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            note = STAGES[name](tried)
    except TooSlowError:
        status, note = "slow", f"more than {limit} s"
    except SymnasError as error:
        status, note = _refusal(error), f"{type(error).__name__}: {error}"
    except WrongError as error:
        status, note = "wrong", str(error)
    except PlainError as error:
        status, note = "plain", str(error)
    except Exception as error:
        status, note = "raw", f"{type(error).__name__}: {error}"
    return Cell(status, round(time.process_time() - start, 1), note)


def _refusal(error: SymnasError) -> str:
    # An error of the user's code is wrapped, and its line given; that is no reason of ours to refuse.
    if isinstance(error, BuildError) and error.__cause__ and " failed at " in str(error).partition("\n")[0]:
        return "raw"
    return "refused" if _LINE.search(str(error)) else "vague"


@contextlib.contextmanager
def _plain_can(task: Callable[[], object]) -> Iterator[None]:
    """Blame the plain model where it fails at the same task."""
    try:
        yield
    except WrongError:
        raise
    except Exception:
        try:
            task()
        except Exception as error:
            raise PlainError(f"{type(error).__name__}: {error}") from error
        raise


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# ----------------------------------------------------------------- comparing


def _outputs(model: Model, module: nn.Module) -> list[Tensor]:
    """Return all tensors that a module returns under seed 0."""
    inputs = model.inputs()
    torch.manual_seed(0)
    if isinstance(inputs, dict):
        out = module(**inputs)
    else:
        out = module(*inputs) if isinstance(inputs, tuple) else module(inputs)
    return list(_tensors(out))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _tensors(getattr(value, each.name))


def _step(model: Model, module: nn.Module) -> None:
    module.train()
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    sum(out.square().mean() for out in _outputs(model, module) if out.requires_grad).backward()  # type: ignore[union-attr]
    optimizer.step()


def _same_outputs(model: Model, ours: nn.Module, theirs: nn.Module, rtol: float = 1e-4) -> None:
    with torch.no_grad():
        pairs = list(itertools.zip_longest(_outputs(model, ours), _outputs(model, theirs)))
    for one, other in pairs:
        if one is None or other is None or one.shape != other.shape:
            shapes = [[None if each is None else tuple(each.shape) for each in pair] for pair in pairs]
            raise WrongError(f"outputs differ in number or shape: {shapes}")
        if not torch.allclose(one, other, rtol=rtol, atol=1e-5, equal_nan=True):
            raise WrongError(f"outputs differ by up to {(one - other).abs().max():.3g}")


def _same_weights(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    if list(ours) != list(theirs):
        raise WrongError(f"names of weights differ: {sorted(set(ours) ^ set(theirs))[:4]}")
    for name, tensor in ours.items():
        if not torch.equal(tensor, theirs[name]):
            raise WrongError(f"{name} differs")


def _same_weights_names(ours: nn.Module, theirs: nn.Module) -> None:
    one, other = ours.state_dict(), theirs.state_dict()
    if {n: t.shape for n, t in one.items()} != {n: t.shape for n, t in other.items()}:
        raise WrongError(f"names or shapes of weights differ: {sorted(set(one) ^ set(other))[:4]}")
