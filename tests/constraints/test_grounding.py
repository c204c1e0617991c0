"""Clauses at choices become part of the space: what runs write down is what Python says of every decision."""

from __future__ import annotations

import itertools
import math

import pytest

import symnas
from symnas.constraints.checking import is_feasible
from symnas.errors import AnnotationError
from symnas.tree.space import Space

SOURCE = """\
import math
from torch import nn

def widths():
    out, previous = [], 0
    for i in range(12):
        w = 8  # search: 8..512 step 8 require w >= previous
        previous = w
        out.append(w)
    return out

def equal():
    out = []
    for i in range(12):
        w = 8  # search: 8..512 step 8 require not out or w == out[-1]
        out.append(w)
    return out

def bounded():
    total = 0
    for i in range(12):
        w = 1  # search: 1..10 require total + w <= 40
        total += w
    return total

def three():
    a = 1  # search: 1..10
    b = 1  # search: 1..10 require a <= b
    c = 1  # search: 1..10 require a + b + c <= 12
    return a, b, c

def depth():
    ws = []
    for i in range(2):  # search: 1..4
        w = 4  # search: {4, 8, 16} require sum(ws) + w <= 24 and len(ws) < 4
        ws.append(w)
    return ws

class Net(nn.Module):
    def __init__(self, inputs=4):
        super().__init__()
        self.hidden = inputs * 3
        heads = 3  # search: {2, 3, 4} require self.hidden % heads == 0 and heads != 2
        width = 8  # search: {small: 8, big: 32}
        deep = True  # search: {True, False} require deep or width > 8
        act = "relu"  # search: {"relu", "gelu"} require act == "relu" or heads == 4
        half = width // 2
        wide = 3  # search: 2..8 require wide * 2 <= half + heads and wide < 2 * width
        self.layers = nn.ModuleList([nn.Linear(inputs, width) for _ in range(2 if deep else 1)])

def branched():
    kind = "x"  # search: {"x", "y"}
    a = 2  # search: 1..4
    b = a * 2 if kind == "x" else 1
    c = 3  # search: 1..4 require c < b
    return a, b, c

def called():
    outs = [part(k) for k in range(2)]
    return outs

def part(k):
    size = 3 + k  # search: 2..5 require size > k + 2
    return size

def asked():
    picked = ["a", "b"]  # search: 1..2 of {"a", "b", "c"} require "a" in picked or len(picked) == 2
    flag = None  # search: {None, 3} require flag is None or flag > 2
    return picked, flag
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory):
    file = tmp_path_factory.mktemp("clauses") / "clauses.py"
    file.write_text(SOURCE)
    return lambda name: symnas.program(f"{file}:{name}")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param("widths", math.comb(75, 12), marks=pytest.mark.slow),
        ("equal", 64),
        ("bounded", None),
        ("three", sum(a <= b and a + b + c <= 12 for a, b, c in itertools.product(range(1, 11), repeat=3))),
    ],
)
def test_widths_are_counted_and_drawn_at_once(program, name, size):
    made = program(name)
    assert size is None or made.space.size == size
    drawn = made.sample(100, 0)
    assert all(is_feasible(made, decision) for decision in drawn[:5])
    moved = made.space.mutate(drawn[:5], 0)
    assert all(is_feasible(made, decision) for decision in moved)


@pytest.mark.parametrize(
    ("name", "told"),
    [("depth", True), ("Net", True), ("branched", False), ("called", True), ("asked", True)],
)
def test_the_space_admits_what_runs_find_feasible(program, name, told):
    made = program(name)
    free = Space(made.space.points)
    wanted = [d.flat() for d in free.enumerate() if is_feasible(made, made.space.decision(d.flat()))]
    assert made.internals.values_told == told
    if told:
        assert [d.flat() for d in made.space.enumerate()] == wanted
        assert 0 < len(wanted) < free.size
    else:
        # An expression that a branch changes is left to the run: nothing is refused that is feasible.
        admitted = [d.flat() for d in made.space.enumerate()]
        assert all(decision in admitted for decision in wanted)
    assert all(d.flat() in wanted for d in made.sample(30, 0))
    again = Space.from_json(made.space.to_json())
    assert again == made.space
    assert again.size == made.space.size


BROKEN = [
    ("a = 5  # search: 1..10\n    b = 3  # search: 1..10 require a <= b", "a <= b", 3, "of a = 5, b = 3"),
    ("a = 2  # search: {2, 3} require a != 2", "a != 2", 2, "of a = 2"),
    ("x = 4\n    a = 3  # search: 1..8 require x % a == 0", "x % a == 0", 3, "of a = 3"),
    ("# search: require a > 1\n    a = 1  # search: 1..3", "a > 1", 2, "of a = 1"),
    (
        "t = 0\n    for i in range(3):\n        w = 4  # search: 1..4 require t + w <= 9\n"
        "        t += w\n    a = t",
        "t + w <= 9", 4, "i[2].w = 4",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "clause", "line", "values"), BROKEN)
def test_a_default_that_breaks_a_clause_is_a_mistake(tmp_path, body, clause, line, values):
    (tmp_path / "net.py").write_text(f"def net():\n    {body}\n    return a\n")
    with pytest.raises(AnnotationError, match="the code's own values are the default, and meet") as caught:
        _ = symnas.program(f"{tmp_path}/net.py:net").space
    place = caught.value.location
    assert (place.line, place.text[place.column : place.end]) == (line, clause)
    assert values in caught.value.message


@pytest.mark.parametrize(
    ("clause", "where"),
    [
        ("flops < 1e6", "comment"),
        ("memory < 1e6", "comment"),
        ("params < 9 and flops < 1e9", "choice"),
        ("a * flops < 1e9", "choice"),
        ("max(flops, memory) < 1e9", "comment"),
    ],
)
def test_costs_without_example_inputs_are_told_at_their_line(tmp_path, clause, where):
    own = f" require {clause}" if where == "choice" else ""
    above = f"# search: require {clause}\n" if where == "comment" else ""
    text = f"from torch import nn\n{above}def net():\n    a = 5  # search: 1..10{own}\n"
    (tmp_path / "net.py").write_text(text + "    return nn.Linear(a, a)\n")
    with pytest.raises(AnnotationError, match="needs example inputs") as caught:
        _ = symnas.program(f"{tmp_path}/net.py:net").space
    place = caught.value.location
    assert place.text[place.column : place.end] == clause
    import torch

    assert symnas.program(f"{tmp_path}/net.py:net", inputs=torch.zeros(1, 5)).space.size == 10
