"""Standalone source: executed in a fresh namespace it must be the child that `build` makes."""

from __future__ import annotations

import ast
import importlib.util
import random
import re

import pytest
import torch
from torch import nn

import symnas
from symnas.errors import ProgramError
from symnas.export.child import build
from symnas.export.source import source, without_symnas
from symnas.frontend.execution import execute
from symnas.frontend.run import UNDECIDED, Run

torch.set_num_threads(1)


class RandomRun(Run):
    """Draws the value of every point that it meets, with nothing known of the space."""

    def __init__(self, seed):
        super().__init__({})
        self.rng = random.Random(seed)

    def decide(self, visit):
        point, labels, rng = visit.prototype, visit.labels, self.rng
        if point.kind == "oneof":
            return rng.choice(labels)
        if point.kind == "int":
            return rng.choice(range(point.low, point.high + 1, point.step))
        if point.kind == "float":
            return rng.uniform(point.low, point.high)
        if point.kind == "permutation":
            return tuple(rng.sample(labels, len(labels)))
        if point.kind == "manyof":
            count = rng.randint(point.low, point.high)
            return tuple(rng.choices(labels, k=count) if point.repeats else rng.sample(labels, count))
        return UNDECIDED


def drawn(program, seed):
    run = RandomRun(seed)
    execute(program, run)
    return {a.address: a.value for a in run.trace if a.kind != "tied"}


@pytest.fixture
def written(tmp_path):
    """Write a module, and make a program of one of its definitions."""

    def write(text, name="Net", inputs=None, **given):
        path = tmp_path / f"model_{abs(hash(text)) % 10**9}.py"
        path.write_text(text)
        return symnas.program(f"{path}:{name}", inputs=inputs, **given)

    return write


def executed(text, name="Net"):
    namespace = {"__name__": "standalone"}
    exec(compile(text, "standalone.py", "exec", dont_inherit=True), namespace)
    return namespace[name]


def shape_of(model):
    return [(p, re.sub(r"_\d+$", "", type(m).__name__), m.extra_repr()) for p, m in model.named_modules()]


def assert_equal(program, values, x=None, name="Net"):
    text = source(program, values)
    assert "symnas" not in text
    assert "search:" not in text
    torch.manual_seed(3)
    child = build(program, values)
    torch.manual_seed(3)
    alone = executed(text, name)(*program.internals.args, **program.internals.kwargs)
    if not isinstance(child, nn.Module):
        assert child == alone
        return text
    assert shape_of(child) == shape_of(alone)
    ours, theirs = child.state_dict(), alone.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    if x is not None:
        torch.manual_seed(4)
        expected = child(x)
        torch.manual_seed(4)
        assert torch.equal(alone(x), expected)
    return text


CONVNET = '''\
"""A small network."""

from torch import nn


class ConvNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        width = 32  # search: {16, 32, 64}
        layers, channels = [], 1  # kept
        for stage in range(2):  # search: 1..3
            for block in range(1):  # search: 1..3
                k = 3  # search: {1, 3, 5, 7}
                layers += [nn.Conv2d(channels, width, k, padding=k // 2), nn.BatchNorm2d(width)]
                layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.GELU(), nn.PReLU(width)}
                channels = width
            if True:  # search: {True, False} as pool
                layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        # search: 0.0..0.5
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, classes))

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))
'''


