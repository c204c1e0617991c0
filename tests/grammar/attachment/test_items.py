"""Items of a list, annotated by position: which they are, what their points are called, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import symnas
from symnas.errors import AnnotationError
from symnas.grammar import parse_module

READ = {
    "d = [2, 2, 6, 2]  # search: [0] in 1..4, [2] in {4, 6, 8}": ["d[0]", "d[2]"],
    "d = [2, 2, 6]  # search: each in 1..8": ["d[0]", "d[1]", "d[2]"],
    "d = (2, 'a')  # search: [1] in {'a', 'b'} as act, [0] in 1..3": ["d[0]", "act"],
    "d = sorted([5, 2])  # search: each in 1..9": ["d[0]", "d[1]"],
    "d = dict(a=3, b=[2, 6])  # search: a in 1..4": ["d.a"],
    "d = dict(a=[3], b=[2, 2, 6])  # search: b[1] in {2, 4}, b[2] in 3..6 step 3": ["d.b[1]", "d.b[2]"],
    "d = [[1, 2], [3, 4]]  # search: [0][1] in {2, 5}, [1][each] in 1..9": ["d[0][1]", "d[1][0]", "d[1][1]"],
    "d = [1, 2]  # search: each in 1..3 as k": ["k[0]", "k[1]"],
    "d = [1, 2]  # search: d[1] in {2, 4} require params < 9e9": ["d[1]"],
    "d = [max(1, 2), min]  # search: [1] in {min, max}": ["d[1]"],
    "d = [max(1, 2)]  # search: [0] in {max(1, {2, 3})}": ["d[0]:max[1]", "d[0]"],
    "d = ['a, [0] in x', 2]  # search: [0] in {'a, [0] in x', 'b'}, [1] in 1..2": ["d[0]", "d[1]"],
    "d = [1, 2]  # search: {[{1, 2}, {2, 3}], [5]}": ["d", "d:[{1, 2}, {2, 3}][0]", "d:[{1, 2}, {2, 3}][1]"],
    # What had an address keeps it.
    "d = [1]  # search: {[{1, 2}], [5]}": ["d", "d:[{1, 2}].value"],
    "d = [\n        1,  # search: {1, 2}\n        2,  # search: {2, 3}\n    ]": ["d", "d_2"],
}  # fmt: skip


@pytest.mark.parametrize("line", READ)
def test_items_are_points_named_by_their_places(line: str, tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(f"def make():\n    {line}\n    return d\n")
    program = symnas.program(f"{path}:make")
    addresses = [entry.point.address for entry in program.space.compiled.layout.entries]
    assert sorted(addresses) == sorted(READ[line])
    plain: dict = {}
    exec(path.read_text(), plain)
    assert program.build() == plain["make"]()
    for decision in program.space.sample(5, 0):
        written: dict = {}
        exec(program.source(decision), written)
        assert written["make"]() == program.build(decision)


def test_every_item_of_a_parameter_and_of_every_turn_is_a_point(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "def make(depths=[2, 3]):  # search: each in 1..4\n"
        "    out = []\n"
        "    for i in range(2):\n"
        "        out += [1, 2]  # search: [1] in 1..3\n"
        "    return depths, out\n"
    )
    program = symnas.program(f"{path}:make")
    assert list(program.space.default) == ["make.depths[0]", "make.depths[1]", "i[0].out[1]", "i[1].out[1]"]
    decision = program.space.decision({"make.depths[1]": 4, "i[1].out[1]": 3})
    assert program.build(decision) == ([2, 4], [1, 2, 1, 3])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("d = [1, 2]  # search: [2] in {1, 2}", "no-such-item"),
        ("d = [*e, 2]  # search: [1] in {1, 2}", "no-such-item"),
        ("d = 3  # search: [0] in {1, 3}", "no-list-for-items"),
        ("d = f([1], [2])  # search: each in {1, 2}", "no-list-for-items"),
        ("d = [1, 2]  # search: e[0] in {1, 2}", "no-list-for-items"),
        ("d = [1, 7]  # search: each in {1, 2}", "default-not-a-candidate"),
        ("d = [1, 2]  # search: [0] in {1, 2}, [0] in {1, 3}", "described-twice"),
    ],
)
def test_what_is_no_item_is_told(line: str, code: str) -> None:
    errors = parse_module(line + "\n", "m.py").errors
    assert [error.code for error in errors][:1] == [code], errors
    assert isinstance(errors[0], AnnotationError)
