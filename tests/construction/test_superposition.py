"""The law of open choices: switched to a decision, the model computes what the child computes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from real_models import CASES, program_of

import symnas
from symnas.construction.mixed_module import MixedModule
from symnas.construction.open_choices import openable
from symnas.construction.parameter_keys import keyed_module
from symnas.construction.superposition import ConstructorRun, superpose
from symnas.errors import BuildError
from symnas.frontend.openings import Opening


def small(tmp_path: Path, text: str) -> Any:
    (tmp_path / "net.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    return symnas.program(f"{tmp_path / 'net.py'}:Net")


def all_open(program: Any, values: Any = None) -> ConstructorRun:
    """Construct a model with everything open that can be."""
    values = {} if values is None else values
    return superpose(program, Opening(values, openable(program, values)))


CELLS = """
class Zero(nn.Module):
    def forward(self, x):
        return x * 0.0

class Edge(nn.Module):
    def __init__(self, source, c):
        super().__init__()
        self.source = source
        # search: {none: Zero(), skip: nn.Identity(), conv: nn.Sequential(nn.Conv2d(c, c, 3, padding=1), {nn.BatchNorm2d(c), nn.GroupNorm(1, c)}), pool: nn.MaxPool2d(3, 1, 1)}
        self.op = Zero()

    def forward(self, x):
        return self.op(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = 4  # search: {4, 8}
        self.stem = nn.Conv2d(3, c, 1)
        self.edges = nn.ModuleList()
        for i in range(3):
            self.edges.append(Edge(i % 2, c))
        acts = []
        for turn in range(2):
            # search: {nn.ReLU(), nn.GELU(), nn.PReLU(c)} as act shared
            acts.append(nn.ReLU())
        self.acts = nn.ModuleList(acts)

    def forward(self, x):
        states = [self.stem(x)]
        for edge in self.edges:
            states.append(self.acts[0](edge(states[edge.source])))
        return self.acts[1](sum(states))
"""  # noqa: E501


def law(program: Any, model: ConstructorRun, decision: Any, feed: tuple[torch.Tensor, ...]) -> None:
    """Give a child the weights of the places that its own were constructed at, and compare."""
    model.switch(decision)
    child, keys = program.build(decision), keyed_module(program, decision).parameters
    held = {key: model.module.get_parameter(name) for name, key in model.parameters.items()}
    with torch.no_grad():
        for name, parameter in child.named_parameters():
            parameter.copy_(held[keys[name]])
    for module in (child, model.module):
        torch.manual_seed(0)
        module.zero_grad()
        module.output = module(*feed)
        first = module.output[0] if isinstance(module.output, tuple) else module.output
        (first**2).sum().backward()
    torch.testing.assert_close(model.module.output, child.output, rtol=0, atol=0)
    used = set()
    for name, parameter in child.named_parameters():
        used.add(keys[name])
        torch.testing.assert_close(held[keys[name]].grad, parameter.grad, rtol=0, atol=0)
    assert all(parameter.grad is None for key, parameter in held.items() if key not in used)


def test_a_decision_is_a_switch(tmp_path: Path) -> None:
    program = small(tmp_path, CELLS)
    model = all_open(program, {"c": 4})
    assert model.closed == {"c": 4}
    assert set(model.choices) == set(program.space.addresses) - {"c"}
    assert len(model.choices["turn.act"]) == 2
    for decision in program.space.freeze({"c": 4}).sample(12, np.random.default_rng(0)):
        law(program, model, dict(decision), (torch.randn(2, 3, 6, 6),))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("cells", "mixins") else pytest.mark.slow)
        for name in sorted(CASES)
        if not CASES[name].inputs
    ],
)
def test_models_as_people_write_them(name: str) -> None:
    program, case = program_of(name), CASES[name]
    opened = openable(program)
    for turn, decision in enumerate(program.space.sample(3, np.random.default_rng(3))):
        model = all_open(program, decision)
        assert not set(model.choices) & set(model.closed)
        assert set(model.closed) | set(model.choices) >= set(decision)
        if turn == 0:
            assert opened >= set(model.choices) & set(program.space.default)
        law(program, model, decision, case.feed())


def test_the_default_is_active_and_nothing_is_left_behind(tmp_path: Path) -> None:
    program = small(tmp_path, CELLS)
    code = program.target.__init__.__code__
    model = all_open(program)
    assert program.target.__init__.__code__ is code
    x = torch.randn(1, 3, 6, 6)
    assert torch.equal(model.module(x), model.module(x))
    assert [choice.active for choice in model.choices["turn.act"]] == [0, 0]
    assert model.module.acts[0](torch.tensor([-1.0])) == 0


def test_the_choices_named_are_opened(tmp_path: Path) -> None:
    model = superpose(small(tmp_path, CELLS), Opening({"turn.act": "GELU"}, {"i[0].edges.op"}), device="meta")
    assert set(model.choices) == {"i[0].edges.op"}
    assert model.closed["turn.act"] == "GELU"
    assert all(p.is_meta for p in model.module.parameters())


def test_several_are_opened_where_asked_for(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            # search: 2 of {a: nn.Linear(3, 3), b: nn.Sequential({nn.Tanh(), nn.ReLU()}),
            #               c: nn.Identity()} as parts
            self.parts = nn.ModuleList([nn.Linear(3, 3), nn.Identity()])
            taps = [1, 2]  # search: 2 of {1, 2, 3}

        def forward(self, x):
            return sum(part(x) for part in self.parts)
    """
    program = small(tmp_path, text)
    assert "parts" not in openable(program)
    opened = openable(program, subsets=True)
    assert opened == {"parts", "parts:b[0]"}
    model = superpose(program, Opening({}, opened))
    assert [type(part) for part in model.module.parts] == [
        torch.nn.Linear,
        torch.nn.Sequential,
        torch.nn.Identity,
    ]
    assert model.subsets == {"parts": (tuple(model.module.parts),)}
    assert isinstance(model.module.parts[1][0], MixedModule)
    assert model.closed == {"taps": (1, 2)}
    assert set(model.parameters.values()) == {"parts:a.weight", "parts:a.bias"}


def test_what_all_candidates_have_alike_can_be_asked_of_a_choice(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.op = nn.Conv2d(3, 5, 1)  # search: {nn.Conv2d(3, 5, 1), nn.Conv2d(3, 5, 3, padding=1)}
            self.head = nn.Linear(self.op.out_channels, 2)

        def forward(self, x):
            return self.head(self.op(x).mean((2, 3)))
    """
    model = all_open(small(tmp_path, text))
    assert model.module.head.in_features == 5
    with pytest.raises(AttributeError, match="no attribute 'padding_words'"):
        model.module.op.padding_words  # noqa: B018


def test_a_candidate_that_fails_closes_its_choice(tmp_path: Path) -> None:
    text = """
    def broken(c):
        raise ValueError(f"no block of {c}")

    class Net(nn.Module):
        def __init__(self, c=3):
            super().__init__()
            self.op = nn.Linear(c, c)  # search: {nn.Linear(c, c), broken(c)}
            self.act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}
    """
    program = small(tmp_path, text)
    assert openable(program) == {"act"}
    with pytest.raises(BuildError, match=r"(?s)net.py:.*'op' was .*no block of 3"):
        superpose(program, Opening({}, {"op", "act"}))


def test_only_modules_stay_open(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self, c=3):
            super().__init__()
            width = c  # search: {c, 2 * c}
            self.op = nn.Linear(c, width)
            make = nn.Linear  # search: {nn.Linear, nn.Identity}
            self.name = str(make)
    """
    program = small(tmp_path, text)
    assert openable(program) == frozenset()
    with pytest.raises(BuildError, match=r"candidate 'c' of 'width' is a 'int' here"):
        superpose(program, Opening({}, {"width"}))


def test_choices_among_what_makes_modules_are_opened(tmp_path: Path) -> None:
    text = """
    def block(c):
        k = 3  # search: {3, 5}
        # search: {nn.ReLU(), nn.Tanh()} as act
        act = nn.ReLU()
        return nn.Sequential(nn.Conv1d(c, c, k, padding=k // 2), act)

    class Net(nn.Module):
        def __init__(self, c=3):
            super().__init__()
            make = block  # search: {block, nn.BatchNorm1d, (lambda c: nn.GroupNorm(1, c))}
            self.first = make(c)
            self.rest = nn.ModuleList([make(c) for _ in range(2)])

        def forward(self, x):
            x = self.first(x)
            for each in self.rest:
                x = each(x)
            return x
    """
    program = small(tmp_path, text)
    model = all_open(program, {"first.k": 3, "_[0].rest.k": 3, "_[1].rest.k": 5})
    assert len(model.choices["make"]) == 3
    assert model.under["_[1].rest.act"] == ("make", 0)
    for make in ("block", "BatchNorm1d", "(lambda c: nn.GroupNorm(1, c))"):
        fixed = {"make": make, **({"_[1].rest.k": 5, "_[1].rest.act": "Tanh"} if make == "block" else {})}
        law(program, model, program.decision(fixed), (torch.randn(2, 3, 8),))


@pytest.mark.parametrize(("expansion", "open_"), [(1, True), (2, False)])
def test_makers_may_be_asked_for_what_they_agree_on(tmp_path: Path, expansion: int, open_: bool) -> None:
    text = f"""
    class Plain(nn.Linear):
        expansion = 1
        def __init__(self, c):
            super().__init__(c, c)

    class Wide(nn.Linear):
        expansion = {expansion}
        def __init__(self, c):
            super().__init__(c, {expansion} * c)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            block = Plain  # search: {{Plain, Wide}}
            self.a = block(4)
            self.b = nn.Linear(4 * block.expansion, 2)

        def forward(self, x):
            return self.b(self.a(x))
    """
    program = small(tmp_path, text)
    assert openable(program) == ({"block"} if open_ else set())
    for label in ("Plain", "Wide"):
        model = all_open(program, {"block": label})
        law(program, model, program.decision({"block": label}), (torch.randn(2, 4),))
    if not open_:
        with pytest.raises(BuildError, match="asks 'block' for 'expansion', in which candidates differ"):
            superpose(program, Opening({}, {"block"}))