def test_the_text_of_the_tour_is_the_users_own_but_for_the_choices(written):
    program = written(CONVNET, "ConvNet")
    values = {"width": 64, "stage": 2, "stage[0].block": 2, "stage[1].block": 1, "head[0].p": 0.25}
    values |= {"stage[0].block[0].k": 3, "stage[0].block[1].k": 5, "stage[1].block[0].k": 1}
    values |= {"stage[0].block[0].layers": "ReLU", "stage[0].block[1].layers": "PReLU"}
    values |= {"stage[1].block[0].layers": "ReLU", "stage[0].pool": False, "stage[1].pool": True}
    text = assert_equal(program, values, torch.randn(2, 1, 8, 8), "ConvNet")
    changed = set(text.splitlines()) - set(CONVNET.splitlines())
    assert {line.strip() for line in changed} == {
        "width = 64",
        "for stage in range(2):",
        "for block in range((2, 1)[stage]):",
        "k = ((3, 5), (1,))[stage][block]",
        "layers += [nn.PReLU(width) if (stage, block) == (0, 1) else nn.ReLU()]"
        if "if (stage, block)" in text
        else "layers += [nn.PReLU(width) if block == 1 else nn.ReLU()]",
        "if (False, True)[stage]:",
        "self.head = nn.Sequential(nn.Dropout(0.25), nn.Linear(width, classes))",
    }


@pytest.mark.parametrize("seed", range(8))
def test_random_decisions_of_the_tour(written, seed):
    program = written(CONVNET, "ConvNet")
    assert_equal(program, drawn(program, seed), torch.randn(2, 1, 8, 8), "ConvNet")


BLOCKS = '''\
from torch import nn
from symnas import oneof


class Block(nn.Module):
    """Keeps its docstring."""

    def __init__(self, c):
        super().__init__()
        k = 3  # search: {1, 3, 5}
        self.conv = nn.Conv2d(c, c, k, padding=k // 2)
        self.act = oneof([nn.ReLU, nn.GELU])()

    def forward(self, x):
        return self.act(self.conv(x))


class Deep(Block):
    def __init__(self, c):
        super(Deep, self).__init__(c)
        self.extra = nn.ModuleList(self.make(1) + self.make(2))

    def make(self, n):
        w = 1  # search: 1..3
        return [nn.Linear(w, w) for _ in range(n)]


def stack(kind, n):
    return [kind(4) for _ in range(n)]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.ModuleList(stack(Block, 3))
        self.b = nn.ModuleList(stack(Deep, 2))
        chosen = [Block(4)]  # search: 1..3 of {Block(4), nn.Conv2d(4, 4, {1, 3}), nn.ReLU()} with repeats
        self.c = nn.ModuleList(chosen)
        for name in ["x", "y"]:
            self.add_module(name, Block(4))
'''


@pytest.mark.parametrize("seed", range(10))
def test_different_blocks_get_classes_of_their_own(written, seed):
    program = written(BLOCKS)
    assert_equal(program, drawn(program, seed))


def test_equal_blocks_share_one_class(written):
    program = written(BLOCKS)
    values = {address: _simple(address, value) for address, value in drawn(program, 1).items()}
    values = {address: value for address, value in values.items() if not address.startswith("chosen:")}
    values |= {"chosen": ("ReLU",)}
    text = assert_equal(program, values)
    assert "class Block(nn.Module)" in text
    assert "Block_2" not in text
    assert "Deep_2" not in text


def _simple(address, value):
    return {"k": 3, "act": "ReLU", "w": 2}.get(address.rpartition(".")[2], value)


PLAIN = """\
import symnas
from symnas import manyof, oneof


def tree(depth):
    width = 1  # search: {1, 2, 3}
    if depth == 0:
        return [width]
    return [width, tree(depth - 1), tree(depth - 1)]


def make(x):
    def inner(c):
        r = 1  # search: 1..9
        return r * c

    found = [inner(1), inner(2), tree(2)]
    n = 0
    while n < 4:
        n += 1  # search: {1, 2} as step
        found.append(n)
    for i in range(1, 3):  # search: 1..4
        found += [i, -oneof([1, 2])]
    for s in ["a", "b"]:  # search: 1..2 of {"a", "b", "c"}
        found += [s]
    order = ["x", "y"]  # search: order of {"x", "y"}
    found += order + list(manyof(2, ["p", "q", "r"]))
    for i in range(2):
        for n, m in zip([1, 2], [3, 4]):
            v = 1 + oneof([n + m, m - n, 7]) * 2
            found.append(v)
    found.append((lambda q: oneof([q, q + 1]))(4))
    y = x  # search: {x, x + 1, -x}
    return found, y**2


def unused():
    for z in range(3):  # search: 1..4
        pass
    return oneof([1, 2])


if __name__ == "__main__":
    symnas.search(make)
"""


