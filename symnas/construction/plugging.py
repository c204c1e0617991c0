"""Puts the chosen candidates of open choices into a model's tree, in the place of the modules that hold all.

What is called, listed and walked through is then an ordinary child, without having been constructed anew. Its
tensors, too, can be put in the place of parameters (`put`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from symnas._typing import Value
from symnas.construction.mixed_module import MixedModule
from symnas.construction.superposition import ConstructorRun
from symnas.tree.point import identity

Socket = tuple[dict[str, Any], str]
"""The submodules of a module, by name, and the name under which a choice stands there."""


class Plugs:
    """The places of open choices in a model, into which the candidates of one decision are put.

    A choice may stand at several places, and may be a candidate of another choice; then it has no place of
    its own, and what it comes to stands where the outer one did.

    Args:
        run: what has made the model; all its choices stand in the tree.
        choices: of the model; all of them for None. Others stay where they are.
    """

    def __init__(self, run: ConstructorRun, choices: Iterable[MixedModule] | None = None) -> None:
        chosen = set(run.mixed if choices is None else choices)
        self.candidates = {choice: list(choice.candidates) for choice in run.mixed if choice in chosen}
        self.codes = {
            address: {identity(label): code for code, label in enumerate(each[0].labels)}
            for address, each in run.choices.items()
        }
        self._choices = {
            address: [each for each in choices if each in chosen] for address, choices in run.choices.items()
        }
        self._before = {choice: choice.active for choice in self.candidates}
        self._sockets: dict[MixedModule, list[Socket]] = {choice: [] for choice in self.candidates}
        self._outer: dict[MixedModule, list[MixedModule]] = {choice: [] for choice in self.candidates}
        self._wire(list(run.module.modules()))

    def insert(self) -> None:
        """Put the active candidates into the tree."""
        for choice in self.candidates:
            self._plug(choice)

    def _wire(self, modules: Iterable[nn.Module]) -> None:
        """Note where each choice stands, and of which others it is a candidate."""
        # A choice that is a candidate stands in the list of candidates of the outer one, which is no place of
        # the tree: where the outer one stands, what the inner one comes to will stand.
        lists = {id(choice.candidates): choice for choice in self.candidates}
        for module in modules:
            for name, child in module._modules.items():
                if isinstance(child, MixedModule) and child in self.candidates:
                    if id(module) in lists:
                        self._outer[child].append(lists[id(module)])
                    else:
                        self._sockets[child].append((module._modules, name))

    def _plug(self, choice: MixedModule) -> None:
        """Put the active candidate of a choice where it stands, and where choices stand that it is in."""
        for outer in self._outer[choice]:
            self._plug(outer)
        chosen: nn.Module = choice  # down through candidates that are choices, to one that is none
        while isinstance(chosen, MixedModule) and chosen in self.candidates:
            chosen = self.candidates[chosen][chosen.active]
        for modules, name in self._sockets[choice]:
            modules[name] = chosen

    def switch(self, decision: Mapping[str, Value]) -> None:
        """Put the candidates of a decision into the tree; what it does not name stays as it was."""
        for address, choices in self._choices.items():
            if address not in decision:
                continue
            code = self.codes[address][identity(decision[address])]
            for choice in choices:
                if choice.active != code:
                    choice.active = code
                    self._plug(choice)

    @contextmanager
    def plugged(self, decision: Mapping[str, Value]) -> Iterator[None]:
        """Have the candidates of a decision in the tree for the length of a `with`, and then the choices."""
        try:
            self.switch(decision)
            self.insert()
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Put the choices themselves back into the tree, and make active what was before."""
        for choice, active in self._before.items():
            choice.active = active
        for choice, sockets in self._sockets.items():
            for modules, name in sockets:
                modules[name] = choice


def put(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Let a module compute with a tensor in the place of a parameter."""
    module._parameters[name] = tensor  # type: ignore[assignment]
    if isinstance(module, nn.RNNBase):
        # Recurrent modules keep a second list of their weights.
        weights = list(module._flat_weights)
        weights[module._flat_weights_names.index(name)] = tensor
        module.__dict__["_flat_weights"] = weights
