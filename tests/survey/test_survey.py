# ruff: noqa: E501  (program texts in tables)
"""The survey by itself, on texts whose choices are planted calls, against trying everything by running again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from planted import PlantedRunner, brute_force, counting_runs, decisions, plain_run, surveyed
from random_programs import program_texts

from symnas.errors import ProgramError
from symnas.survey.survey import Survey

PROGRAMS = {
    "flat": "a = choose('a', [1, 2, 3])\nb = choose('b', [0, 1])\n",
    "if": "if choose('a', [1, 2, 3]) > 1:\n    choose('b', [0, 1])\nelse:\n    choose('c', [1, 2, 3])\n",
    "joint": "a = choose('a', [1, 2, 3])\nb = choose('b', [0, 1, 2])\nif a + b > 3:\n    choose('c', [1, 2])\n"
    "    if a == 2: choose('d', [1, 2])\n",
    "loop": "for i in range(choose('n', [1, 2, 3])):\n    k = choose(f'k{i}', [1, 2])\n"
    "    if k == 2 and i > 0: choose(f'z{i}', [1, 2])\n",
    "turns in pairs": "a = choose('a', [0, 1])\nfor i in range(a + a): choose(f'p{i}', [0, 1])\n",
    "flag": "class S: f = 0\ns = S()\na = choose('a', [0, 1]); b = choose('b', [0, 1])\nif a: s.f = 1\nif b: s.f = 0\n"
    "if s.f: choose('c', [0, 1])\n",
    "two flags": "class S: f = g = 0\ns = S()\nif choose('a', [0, 1]): s.f = 1\nb = choose('b', [0, 1])\n"
    "if s.f and b: s.g = 1\nif s.g: choose('c', [0, 1])\n",
    "early": "def f(a):\n    if a == 1: return 0\n    b = choose('b', [0, 1])\n    for i in range(3):\n"
    "        if b and i == 1: break\n        choose(f'c{i}', [0, 1])\n    else: choose('e', [0, 1])\n    return b\n"
    "if f(choose('a', [0, 1, 2])): choose('g', [0, 1])\n",
    "while": "n = choose('n', [1, 2, 4])\ni = 0\nwhile i < n: i += choose(f's{i}', [1, 2])\n",
    "recursion": "def r(d):\n    if d and choose(f'go{d}', [True, False]): r(d - 1)\nr(choose('d', [0, 1, 2, 3]))\n",
    "dispatch": "ops = {'x': lambda: choose('p', [1, 2]), 'y': lambda: 3}\nif ops[choose('o', ['x', 'y'])]() == 2:\n"
    "    choose('q', [1, 2])\n",
    "closures of one text": "def make(k):\n    def f():\n        if k: choose('p', [1, 2])\n    return f\n"
    "[make(0), make(1), make(0)][choose('o', [0, 1, 2])]()\n",
    "inherited constructor": "class A:\n    w = 0\n    def __init__(self):\n        if self.w: choose('p', [1, 2])\n"
    "class B(A): w = 1\n[A, B][choose('o', [0, 1])]()\n",
    "try": "try:\n    v = {1: 5}[choose('a', [0, 1, 2])]\n    choose('t', [0, 1])\nexcept KeyError:\n    choose('u', [0, 1])\n",
    "planes": "class Net:\n    def __init__(self):\n        self.planes, self.layers = 16, []\n        for s in range(2):\n"
    "            w = choose(f'w{s}', [16, 32])\n            for b in range(choose(f'n{s}', [1, 2])): self.block(s, b, w)\n"
    "        if len(self.layers) > 4: choose('big', [0, 1])\n    def block(self, s, b, w):\n"
    "        if self.planes != w: self.layers.append(choose(f'down{s}{b}', [0, 1]))\n        self.planes = w\n"
    "        self.layers.append(w)\nNet()\n",
    "global in a function": "n = 0\ndef f():\n    global n\n    n = 1\nif choose('a', [0, 1]): f()\nif n: choose('b', [0, 1])\n",
    "attribute of a module": "import types\nm = types.ModuleType('m')\nm.n = 0\nif choose('a', [0, 1]): m.n = 1\n"
    "if m.n: choose('b', [0, 1])\n",
    "sequence in a comprehension": "from torch import nn\ns = nn.Sequential()\na = choose('a', [0, 2])\n"
    "if len([s(1) for k in [a, 1] for q in range(k)]) > 2: choose('b', [0, 1])\n",
    "reached twice": "a = choose('a', [0, 1, 2])\nb = choose('b', [0, 1])\ndef f(): choose('p', [0, 1])\n"
    "if a == 1: f()\nelif b: f()\n",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tree_has_exactly_the_decisions_of_the_program(name: str) -> None:
    runner = PlantedRunner(PROGRAMS[name])
    space = Survey(runner).space()
    expected = brute_force(runner.plain)
    assert decisions(space) == expected
    assert space.size == len(expected)


def _check(text: str, rows: int) -> None:
    runner = PlantedRunner(text)
    space = Survey(runner, checks=0).space()
    expected = None
    try:
        expected = brute_force(runner.plain) if space.size <= 3000 else None
    except (RecursionError, MemoryError):
        assume(False)
    if expected is not None:
        assert decisions(space) == expected
        return
    import numpy as np

    for decision in space.sample(rows, np.random.default_rng(0)):
        codes = {
            address: space[address].rank(space[address].code(value)) for address, value in decision.items()
        }
        assert set(plain_run(runner.plain, lambda point, c=codes: c[point.address])) == set(codes)


@given(program_texts())
def test_random_programs_have_complete_trees(text: str) -> None:
    _check(text, 100)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(program_texts(points=7, depth=4))
def test_many_random_programs_have_complete_trees(text: str) -> None:
    _check(text, 1000)


def test_a_real_choice_that_decides_nothing_is_fine() -> None:
    text = "a = choose('a', (0.0, 1.0))\nif a > 2: choose('b', [0, 1])\nif choose('k', [0, 1]): choose('c', [0, 1])\n"
    space = Survey(PlantedRunner(text)).space()
    assert sorted(space.addresses) == ["a", "c", "k"]


def test_a_real_choice_that_decides_about_points_is_refused() -> None:
    text = "if choose('a', (0.0, 1.0)) > 0.5: choose('b', [0, 1])\n"
    with pytest.raises(
        ProgramError, match=r"cannot hang on a real number.*make that decision a \{True, False\} choice"
    ):
        Survey(PlantedRunner(text), constants=[0.5]).space()


def test_too_many_joint_values_are_refused_with_points_and_line() -> None:
    lines = [f"x{i} = choose('x{i}', [0, 1])" for i in range(14)]
    text = "\n".join([*lines, f"if {' + '.join(f'x{i}' for i in range(14))} > 7: choose('b', [0, 1])", ""])
    with pytest.raises(ProgramError, match=r"line 15.*depends on x0, x1, .*and 6 more"):
        Survey(PlantedRunner(text), joint_limit=128).space()


def test_a_hidden_condition_is_refused_rather_than_missed() -> None:
    text = "if choose.__defaults__[0]() % 3 == 0: choose('a', [0, 1])\nchoose('b', [0, 1])\n"
    with counting_runs(), pytest.raises(ProgramError, match="must follow from the choices alone"):
        surveyed(text)


def test_an_error_under_the_defaults_is_the_users_own() -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        Survey(PlantedRunner("choose('a', [0, 1])\n1 / 0\n")).space()


def test_a_candidate_that_always_fails_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        Survey(PlantedRunner("a = choose('a', [1, 0])\n1 / a\n")).space()


def test_a_combination_that_fails_stays_in_the_tree() -> None:
    space = Survey(
        PlantedRunner("a = choose('a', [1, 0])\nb = choose('b', [1, 0])\n1 / (a + b)\nchoose('c', [0, 1])")
    ).space()
    assert space.size == 8