@pytest.mark.parametrize("seed", range(12))
def test_loops_closures_recursion_subsets_and_expressions(written, seed):
    program = symnas.program(written(PLAIN, "make").target, 3)
    text = assert_equal(program, drawn(program, seed), name="make")
    assert "__main__" not in text
    assert "return 1\n" in text  # what no run reaches keeps its default


FORWARD = """\
import torch
from torch import nn
from symnas import oneof

WIDTH = 4  # search: {4, 8}


class Block(nn.Module):
    scale = 1.0  # search: {1.0, 2.0}

    def __init__(self, drop=0.1):  # search: 0.0..0.5
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        y = self.drop(self.linear(x)) * self.scale
        if True:  # search: {True, False} as skip
            y = y + x
        return y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(3)])

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return oneof([torch.relu, torch.tanh])(x)
"""


@pytest.mark.parametrize("seed", range(6))
def test_choices_in_forward_in_classes_and_in_constants(written, seed):
    x = torch.randn(2, 4)
    program = written(FORWARD, inputs=x)
    assert_equal(program, drawn(program, seed), x)


def test_a_forward_pass_against_one_written_by_hand(written):
    x = torch.randn(2, 4)
    program = written(FORWARD, inputs=x)
    values = {"WIDTH": 4, "Block.scale": 2.0, "Block.drop": 0.0}
    values |= {"blocks[0].skip": True, "blocks[1].skip": False, "blocks[2].skip": True}
    met = drawn(program, 0)
    tail = next(address for address, value in met.items() if value in ("relu", "tanh"))
    child = build(program, values | {tail: "tanh"})
    y = child.first(x)
    for block, skip in zip(child.blocks, (True, False, True), strict=True):
        y = 2 * block.linear(y) + (y if skip else 0)
    torch.testing.assert_close(child(x), torch.tanh(y))
    assert type(child).__name__ == "Net"
    assert type(child.blocks[0]) is type(child.blocks[2])
    assert type(child.blocks[0]) is not type(child.blocks[1])


def test_a_class_made_inside_a_function_brings_what_it_needs():
    size = 5

    class Local(nn.Module):
        def __init__(self):
            super().__init__()
            width = 3  # search: {3, 4}
            self.linear = nn.Linear(size, width)

    program = symnas.program(Local)
    text = source(program, {"width": 4})
    lines = [line for line in text.splitlines() if line]
    assert lines[1:4] == ["from __future__ import annotations", "from torch import nn", "size = 5"]
    assert "pytest" not in text
    assert executed(text, "Local")().linear.weight.shape == (4, 5)


def test_imports_and_scripts_go_and_other_uses_are_refused():
    text = "import os\nimport symnas as s\nfrom symnas import oneof, program\n\nx = 1\np = s.program(x)\n"
    assert without_symnas(text) == "import os\n\nx = 1\n"
    with pytest.raises(ProgramError, match="`f` uses 's' for more than a choice"):
        without_symnas("import symnas as s\n\ndef f():\n    return s.search\n")


def test_a_lambda_with_two_texts_is_refused(written):
    text = "from symnas import oneof\n\ndef make():\n    f = lambda: oneof([1, 2])\n    return [f(), f()]\n"
    program = written(text, "make")
    values = {address: number for number, address in enumerate(sorted(drawn(program, 0)), start=1)}
    with pytest.raises(ProgramError, match="the lambda in line 4 is given different choices"):
        source(program, values)


def test_the_text_is_python_that_a_formatter_would_parse(written):
    program = written(BLOCKS)
    for seed in range(5):
        ast.parse(source(program, drawn(program, seed)))
    assert importlib.util.find_spec("symnas") is not None


