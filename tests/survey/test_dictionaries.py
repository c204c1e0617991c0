# ruff: noqa: E501  (program texts)
"""Dictionaries and torch's containers made of them keep what depends on what, entry by entry.

A value that is chosen decides about what reads it, and about nothing that reads another entry; how many
entries there are, and under which keys, decides where that is what the code asks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from symnas.frontend import execution
from symnas.frontend.run import Run
from symnas.programs.program import program
from symnas.survey.runner import ProgramRunner
from symnas.survey.survey import Survey

HEAD = """\
import torch
from collections import OrderedDict
from torch import nn

def added(module, parts):
    for name, part in parts.items():
        module.add_module(name, part)
    return module

def net():
"""

# Under `a`, 3 values of which one has another choice of 2 below: 4 decisions.
PROGRAMS = {
    "keywords": "d = dict(a=a, b=7)\nif d['a'] == 3:\n    extra",
    "a mapping and keywords": "d = dict({'a': a}, b=7)\nif d['a'] == 3:\n    extra",
    "a mapping that keywords replace": "d = dict({'a': 0, 'b': 1}, a=a)\nif d['a'] == 3:\n    extra",
    "pairs": "d = dict([('b', 7), ('a', a)])\nif d['a'] == 3:\n    extra",
    "pairs of a generator": "d = dict((k, v) for k, v in (('b', 7), ('a', a)))\nif d['a'] == 3:\n    extra",
    "zip": "d = dict(zip(('b', 'a'), (7, a)))\nif d['a'] == 3:\n    extra",
    "a chosen key": "d = dict([(a, 7), ('b', 8)])\nif 3 in d:\n    extra",
    "a chosen key, asked for politely": "d = dict([(a, 7), ('b', 8)])\nif d.get(3) == 7:\n    extra",
    "ordered": "d = OrderedDict(a=a, b=7)\nif d['a'] == 3:\n    extra",
    "ordered pairs": "d = OrderedDict([('b', 7), ('a', a)])\nfor k, v in d.items():\n    if k == 'a' and v == 3:\n        extra",
    "values": "d = OrderedDict([('b', 7), ('a', a)])\nfor v in d.values():\n    if v == 3:\n        extra",
    "as many as are chosen": "d = dict([(i, 0) for i in range(a)])\nif len(d) > 2:\n    extra",
    "by a comprehension": "d = OrderedDict({i: 0 for i in range(a)})\nif 2 in d:\n    extra",
    "turns over keys": "d = dict([(i, 0) for i in range(a)])\nfor k in d:\n    if k == 2:\n        extra",
    "truth": "d = dict([(i, 0) for i in range(a - 2)])\nif d:\n    extra",
    "a chosen mapping": "d = dict({'n': 3} if a == 3 else {'n': 4})\nif d['n'] == 3:\n    extra",
    "an entry that may be missing": "d = dict({'n': 3} if a == 3 else {})\nif 'n' in d:\n    extra",
    "a copy": "d = dict(dict(a=a))\nif d['a'] == 3:\n    extra",
    "changed": "d = dict(a=0)\nd['a'] = a\nif d['a'] == 3:\n    extra",
    "updated": "d = OrderedDict(a=0)\nd.update(a=a)\nif d['a'] == 3:\n    extra",
    "moved": "d = OrderedDict([(3, 0), (a, 0), (9, 0)])\nd.move_to_end(a)\nif list(d)[-1] == 3:\n    extra",
    "taken out": "d = OrderedDict([(1, 0), (2, 0), (3, 0)])\nd.pop(a)\nif 3 not in d:\n    extra",
    "module dictionary": "m = nn.ModuleDict(dict(fc=nn.Linear(1, 1), act=act))\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "attribute of one": "m = nn.ModuleDict({'fc': nn.Linear(1, 1), 'act': act})\nif isinstance(m.act, nn.ReLU):\n    extra",
    "pairs of modules": "m = nn.ModuleDict([['fc', nn.Linear(1, 1)], ['act', act]])\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "items of one": "m = nn.ModuleDict(OrderedDict(fc=nn.Linear(1, 1), act=act))\nfor k, v in m.items():\n    if isinstance(v, nn.ReLU):\n        extra",
    "values of one": "m = nn.ModuleDict(dict(act=act))\nfor v in m.values():\n    if isinstance(v, nn.ReLU):\n        extra",
    "its children": "m = nn.ModuleDict(dict(act=act))\nfor v in m.children():\n    if isinstance(v, nn.ReLU):\n        extra",
    "set by key": "m = nn.ModuleDict(dict(fc=nn.Linear(1, 1)))\nm['act'] = act\nif isinstance(m.act, nn.ReLU):\n    extra",
    "set as an attribute": "m = nn.ModuleDict(dict(act=nn.Tanh()))\nm.act = act\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "set as an attribute, then gone through": "m = nn.ModuleDict(dict(act=nn.Tanh()))\nm.act = act\nfor v in m.values():\n    if isinstance(v, nn.ReLU):\n        extra",
    "module dictionary updated": "m = nn.ModuleDict(dict(fc=nn.Linear(1, 1)))\nm.update(dict(act=act))\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "module dictionary by keyword": "m = nn.ModuleDict(modules=dict(act=act))\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "module list by keyword": "m = nn.ModuleList(modules=[act])\nif isinstance(m[0], nn.ReLU):\n    extra",
    "module dictionary of views": "m = nn.ModuleDict(dict(act=act).items())\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "in a sequence": "m = nn.Sequential(OrderedDict([('fc', nn.Linear(1, 1)), ('act', act)]))\nfor v in m:\n    if isinstance(v, nn.ReLU):\n        extra",
    "in a sequence, by place": "m = nn.Sequential(OrderedDict(fc=nn.Linear(1, 1), act=act))\nif isinstance(m[1], nn.ReLU):\n    extra",
    "in a sequence, by name": "m = nn.Sequential(OrderedDict(fc=nn.Linear(1, 1), act=act))\nif isinstance(m.act, nn.ReLU):\n    extra",
    "in a sequence, set as an attribute": "m = nn.Sequential(OrderedDict(fc=nn.Linear(1, 1), act=nn.Tanh()))\nm.act = act\nfor v in m:\n    if isinstance(v, nn.ReLU):\n        extra",
    "in a list, by name": "m = nn.ModuleList([nn.Tanh(), act])\nif isinstance(getattr(m, '1'), nn.ReLU):\n    extra",
    "a sequence as long as chosen": "m = nn.Sequential(OrderedDict([(f'l{i}', nn.Tanh()) for i in range(a)]))\nif len(m) == 3:\n    extra",
    "a module dictionary as long as chosen": "m = nn.ModuleDict({f'l{i}': nn.Tanh() for i in range(a)})\nif 'l2' in m:\n    extra",
    "parameters": "m = nn.ParameterDict(dict(w=torch.zeros(a)))\nif m['w'].shape[0] == 3:\n    extra",
    "added by a method": "m = nn.Sequential()\nm.add_module('fc', nn.Linear(1, 1))\nm.add_module('act', act)\nif isinstance(m[1], nn.ReLU):\n    extra",
    "added by a method, by name": "m = nn.ModuleDict()\nm.add_module(module=act, name='act')\nif isinstance(m['act'], nn.ReLU):\n    extra",
    "added to a module": "m = nn.Module()\nm.register_module('act', act)\nif isinstance(m.act, nn.ReLU):\n    extra",
    "added in another's place": "m = nn.Sequential(nn.Tanh(), nn.Tanh())\nm.add_module('0', act)\nif isinstance(m[0], nn.ReLU):\n    extra",
    "added under a condition": "m = nn.Sequential()\nif a == 3:\n    m.add_module('x', nn.Tanh())\nif len(m):\n    extra",
    "added under a condition, as a child": "m = nn.Module()\nif a == 3:\n    m.add_module('x', nn.Tanh())\nif len(list(m.children())):\n    extra",
    "added behind one that may be missing": "m = nn.Sequential()\nif a == 3:\n    m.add_module('x', nn.Tanh())\nm.add_module('y', nn.ReLU())\nif isinstance(m[0], nn.Tanh):\n    extra",
    "added under a chosen name": "m = nn.Module()\nm.add_module(f'n{a}', nn.Tanh())\nif hasattr(m, 'n3'):\n    extra",
    "added to a chosen one": "m, n = nn.Sequential(), nn.Sequential()\n(m if a == 3 else n).add_module('x', nn.Tanh())\nif len(m):\n    extra",
    "added, and not to the other": "m, n = nn.Sequential(), nn.Sequential()\n(m if a != 3 else n).add_module('x', nn.Tanh())\nif not len(m):\n    extra",
    "a buffer": "m = nn.Module()\nm.register_buffer('b', torch.zeros(a), persistent=False)\nif m.b.shape[0] == 3:\n    extra",
    "a parameter that may be missing": "m = nn.Module()\nm.register_parameter('p', nn.Parameter(torch.zeros(a)) if a == 3 else None)\nif m.p is not None:\n    extra",
    "parameters gone through": "m = nn.Module()\nm.register_parameter('p', nn.Parameter(torch.zeros(a)))\nfor p in m.parameters():\n    if len(p) == 3:\n        extra",
}  # fmt: skip
CHOICES = (
    "    a = 1  # search: {1, 2, 3}\n",
    "    act = nn.Tanh()  # search: {nn.Tanh(), nn.ReLU(), nn.GELU()}\n",
)
EXTRA = "extra = 5  # search: {5, 6}"


def text_of(body: str) -> str:
    choice = CHOICES["act" in body.replace("'act'", "").replace(".act", "").replace("('a'", "")]
    lines = [f"    {line}" for line in body.replace("extra", EXTRA).splitlines()]
    return HEAD + choice + "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_space_is_complete_and_no_larger(name: str, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(text_of(PROGRAMS[name]))
    found = program(f"{file}:net")
    assert found.space.size == 4
    for decision in found.space.enumerate():
        run = Run(dict(decision), strict=True)
        execution.execute(found, run)
        assert set(run.visits) == set(decision)


@pytest.mark.parametrize(
    "store",
    ["dict({})", "OrderedDict({})", "nn.ModuleDict(dict({}))", "nn.ModuleDict({})", "nn.Sequential(OrderedDict({}))",
     "added(nn.Sequential(), {})", "added(nn.Module(), {})"],
)  # fmt: skip
def test_entries_do_not_stand_for_each_other(store: str, tmp_path: Path) -> None:
    """Eight chosen entries, of which each is looked at alone: no joint condition."""
    lines = ["    parts = {}"]
    for i in range(8):
        lines += [f"    part{i} = nn.Tanh()  # search: {{nn.Tanh(), nn.ReLU(), nn.GELU()}}"]
    entries = ", ".join(f"'p{i}': part{i}" for i in range(8))
    lines += [f"    parts = {store.format('{' + entries + '}')}"]
    for i in range(8):
        read = f"parts.p{i}" if "nn" in store else f"parts['p{i}']"
        lines += [f"    if isinstance({read}, nn.ReLU):", f"        k{i} = 1  # search: {{1, 2}}"]
    file = tmp_path / "net.py"
    file.write_text(HEAD + "\n".join(lines) + "\n")
    survey = Survey(ProgramRunner(program(f"{file}:net")))
    assert survey.space().size == 4**8
    assert survey.runs < 24


@pytest.mark.parametrize("seed", range(3))
def test_samples_meet_their_own_points(seed: int, tmp_path: Path) -> None:
    """Several of these programs, one after the other in one constructor."""
    rng = np.random.default_rng(seed)
    text = HEAD
    for number, name in enumerate(rng.choice(sorted(PROGRAMS), 4, replace=False)):
        inner = text_of(PROGRAMS[name]).removeprefix(HEAD)
        text = text.replace("def net():", f"def part{number}():\n{inner}\ndef net():")
    text += "".join(f"    part{number}()\n" for number in range(4))
    file = tmp_path / "net.py"
    file.write_text(text)
    found = program(f"{file}:net")
    assert found.space.size == 4**4
    for decision in found.space.sample(30, rng):
        run = Run(dict(decision), strict=True)
        execution.execute(found, run)
        assert set(run.visits) == set(decision)
