from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import symnas
from symnas.constraints.checking import check, decision_scope, demand, is_feasible, sample
from symnas.constraints.clauses import Clause
from symnas.errors import RequirementError
from symnas.tree.choices import Branch, IntRange, OneOf
from symnas.tree.space import Space

torch.set_num_threads(1)
UNSATISFIABLE = (
    r"(?s)200 tries found 0; the closest breaks require params < 20: params = 32, off by 0.6 .*"
    r"'net.width': 8, 'depth': 0"
)


class Program:
    """A program written out by hand: a stack of linear layers."""

    def __init__(self, space, inputs=None, met=()):
        self.space = space
        self.inputs = inputs
        self.met = [Clause(text) for text in met]
        self.devices = []
        self.local_requires = ()
        self.values_told = False
        self.internals = self

    def example(self, device=None):
        return self.inputs, {}

    def build_checked(self, decision):
        width = decision["net.width"]
        layers = [nn.Linear(width, width, bias=False) for _ in range(decision["depth"])]
        net = nn.Sequential(nn.Linear(4, width, bias=False), *layers)
        self.devices.append(net[0].weight.device.type)
        return net, [(clause, {"double": 2 * width}) for clause in self.met]


def space(*requires):
    width = OneOf("net.width", (8, 16, 32), default=8)
    kernel = OneOf("kernel", (3, 5), default=3)
    depth = IntRange("depth", 0, 4, default=1, branches=(Branch(range(3, 5), (kernel,)),))
    return Space((width, depth), requires)


def parameters(decision):
    return 4 * decision["net.width"] + decision["depth"] * decision["net.width"] ** 2


@pytest.mark.parametrize("bound", [100, 500, 1500])
def test_parameters_against_a_formula_over_the_whole_space(bound):
    program = Program(space(f"params <= {bound}"))
    for decision in program.space.enumerate():
        assert is_feasible(program, decision) == (parameters(decision) <= bound)
    assert set(program.devices) == {"meta"}


def test_flops_and_memory_of_the_example_input():
    program = Program(space("flops <= 2 * 3 * 500", "memory < 3 * (32 + 32) * 4"), (torch.zeros(3, 4),))
    for decision in program.space.enumerate():
        fits = parameters(decision) <= 500 and not (decision["net.width"] == 32 and decision["depth"])
        assert is_feasible(program, decision) == fits


def test_names_of_points_and_of_inactive_points():
    program = Program(space("width * depth <= 32", "kernel == 3"))
    for decision in program.space.enumerate():
        small = decision["net.width"] * decision["depth"] <= 32
        assert is_feasible(program, decision) == (small and decision.get("kernel", 3) == 3)
    assert decision_scope(program.space.default) == {"net.width": 8, "width": 8, "depth": 1}


def test_a_decision_that_breaks_a_plain_clause_is_never_built():
    program = Program(space("width < 8"))
    assert [str(v) for v in check(program, program.space.default)] == ["require width < 8: width = 8"]
    assert program.devices == []


def test_clauses_met_on_the_way_see_local_variables_and_costs():
    program = Program(space(), met=("double <= 32", "params < 200 * double"))
    for decision in program.space.enumerate():
        double = 2 * decision["net.width"]
        assert is_feasible(program, decision) == (double <= 32 and parameters(decision) < 200 * double)


def test_samples_are_feasible_and_cover_what_is():
    program = Program(space("200 <= params <= 1000"))
    drawn = sample(program, 60, np.random.default_rng(0))
    feasible = {d.key for d in program.space.enumerate() if 200 <= parameters(d) <= 1000}
    assert len(drawn) == 60
    assert {d.key for d in drawn} == feasible


def test_an_unsatisfiable_budget_names_the_closest():
    program = Program(space("params < 20"))
    with pytest.raises(
        RequirementError,
        match=UNSATISFIABLE,
    ):
        sample(program, 1, np.random.default_rng(1), tries=200)


def test_missing_inputs_and_unknown_names():
    with pytest.raises(RequirementError, match="`require` over flops needs example inputs"):
        check(Program(space("flops < 3")), space().default)
    with pytest.raises(RequirementError, match=r"needs a value for 'widht' \(did you mean 'width'\?\)"):
        check(Program(space("widht < 3")), space().default)


def test_a_name_that_several_points_share_must_be_written_out():
    points = tuple(OneOf(f"{part}.k", (1, 2), default=1) for part in ("a", "b"))
    both = Program(Space(points, ("a.k < b.k",)))
    both.build_checked = lambda decision: (nn.Identity(), [])
    kept = [(d["a.k"], d["b.k"]) for d in both.space.enumerate() if is_feasible(both, d)]
    assert kept == [pair for pair in itertools.product((1, 2), (1, 2)) if pair[0] < pair[1]]
    with pytest.raises(RequirementError, match="needs a value for 'k'"):
        check(Program(Space(points, ("k < 2",))), Space(points).default)


ANNOTATED = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs=4):
        super().__init__()
        hidden = inputs * 3
        heads = 3  # search: {2, 3, 4} require hidden % heads == 0 and heads != 2
        width = 8  # search: {8, 16, 32} require params < 400
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.Linear(width, width))
"""


def test_clauses_of_annotated_code(tmp_path):
    (tmp_path / "annotated.py").write_text(ANNOTATED)
    program = symnas.program(f"{tmp_path}/annotated.py:Net")
    for decision in program.space.enumerate():
        width = decision["width"]
        params = 5 * width + width * (width + 1)
        assert is_feasible(program, decision) == (decision["heads"] in (3, 4) and params < 400)
    drawn = sample(program, 20, np.random.default_rng(0))
    assert {d["heads"] for d in drawn} == {3, 4}
    broken = check(program, program.space.decision({"heads": 2, "width": 32}))
    with pytest.raises(
        RequirementError, match="the decision breaks require hidden % heads == 0 and heads != 2"
    ):
        demand(program, program.space.decision({"heads": 2, "width": 8}))
    assert [violation.clause.origin.rpartition(":")[2] for violation in broken] == ["8", "9"]