FACTORIES = """
from torch import nn

def scale(n):
    def inner(x):
        k = 3                    # search: {1, 3, 5}
        return n * k * x
    return inner

def called_elsewhere():
    a, b = scale(1), scale(2)
    return [a(1), b(10), *[f(100) for f in (a, b)]]

def apply(f, x):
    return f(x)

def handed_down():
    def h(x):
        w = 1                    # search: {1, 2}
        return x * w
    return [apply(h, 1), apply(h, 10)]

def layer(n):
    class Layer(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.fc = nn.Linear(c, n, bias=True)     # search: bias in {True, False}
    return Layer

def classes():
    Made = layer(3)
    return [Made(1).fc.bias is None, Made(2).fc.bias is None]
"""


@pytest.mark.parametrize("name", ["called_elsewhere", "handed_down", "classes"])
def test_closures_called_elsewhere_keep_their_choices(written, name):
    program = written(FACTORIES, name)
    for decision in program.space.enumerate():
        assert executed(program.source(decision), name)() == program.build(decision)


def test_lambdas_of_a_class_body(written):
    program = written("""
from dataclasses import dataclass, field

@dataclass
class Net:
    width: int = 8               # search: {8, 16}
    sizes: list = field(default_factory=lambda: [1, 2])
""")
    assert executed(program.source({"width": 16}))().sizes == [1, 2]


def test_variants_do_not_take_the_place_of_what_is_registered(written):
    program = written(
        """
KINDS = {}

def register(name):
    def enter(kind):
        KINDS[name] = kind
        return kind
    return enter

@register("a")
class A:
    def __init__(self):
        self.k = 1               # search: {1, 2}

def build():
    return [KINDS["a"]().k for _ in range(3)]
""",
        "build",
    )
    for decision in program.space.enumerate():
        assert executed(program.source(decision), "build")() == program.build(decision)


BOUND = """
from functools import partial
from itertools import starmap

from torch import nn

class Block(nn.Module):
    def __init__(self, n, bias):
        super().__init__()
        k = 3                    # search: {1, 3, 5}
        self.conv = nn.Conv2d(n, n, k, bias=bias)

def classes():
    block = partial(Block, bias=False)
    return nn.Sequential(block(1), block(2), *[block(n) for n in (3, 4)])

def pick(scale, n):
    k = 3                        # search: {1, 3, 5}
    return scale * k * n

def functions():
    ten = partial(partial(pick, 10))
    a = ten(1)
    b = ten(n=2)
    return [a, b, ten(3)]

class Holder:
    def choose(self, scale, n):
        k = 3                    # search: {1, 3, 5}
        return scale * k * n

    def all(self):
        ten = partial(self.choose, 10)
        a = ten(1)
        b = ten(2)
        return [a, b]

def methods():
    return Holder().all()

def local(n):
    class Layer:
        def __init__(self, a, b):
            k = 3                # search: {1, 3, 5}
            self.value = a, b, k, n
    return partial(Layer, 1)

def hidden():
    make = local(5)
    a = make(2)
    b = make(3)
    return [a.value, b.value]
"""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["classes", "functions", "methods", "hidden"])
def test_what_a_partial_binds_stays_bound_to_every_text(written, name, seed):
    assert_equal(written(BOUND, name), drawn(written(BOUND, name), seed), name=name)


def test_calls_that_no_text_shows_are_refused_if_they_choose_differently(written):
    text = BOUND + "\ndef mapped():\n    return nn.Sequential(Block(1, True), *starmap(Block, [(2, True)]))\n"
    program = written(text, "mapped")
    values = drawn(program, 0)
    first, second = values
    assert_equal(program, {first: 1, second: 1}, name="mapped")
    with pytest.raises(ProgramError, match="`Block` is given different choices at different places"):
        source(program, {first: 1, second: 3})
    text = (
        BOUND
        + "\ndef at_once():\n    a = partial(pick, 1)(2)\n    b = partial(pick, 1)(3)\n    return a, b\n"
    )
    program = written(text, "at_once")
    first, second = drawn(program, 0)
    with pytest.raises(ProgramError, match=r"`partial\(pick, 1\)` binds arguments of something"):
        source(program, {first: 1, second: 3})
