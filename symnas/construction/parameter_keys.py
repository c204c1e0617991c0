"""Where every parameter of a child was constructed: the key under which children share its weights.

A key is the place of the construction and nothing else: the calls that led there, each by its place in the
text with the turns of the loops around it and the candidate that holds it, and below the last one the name
inside what the call made. It is never a count of visits, so an optional layer in front changes no other
key; and it does not tell which decision was made, so that children under different decisions meet at it.

The spelling is that of addresses: `stage[1].block[0].layers.weight` is the weight of what the call that feeds
`layers` made, `op:conv.weight` that of candidate `conv` of the point `op`. Where the text does not tell what
is called (`block(width)`, `TABLE[name](width)`), that stands in braces: `op{sep_conv}.weight`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from symnas._typing import Value
from symnas.errors import BuildError
from symnas.frontend import execution
from symnas.frontend.run import Frame, Run, Visit
from symnas.frontend.sites import CallSite, Function, Loop, Site

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView


@dataclass(frozen=True, eq=False)
class KeyedModule:
    """A module and the keys of its tensors.

    Args:
        module: what the constructor made.
        parameters: key by qualified name; tied parameters stand under each of their names with one key.
        buffers: key by qualified name.
    """

    module: nn.Module
    parameters: Mapping[str, str]
    buffers: Mapping[str, str]


@dataclass(eq=False, slots=True)
class _Call:
    """A call under way, and how often each function was entered from code that is not instrumented."""

    place: str
    entered: dict[Function, int] = field(default_factory=dict)


class KeyingRun(Run):
    """A run that notes where modules and parameters are made."""

    def __init__(self, values: Mapping[str, Value] | None = None, *, strict: bool = True) -> None:
        super().__init__(values, strict=strict)
        self._call = _Call("")
        self._places: dict[Frame, str] = {}
        self._noted: dict[int, tuple[str, torch.Tensor]] = {}

    def key(self, tensor: torch.Tensor) -> str | None:
        """Return the key of a tensor that this run has seen being made, or None."""
        found = self._noted.get(id(tensor))
        return None if found is None else found[0]

    def frame(self, function: Function, owner: object) -> Frame:
        """Open the record of an invocation, below the call that led to it."""
        frame = super().frame(function, owner)
        # `map(block, widths)` enters `block` from code that is not instrumented, and is one call itself.
        again = self._call.entered.get(function, 0)
        self._call.entered[function] = again + 1
        place = f"{self._call.place}{{{function.path}}}" if function.name == "<lambda>" else self._call.place
        # Entered more than once from a single call: by `map` and the like, whose turns nobody else counts.
        self._places[frame] = f"{place}[{again}]" if again else place
        return frame

    def call(
        self, frame: Frame, call: CallSite, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Make a call, and note what it made."""
        before, place = self._call, self._place(frame, call) + _called(call, function)
        self._call = _Call(place)
        try:
            if call.reaching:
                result = super().call(frame, call, function, args, kwargs)
            else:
                result = function(*args, **kwargs)
        finally:
            self._call = before
        self._note(place, result)
        return result

    # -- places ---------------------------------------------------------------------------------

    # The place of a call is that of its frame, then the turns of the loops around it there, then its path in
    # the text: `stage[1]`, `block[0]`, `layers`. Below a candidate, `op:conv` stands for the frame's place.

    def _place(self, frame: Frame, call: CallSite) -> str:
        if call.parent is None:
            return _joined(self._places[frame], _turns(frame, call.loops), call.path)
        visit = frame.unwind(call.parent)
        if visit is None:  # the default of a parameter, evaluated where it was left out
            return _joined(self._places[frame], "", f"{call.parent.path}:{call.branch}.{call.path}")
        inner = _turns(frame, call.loops[len(visit.site.loops) :])
        return _joined(f"{self._of(visit)}:{visit.branch}", inner, call.path)

    def _of(self, visit: Visit) -> str:
        site: Site = visit.site
        if visit.parent is not None:
            inner = _turns(visit.frame, site.loops[len(visit.parent.site.loops) :])
            return _joined(f"{self._of(visit.parent)}:{visit.parent_branch}", inner, site.path)
        if site.definition:
            return site.path
        return _joined(self._places[visit.frame], _turns(visit.frame, site.loops), site.path)

    # -- what was made --------------------------------------------------------------------------

    @contextlib.contextmanager
    def within(self, path: str, target: Any) -> Iterator[None]:
        """Let what makes an argument be placed under its path."""
        before, self._call = self._call, _Call(path)
        try:
            with super().within(path, target):
                yield
        finally:
            self._call = before

    def given(self, path: str, part: object) -> None:
        """Note a module of the arguments under its path: it was constructed outside, and copied."""
        if isinstance(part, (nn.Module, nn.Parameter)):
            self._note(path, part)

    def _note(self, place: str, result: object) -> None:
        if isinstance(result, nn.Module):
            self._note_inside(place, result, "", set())
        elif isinstance(result, nn.Parameter):
            self._add(result, place, "")
        elif isinstance(result, (list, tuple)):
            for position, item in enumerate(result):
                if isinstance(item, (nn.Module, nn.Parameter)):
                    self._note(f"{place}[{position}]", item)
        elif isinstance(result, dict):
            for name, item in result.items():
                if isinstance(item, (nn.Module, nn.Parameter)):
                    self._note(f"{place}[{name}]", item)

    def _note_inside(self, place: str, module: nn.Module, path: str, seen: set[int]) -> None:
        # Every call around looks at all that the calls inside have made, so this is `named_parameters` and
        # `named_buffers` by hand: most tensors are noted, and no name is spelled for them.
        seen.add(id(module))
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None and id(tensor) not in self._noted:
                    self._add(tensor, place, f"{path}{name}")
        for name, child in module._modules.items():
            if child is not None and id(child) not in seen:
                self._note_inside(place, child, f"{path}{name}.", seen)

    def _add(self, tensor: torch.Tensor, place: str, name: str) -> None:
        # Inner calls return first, so the first note is the call that made the tensor, and those of the calls
        # around are not heard. The tensor is held: another at its address would be taken for it.
        if id(tensor) not in self._noted:
            self._noted[id(tensor)] = (_joined(place, "", name), tensor)


