"""`symnas.program` and `symnas.search` are functions that live in modules of the same names."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

STEPS = (
    "import symnas.program as p, symnas.search as s; assert p(Net).name == 'JSONDecoder'; "
    "assert p is program_of() and s is search_of()",
    "from symnas.program import Program; from symnas.search import Driver\n"
    "assert Program(Net).name == 'JSONDecoder'",
    "import symnas; assert symnas.program(Net).name == 'JSONDecoder'; assert symnas.search is search_of()",
    "from symnas import program, search; assert program is program_of() and search is search_of()",
)
START = """
import importlib, sys
from json import JSONDecoder as Net
def program_of(): return vars(importlib.import_module("symnas.program"))["program"]
def search_of(): return vars(importlib.import_module("symnas.search"))["search"]
"""
END = """
import pickle, types, symnas
for name in ("program", "search"):
    function, module = getattr(symnas, name), sys.modules["symnas." + name]
    assert type(function) is types.FunctionType and type(module) is types.ModuleType
    assert importlib.reload(module) is module and callable(getattr(symnas, name))
    assert pickle.loads(pickle.dumps(vars(module)[name])) is vars(module)[name]
"""


# Two steps settle it: what is imported and bound changes at the first one, or never.
@pytest.mark.parametrize("order", list(itertools.permutations(range(len(STEPS)), 2)), ids=str)
def test_the_function_wins_over_its_module_in_every_order(order: tuple[int, ...]) -> None:
    """`import symnas.program as m` names the function, too; a module's other names come by `from`."""
    code = "\n".join([START, *(STEPS[step] for step in order), END])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
