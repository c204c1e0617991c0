# ruff: noqa: E501  (program texts in tables)
"""Points that the defaults meet, and that a branch of other decisions takes away.

The first run meets such a point under no condition: that a branch which it does not take changes what decides is
seen later, and what the run said until then must not stay.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import counting_runs, really, surveyed

from symnas.errors import ProgramError
from symnas.programs.program import program

S = "class S: pass\ns = S()\ns.f = s.g = 1\n"
A, B, C = "choose('a', [0, 1])", "choose('b', [0, 1])", "choose('c', [0, 1])"

PROGRAMS = {
    "attribute": f"{S}if {A}: s.f = 0\nif s.f: {C}\n",
    "attribute set by setattr": f"{S}if {A}: setattr(s, 'f', 0)\nif s.f: {C}\n",
    "attribute set in a method": f"class T:\n    f = 1\n    def off(self): self.f = 0\nt = T()\nif {A}: t.off()\nif t.f: {C}\n",
    "attribute set in a function": f"{S}def g():\n    if {A}: s.f = 0\ng()\nif s.f: {C}\n",
    "attribute deleted": f"{S}if {A}: del s.f\nif hasattr(s, 'f'): {C}\n",
    "attribute of a class": f"class T: f = 1\nif {A}: T.f = 0\nif T().f: {C}\n",
    "attribute counted down": f"{S}if {A}: s.f -= 1\nif s.f: {C}\n",
    "list popped": f"l = [1]\nif {A}: l.pop()\nif l: {C}\n",
    "list cleared": f"l = [1]\nif {A}: l.clear()\nif l: {C}\n",
    "list grown": f"l = []\nif {A}: l.append(1)\nif not l: {C}\n",
    "list shortened, then gone through": f"l = [1, 2]\nif {A}: del l[0]\nfor i in l: choose(f'c{{i}}', [0, 1])\n",
    "in a constructor": f"class T:\n    def __init__(self):\n        self.f = 1\n        if {A}: self.f = 0\n        if self.f: {C}\nT()\n",
    "in the constructor of a base": f"class T:\n    def __init__(self):\n        self.f = 1\n        if {A}: self.f = 0\nclass U(T):\n    def __init__(self):\n        super().__init__()\n        if self.f: {C}\nU()\n",
    "behind the constructor of a dataclass": f"from dataclasses import dataclass\n@dataclass\nclass T:\n    f: int = 1\n    def __post_init__(self):\n        if {A}: self.f = 0\n        if self.f: {C}\nT()\n",
    "attribute of a class in its method": f"class T:\n    f = 1\n    @classmethod\n    def off(cls): cls.f = 0\nif {A}: T.off()\nif T.f: {C}\n",
    "attribute of one of two classes of one text": f"def make():\n    class T: f = 1\n    return T\nt, u = make(), make()\nif {A}: u.f = 0\nif t.f: {C}\nif u.f: {B}\n",
    "item": f"l = [1]\nif {A}: l[0] = 0\nif l[0]: {C}\n",
    "dictionary popped": f"d = {{'k': 1}}\nif {A}: d.pop('k')\nif 'k' in d: {C}\n",
    "dictionary popped, then asked": f"d = {{'k': 1}}\nif {A}: d.pop('k')\nif d.get('k'): {C}\n",
    "dictionary entry": f"d = {{'k': 1}}\nif {A}: d['k'] = 0\nif d['k']: {C}\n",
    "set": f"d = {{1}}\nif {A}: d.discard(1)\nif d: {C}\n",
    "global in a function": f"n = 1\ndef f():\n    global n\n    n = 0\nif {A}: f()\nif n: {C}\n",
    "nonlocal": f"def f():\n    n = 1\n    def g():\n        nonlocal n\n        n = 0\n    if {A}: g()\n    if n: {C}\nf()\n",
    "in a loop": f"{S}for i in range(choose('n', [0, 1, 2])):\n    if i: s.f = 0\nif s.f: {C}\n",
    "behind an early return": f"{S}def g():\n    if not {A}: return\n    s.f = 0\ng()\nif s.f: {C}\n",
    "in a handler": f"{S}try: {{0: 1}}[{A}]\nexcept KeyError: s.f = 0\nif s.f: {C}\n",
    "one after the other": f"{S}if {A}: s.f = 0\nif not s.f: s.g = 0\nif s.g: {C}\n",
    "three deep": f"{S}s.h = 1\nif {A}: s.f = 0\nif s.f == 0: s.g = 0\nif s.g == 0: s.h = 0\nif s.h: {C}\n",
    "with another choice": f"{S}if {A}: s.f = 0\nif s.f and {B}: {C}\n",
    "a choice before it": f"{S}b = {B}\nif {A}: s.f = 0\nif b and s.f: {C}\nelse: choose('d', [0, 1])\n",
    "either of two": f"{S}if {A}: s.f = 0\nif {B}: s.f = 0\nif s.f: {C}\n",
    "both of two": f"{S}s.f = 2\nif {A}: s.f -= 1\nif {B}: s.f -= 1\nif s.f: {C}\n",
    "off and on": f"{S}if {A}: s.f = 0\nif {B}: s.f = 1\nif s.f: {C}\n",
    "points below it": f"{S}if {A}: s.f = 0\nif s.f:\n    for i in range(choose('n', [1, 2])): choose(f'c{{i}}', [0, 1])\n",
    "turns it away": f"{S}s.f = 2\nif {A}: s.f = 1\nfor i in range(s.f): choose(f'c{{i}}', [0, 1])\n",
    "a conjunction": f"{S}a, b = {A}, {B}\nif a:\n    if b: s.f = 0\nif s.f: {C}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tree_has_exactly_the_decisions_of_the_program(name: str) -> None:
    assert surveyed(PROGRAMS[name]) == really(PROGRAMS[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tree_is_complete_before_it_is_checked(name: str) -> None:
    """Random decisions would show most of what is missing; here nothing may be left to them."""
    assert surveyed(PROGRAMS[name], checks=0) == really(PROGRAMS[name])


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = True
        self.layers = [nn.ReLU()]
        k = 1  # search: {1, 2}
        if k == 2:
            OFF
        w = 4
        if self.wide and self.layers:
            w = 8  # search: {8, 16, 32}
        self.l = nn.Linear(4, w)
"""


@pytest.mark.parametrize("off", ["self.wide = False", "self.layers.pop()", "setattr(self, 'wide', 0)"])
def test_a_program_with_annotations(off: str, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(NET.replace("OFF", off))
    space = program(f"{file}:Net").space
    assert space.size == 3 + 1
    assert [point.address for point in space.points] == ["k"]


def test_runs_that_do_not_repeat_themselves_are_refused_in_the_usual_words() -> None:
    text = f"{S}if {A}: s.f = 0\nif s.f: {C}\nif choose.__defaults__[0]() % 3: choose('d', [0, 1])\n"
    with counting_runs(), pytest.raises(ProgramError, match="must follow from the choices alone"):
        surveyed(text)