def keyed_module(
    program: ProgramView, values: Mapping[str, Value], device: str | None = "meta"
) -> KeyedModule:
    """Build the child that the values describe, and tell where its tensors were constructed.

    Children whose `forward` holds choices are instances of the user's own class, not of a generated one:
    whoever calls them does so in a run under the same values.

    Args:
        program: whose target makes a module.
        values: the decision, by address.
        device: where tensors are made; `meta` computes nothing and takes no memory.

    Raises:
        BuildError: the user's code raised; or a parameter was made outside the run (at import, say), so that
            no place can be told.
    """
    run = KeyingRun(values)
    with program.internals.printed.run():
        made = execution.constructed(program, run, everywhere=True, device=device)
    return keyed_module_of(program, run, made)


def keyed_module_of(program: ProgramView, run: KeyingRun, module: object) -> KeyedModule:
    """Return what a run has made, with the keys that it noted.

    Raises:
        BuildError: it is no module; or holds parameters that were made outside the run.
    """
    if not isinstance(module, nn.Module):
        raise BuildError(
            f"weights are shared between modules; {program.name} makes {type(module).__name__!r}: give a "
            "class or function that makes an nn.Module"
        )
    parameters = {name: run.key(tensor) for name, tensor in module.named_parameters(remove_duplicate=False)}
    foreign = [name for name, key in parameters.items() if key is None]
    if foreign:
        raise BuildError(
            f"weights are shared by the place of their construction, and {', '.join(foreign)} of "
            f"{program.name} were constructed outside the model's own code (when a module was imported, "
            "say): construct them in the constructor, or keep them out of the model's parameters"
        )
    buffers = {name: run.key(tensor) for name, tensor in module.named_buffers(remove_duplicate=False)}
    return KeyedModule(module, parameters, {name: key for name, key in buffers.items() if key is not None})  # type: ignore[arg-type]


def _called(call: CallSite, function: Any) -> str:
    """Name what is called, where the text of the call does not."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    written = call.node.func
    if name is None or name == "<lambda>" or name == getattr(written, "attr", getattr(written, "id", None)):
        return ""
    return f"{{{name}}}"


def _turns(frame: Frame, loops: tuple[Loop, ...]) -> str:
    parts = []
    for loop in loops:
        turn = frame.labels[loop] if loop in frame.labels else frame.turns.get(loop, 0)
        parts.append(f"{loop.name}[{turn}].")
    return "".join(parts)


def _joined(place: str, turns: str, path: str) -> str:
    below = f"{turns}{path}".removesuffix(".")
    if not place or not below or below.startswith("["):
        return f"{place}{below}"
    return f"{place}.{below}"
