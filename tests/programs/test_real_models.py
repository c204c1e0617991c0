"""Whole models as users keep them: surveyed, built, written out, profiled and pickled."""

from __future__ import annotations

import functools
import importlib.util
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from real_models import CASES, MODELS, each_case, program_of

import symnas
from symnas.frontend.execution import execute
from symnas.frontend.run import Run


@functools.cache
def drawn(name: str) -> tuple[Any, ...]:
    space = program_of(name).space
    return (space.default, *space.sample(30, np.random.default_rng(7)))


each_model = pytest.mark.parametrize("name", each_case)


def plain(name: str) -> Any:
    """Import the file as anybody would and call the target; SymNAS has no part in it."""
    file, _, target = CASES[name].target.partition(":")
    spec = importlib.util.spec_from_file_location(f"plain_{name}", MODELS / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        return getattr(module, target)()
    finally:
        del sys.modules[spec.name]


def seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(11)
    return make()


def tensors(result: Any) -> tuple[torch.Tensor, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def outputs(model: Any, name: str) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(5)
    with torch.no_grad():
        return tensors(model(*CASES[name].feed()))


def assert_same(model: Any, other: Any, name: str) -> None:
    left, right = model.state_dict(), other.state_dict()
    assert list(left) == list(right)
    assert all(torch.equal(left[key], right[key]) for key in left)
    for ours, theirs in zip(outputs(model, name), outputs(other, name), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@each_model
def test_the_space_is_found(name):
    space = program_of(name).space
    assert len(space.addresses) == CASES[name].points, "\n".join(space.addresses)
    assert space.leaves == CASES[name].size


@each_model
def test_the_default_is_the_model_that_the_file_makes_by_itself(name):
    child = seeded(lambda: program_of(name).build())
    wanted = seeded(lambda: plain(name))
    assert type(child).__name__ == type(wanted).__name__
    assert_same(child, wanted, name)


@each_model
def test_random_decisions_build_and_meet_their_points(name):
    program = program_of(name)
    for decision in drawn(name):
        run = Run(dict(decision))
        model = execute(program, run)
        assert {visit.address for visit in run.trace} == set(decision)
        if not CASES[name].inputs:
            model = program.build(decision)
        assert all(torch.isfinite(out).all() for out in outputs(model, name))


@each_model
def test_source_makes_the_same_child(name):
    program = program_of(name)
    target = CASES[name].target.partition(":")[2]
    for decision in drawn(name)[:5]:
        text = program.source(decision)
        assert "search:" not in text
        assert "symnas" not in text
        namespace: dict[str, Any] = {"__name__": f"written_{name}"}
        module = type(sys)(namespace["__name__"])
        sys.modules[module.__name__] = module
        try:
            exec(compile(text, f"written_{name}.py", "exec", dont_inherit=True), vars(module))
            written = seeded(vars(module)[target])
        finally:
            del sys.modules[module.__name__]
        assert_same(seeded(lambda: program.build(decision)), written, name)  # noqa: B023


@each_model
def test_profiles_count_what_is_built(name):
    program = program_of(name)
    for decision in drawn(name)[:4]:
        profile = program.profile(decision, *CASES[name].feed())
        assert profile.params == sum(p.numel() for p in program.build(decision).parameters())
        assert profile.flops > 0


@each_model
def test_children_pickle(name):
    for decision in drawn(name)[:4]:
        child = program_of(name).build(decision)
        again = pickle.loads(pickle.dumps(child))
        assert type(again).__name__ == type(child).__name__
        assert_same(child, again, name)


def test_what_a_class_method_makes_has_its_callers_place():
    assert [a for a in program_of("mixins").space.addresses if a.startswith("first.")] == [
        "first.return.build.hidden",
        "first.return.use_drop",
        "first.return.norm",
    ]


HANDED_AROUND = """
from types import SimpleNamespace

class Layer:
    def __init__(self):
        self.k = 1                   # search: {1, 2}

def make(config):
    kind = config.block
    return kind()

def many(kinds):
    return [kind() for kind in kinds]

class Net:
    def __init__(self):
        config = SimpleNamespace(block=Layer)
        self.a = make(config)
        self.b = make(config)
        self.c = many([Layer, Layer])
        self.d = many((Layer,))
"""


def test_classes_in_variables_are_made_at_their_callers_places(tmp_path):
    path = tmp_path / "handed_around.py"
    path.write_text(HANDED_AROUND)
    assert list(symnas.program(f"{path}:Net").space.addresses) == [
        "a.return.k",
        "b.return.k",
        "c.kind[0].return.k",
        "c.kind[1].return.k",
        "d.kind[0].return.k",
    ]
