from __future__ import annotations

import copy
import gc
import inspect
import linecache
import pickle
import subprocess
import sys
import traceback
import typing

import pytest
import torch

import symnas
from symnas.errors import BuildError
from symnas.export.generated_module import GeneratedText, load

torch.set_num_threads(1)

TEXT = """\
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    width: int = 4


def helper(x):
    return x + 1


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.linear = nn.Linear(c, c)
        self.function = helper

    def forward(self, x):
        if x.ndim != 2:
            raise ValueError("two dimensions")
        return self.function(self.linear(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = Config(3)
        self.blocks = nn.Sequential(Block(4), Block(4))
        self.kind = Block

    def forward(self, x):
        return self.blocks(x)
"""

ELSEWHERE = """
import inspect, pickle, sys, torch
a = pickle.load(open(sys.argv[1] + "/pickled", "rb"))
b = torch.load(sys.argv[1] + "/saved", weights_only=False)
x = torch.ones(1, 4)
assert type(a) is type(b) and type(a).__name__ == "Net"
assert type(a.blocks[0]) is a.kind and a.config.width == 3
assert "two dimensions" in inspect.getsource(a.blocks[0].forward)
assert "symnas.programs" not in sys.modules
print(a(x).sum().item(), pickle.loads(pickle.dumps(b))(x).sum().item())
"""

STEMS = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, stem=nn.Linear(3, 3)):
        super().__init__()
        self.stem, self.head = stem, nn.Linear(3, 2)

    def forward(self, x):
        x = self.stem(x)  # search: {self.stem(x), x}
        return self.head(x)
"""


def test_instances_pickle_into_a_fresh_process(tmp_path):
    net = load(TEXT).namespace["Net"]()
    (tmp_path / "pickled").write_bytes(pickle.dumps(net))
    torch.save(net, tmp_path / "saved")
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert printed == [str(net(torch.ones(1, 4)).sum().item())] * 2


def test_copies_are_of_the_same_class_and_of_their_own_weights():
    net = load(TEXT).namespace["Net"]()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(other) is type(net)
        assert torch.equal(other(torch.ones(1, 4)), net(torch.ones(1, 4)))
        assert other.blocks[0].linear.weight is not net.blocks[0].linear.weight


def test_source_and_tracebacks_show_the_text():
    kinds = load(TEXT).namespace
    assert inspect.getsource(kinds["Config"]).startswith("@dataclass\nclass Config")
    assert inspect.getsource(kinds["Block"].forward) in TEXT
    with pytest.raises(ValueError, match="two dimensions") as caught:
        kinds["Net"]()(torch.ones(4))
    assert 'raise ValueError("two dimensions")' in "".join(traceback.format_tb(caught.tb))


def test_the_same_text_is_the_same_module_and_nothing_is_left_behind():
    made = load(TEXT)
    assert load(TEXT) is made
    assert load(TEXT + "\n").namespace["Net"] is not made.namespace["Net"]
    name, net = made.name, made.namespace["Net"]()
    del made
    gc.collect()
    assert name in sys.modules
    assert load(TEXT).namespace["Net"] is type(net)
    del net
    gc.collect()
    assert name not in sys.modules


def test_types_of_annotations_are_found_in_the_module():
    made = load(TEXT)
    block = made.namespace["Block"]
    module = sys.modules[block.__module__]
    assert vars(module)["Config"] is made.namespace["Config"]
    assert eval("nn.Linear", module.__dict__) is torch.nn.Linear
    assert typing.get_type_hints(made.namespace["Config"]) == {"width": int}
    assert inspect.getmodule(block) is module


def test_defaults_are_made_on_no_device_and_with_no_seed_of_a_build(tmp_path):
    (tmp_path / "stems.py").write_text(STEMS)
    program = symnas.program(f"{tmp_path / 'stems.py'}:Net", inputs=torch.zeros(1, 3))
    default = program.space.default
    program.profile(default)
    torch.manual_seed(0)
    first = program.build(default)
    torch.manual_seed(0)
    second = program.build(default)
    assert first.stem.weight.device.type == "cpu"
    assert torch.equal(first.head.weight, second.head.weight)
    made = load(STEMS.replace("3", "5"))
    state = torch.get_rng_state()
    with torch.device("meta"):
        other = load(STEMS.replace("3", "7"))
    assert torch.equal(state, torch.get_rng_state())
    for module in (made, other):
        assert not module.namespace["Net"].__init__.__defaults__[0].weight.is_meta


def test_a_class_of_the_users_may_pickle_its_own_way():
    text = "class Own:\n    def __reduce_ex__(self, protocol):\n        return int, (3,)\n"
    assert pickle.loads(pickle.dumps(load(text).namespace["Own"]())) == 3
    text = "class Base:\n    def __new__(cls, x=1):\n        return super().__new__(cls)\n\n"
    text += "    def __getnewargs__(self):\n"
    made = load(text + "        return (5,)\n\n\nclass Slots(Base):\n    __slots__ = ('a',)\n").namespace[
        "Slots"
    ](2)
    made.a = 7
    assert copy.copy(made).a == pickle.loads(pickle.dumps(made)).a == 7


def test_text_that_does_not_run_is_a_build_error():
    with pytest.raises(BuildError, match="does not run: ZeroDivisionError"):
        load("1 / 0\n")
    assert GeneratedText("1 / 0\n").name not in sys.modules
    assert GeneratedText("1 / 0\n").file not in linecache.cache
