"""Children equal what a person writes by hand: same class, same keys, same outputs with the same seed."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import itertools
import linecache
import pickle
import threading
import traceback
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from symnas.errors import BuildError, ProgramError
from symnas.export.child import build
from symnas.frontend import execution
from symnas.frontend.run import RUN, Run
from symnas.programs.program import Program

torch.set_num_threads(1)


def run(target: Any, values: Mapping[str, Any] | None = None, *args: Any, **kwargs: Any) -> tuple[Any, Run]:
    made = Run(values or {})
    return execution.execute(Program(target, args, kwargs), made), made


def met(target: Any, values: Mapping[str, Any] | None = None, *args: Any) -> dict[str, Any]:
    return {visit.address: visit.value for visit in run(target, values, *args)[1].trace}


def alike(child: nn.Module, hand: Callable[[], nn.Module], x: torch.Tensor, seed: int = 3) -> None:
    torch.manual_seed(seed)
    other = hand()
    assert list(child.state_dict()) == list(other.state_dict())
    assert str(child) == str(other).replace(type(other).__name__, type(child).__name__, 1)
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(child.state_dict()[name], tensor, rtol=0, atol=0)
    torch.testing.assert_close(child.eval()(x), other.eval()(x), rtol=0, atol=0)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        k = 3  # search: {1, 3, 5}
        self.conv = nn.Conv2d(width, width, k, padding=k // 2)
        self.act = nn.ReLU()  # search: {nn.ReLU(), nn.GELU(), nn.PReLU(width)}

    def forward(self, x):
        return self.act(self.conv(x))


class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        width = 8  # search: {4, 8, 16}
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.first = Block(width)
        self.blocks = nn.ModuleList([Block(width) for i in range(2)])
        depth = 1  # search: 0..2
        tail = []
        for j in range(depth):  # noqa: B007
            tail.append(Block(width))
        self.tail = nn.Sequential(*tail)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.first(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.tail(x).mean((2, 3)))


def test_addresses_of_nested_classes_loops_and_comprehensions():
    found = met(Net, {"depth": 2, "tail": 0, "width": 16})
    assert list(found) == [
        "width", "first.k", "first.act",
        "i[0].blocks.k", "i[0].blocks.act", "i[1].blocks.k", "i[1].blocks.act",
        "depth", "j[0].tail.k", "j[0].tail.act", "j[1].tail.k", "j[1].tail.act",
    ]  # fmt: skip
    assert found["width"] == 16
    assert found["depth"] == 2


def test_a_child_is_the_hand_written_model():
    class HandBlock(nn.Module):
        def __init__(self, width, k, act):
            super().__init__()
            self.conv = nn.Conv2d(width, width, k, padding=k // 2)
            self.act = act()

        def forward(self, x):
            return self.act(self.conv(x))

    class Hand(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 4, 3, padding=1)
            self.first = HandBlock(4, 5, nn.ReLU)
            self.blocks = nn.ModuleList([HandBlock(4, 3, nn.ReLU), HandBlock(4, 3, lambda: nn.PReLU(4))])
            self.tail = nn.Sequential()
            self.head = nn.Linear(4, 10)

        forward = Net.forward

    torch.manual_seed(3)
    child, _ = run(Net, {"width": 4, "first.k": 5, "i[1].blocks.act": "PReLU", "depth": 0})
    assert type(child) is Net
    assert type(child.first) is Block
    torch.manual_seed(3)
    hand = Hand()
    assert list(child.state_dict()) == list(hand.state_dict())
    x = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(child(x), hand(x), rtol=0, atol=0)


def test_nothing_of_a_run_stays():
    codes = [Net.__init__.__code__, Block.__init__.__code__, Net.forward.__code__]
    child, _ = run(Net)
    assert [Net.__init__.__code__, Block.__init__.__code__, Net.forward.__code__] == codes
    assert RUN.get() is None
    assert b"symnas.frontend.run" not in pickle.dumps(child)
    pickle.loads(pickle.dumps(child))
    copy.deepcopy(child)
    assert inspect.getsource(Net) == inspect.getsource(type(child))
    torch.manual_seed(0)
    before = Net()
    torch.manual_seed(0)
    child, _ = run(Net)
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(child.state_dict()[name], tensor, rtol=0, atol=0)


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        size = 4  # search: {4, -4}
        self.layer = nn.Linear(2, 2)  # search: {nn.Linear(2, 2), nn.Linear(2, undefined_name)}
        self.other = torch.empty(size)


def test_errors_name_the_place_and_everything_is_restored():
    code = Fails.__init__.__code__
    program = Program(Fails)
    layer = next(site for site in program.internals.source_set.sites if site.path == "layer")
    first, second = layer.prototype.candidates
    with pytest.raises(
        BuildError, match=r"'layer' was `nn.Linear\(2, undefined_name\)`.*NameError"
    ) as caught:
        build(program, {"layer": second, "size": 4})
    cause = caught.value.__cause__
    assert isinstance(cause, NameError)
    shown = "".join(traceback.format_exception(cause))
    assert "self.layer = nn.Linear(2, 2)" in shown
    assert "/operations.py" not in shown
    assert Fails.__init__.__code__ is code
    assert RUN.get() is None
    with pytest.raises(BuildError, match=r"test_build.py:\d+.*RuntimeError"):
        build(program, {"size": -4, "layer": first})


def test_another_thread_sees_plain_code():
    started, go = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        started.wait(5)
        seen.append(Waits(None).k)
        go.set()

    class Waits:
        def __init__(self, inside):
            self.k = 3  # search: {3, 5}
            if inside is not None:
                inside()

    def inside() -> None:
        started.set()
        assert go.wait(5)

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    child, _ = run(Waits, {"k": 5}, inside)
    thread.join()
    assert child.k == 5
    assert seen == [3]


def test_runs_nest():
    class Inner:
        def __init__(self):
            self.k = 3  # search: {3, 5}

    class Outer:
        def __init__(self):
            self.a = 1  # search: {1, 2}
            self.inner = build(Program(Inner), {"k": 5})
            self.b = 1  # search: {1, 2}

    child, made = run(Outer, {"a": 2, "b": 2})
    assert (child.a, child.inner.k, child.b) == (2, 5, 2)
    assert [visit.address for visit in made.trace] == ["a", "b"]


def helper(width):
    k = 3  # search: {1, 3}
    return [width, k]


def test_a_helper_called_several_times_is_a_scope_each_time():
    def target():
        a = helper(1)
        b = helper(2) + helper(3)
        return a, b, [helper(i) for i in range(2)]

    found = met(target)
    assert list(found) == ["a.k", "b.k", "b_2.k", "i[0].return.k", "i[1].return.k"]


def test_recursion():
    def tree(depth):
        more = True  # search: {True, False}
        if depth == 0 or not more:
            return "leaf"
        left = tree(depth - 1)
        return (left, tree(depth - 1))

    child, made = run(tree, {"left.more": False}, 2)
    assert child == ("leaf", ("leaf", "leaf"))
    assert [a.address for a in made.trace] == ["more", "left.more", "return[1].more".replace("[1]", ""),
                                              "return.left.more", "return.return.more"]  # fmt: skip


def test_while_counts_turns_and_must_end():
    def grow(limit):
        size = 1
        while size < limit:
            size *= 2  # search: {2, 3}
        return size

    child, made = run(grow, {"while[1].size": 3}, 10)
    assert child == 12
    assert [a.address for a in made.trace] == ["while[0].size", "while[1].size", "while[2].size"]

    def endless():
        step = 2  # search: {1, 2}
        n = 0
        while n != 7:
            n += step
        return n

    assert run(endless, {"step": 1})[0] == 7
    with pytest.raises(ProgramError, match=r"test_build.py:\d+: a loop that depends on choices must end"):
        run(endless)


def test_endless_recursion_names_the_line():
    def down(n):
        step = 1  # search: {1, 2}
        return n if n == 0 else down(n - step) + step

    with pytest.raises(
        ProgramError, match=r"test_build.py:\d+: a recursion that depends on choices must end"
    ):
        build(Program(down, (3,)), {f"{'return.' * i}step": 2 for i in range(999)}, strict=False)


def test_chosen_numbers_of_turns():
    def loops():
        found = []
        for i in range(3):  # search: 1..6
            found.append(i)
        for j in range(10, 16, 2):  # search: 1..6
            found.append(j)
        squares = [k * k for k in range(2)]  # search: 1..4
        return found, squares

    assert run(loops)[0] == ([0, 1, 2, 10, 12, 14], [0, 1])
    assert run(loops, {"i": 1, "j": 4, "k": 3})[0] == ([0, 10, 12, 14, 16], [0, 1, 4])


def test_the_value_that_code_computes_is_the_default():
    def computed(base):
        width = base * 4  # search: {16, 32}
        for i in range(base):  # search: 1..9
            last = i + 1
        return width, last

    assert run(computed, {}, 4)[0] == (16, 4)
    assert run(computed, {"width": 32, "i": 2}, 4)[0] == (32, 2)
    with pytest.raises(ProgramError, match=r"it computed 12, and the choice is \{16, 32\}"):
        run(computed, {}, 3)
    assert run(computed, {"width": 16}, 3)[0] == (16, 3)


def test_subsets_orders_and_nested_choices():
    def many():
        sources = [0, 1]  # search: 1..2 of {0, 1, 2}
        out = []
        for source in sources:
            op = "conv"  # search: {"conv", "pool"}
            out.append((source, op))
        order = ["a", "b", "c"]  # search: order of {"a", "b", "c"}
        layer = nn.Identity()  # search: {nn.Identity(), nn.Conv2d(1, 1, {1, 3, 5})}
        return out, order, layer

    chosen = {"sources": (0, 2), "source[2].op": "pool", "order": ("c", "a", "b")}
    child, made = run(many, {**chosen, "layer": "Conv2d", "layer:Conv2d.kernel_size": 5})
    assert child[0] == [(0, "conv"), (2, "pool")]
    assert child[1] == ["c", "a", "b"]
    assert child[2].kernel_size == (5, 5)
    assert [a.address for a in made.trace] == ["sources", "source[0].op", "source[2].op", "order", "layer",
                                              "layer:Conv2d.kernel_size"]  # fmt: skip


class Base(nn.Module):
    def __init__(self, width=8, rate=0.1):  # search: width in {8, 16}
        super().__init__()
        self.__hidden = width
        self.drop = nn.Dropout(rate)
        self.act = nn.ReLU()  # search: {nn.ReLU(), nn.GELU()}

    @property
    def hidden(self):
        return self.__hidden

    @staticmethod
    def scale():
        return 2  # search: {2, 3} as scale

    @classmethod
    def make(cls, *args):
        return cls(*args)


class Derived(Base):
    def __init__(self, *args):
        super().__init__(*args)
        self.act2 = nn.Tanh()  # search: {nn.Tanh(), nn.ReLU()}
        self.scaled = self.scale()
        self.other = Base.make(16)


def test_inheritance_defaults_private_names_and_method_kinds():
    child, made = run(Derived)
    assert [a.address for a in made.trace] == [
        "Base.width",
        "super.act",
        "act2",
        "scaled.scale",
        "other.return.act",
    ]
    assert (child.hidden, child.scaled) == (8, 2)
    child, _ = run(Derived, {"Base.width": 16, "scaled.scale": 3, "super.act": "GELU"})
    assert (child.hidden, child.scaled, child.other.hidden) == (16, 3, 16)
    assert Base().hidden == 8
    child, made = run(Derived, {"Base.width": 16}, 8)
    assert child.hidden == 8
    assert "Base.width" not in {a.address for a in made.trace}


def test_closures_generators_lambdas_and_wrappers():
    width = 4

    def target():
        def make(c):
            k = 3  # search: {1, 3}
            return c * width + k

        def items(n):
            for i in range(n):
                yield make(i)

        first = list(items(2))
        pick, *_ = [(lambda c: c)]  # search: {(lambda c: c), (lambda c: -c)}
        double = functools.partial(make, 2)
        third = double()
        return first, pick(1), third

    child, made = run(target, {"first.i[1].yield.k": 1})
    assert child == ([3, 5], 1, 11)
    assert [a.address for a in made.trace] == ["first.i[0].yield.k", "first.i[1].yield.k", "pick", "third.k"]


@dataclasses.dataclass
class Config:
    width: int = 8
    depth: int = 2


def configured(config):
    width = config.width  # search: {8, 16}
    match config.depth:
        case 2:
            act = "relu"  # search: {"relu", "gelu"}
        case _:
            act = "none"
    table = {"relu": 1, "gelu": 2, "none": 0}
    return width, table[act]


def test_dataclass_match_and_tables():
    assert run(configured, {"width": 16, "act": "gelu"}, Config())[0] == (16, 2)
    assert list(met(configured, {}, Config(depth=1))) == ["width"]


def test_an_address_reached_twice_is_an_error():
    def twice():
        return list(map(helper, range(2)))

    with pytest.raises(ProgramError, match="as NAME"):
        run(twice)

    def once():
        for i in range(3):  # noqa: B007
            k = 3  # search: {1, 3} shared
        return k

    assert met(once) == {"i.k": 3}


def test_ties():
    def tied():
        a = 3  # search: {1, 3}
        for _i in range(2):
            b = 4  # search: {4, 8}
            c = 4  # search: same as b
        d = 3  # search: same as a
        return a, b, c, d

    assert run(tied, {"a": 1, "_i[1].b": 8})[0] == (1, 8, 8, 1)


def test_sources_in_linecache_as_notebook_cells():
    cells = {
        "<cell 1>": "from torch import nn\nfrom symnas import oneof\n",
        "<cell 2>": "class Cell(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.k = oneof([3, 5])\n        self.m = part()\n",
        "<cell 3>": "def part():\n    j = 1  # search: {1, 2}\n    return j\n",
    }
    module = ModuleType("__main__")
    for name, text in cells.items():
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), vars(module))
    import sys

    saved = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        program = Program(vars(module)["Cell"])
        child = build(program, {"k": 5, "m.j": 2})
        assert (child.k, child.m) == (5, 2)
        reference = pickle.loads(pickle.dumps(program.reference))
    finally:
        sys.modules["__main__"] = saved
    again = Program(reference.resolve())
    assert build(again, {"k": 5, "m.j": 2}).m == 2


def test_source_not_available():
    namespace: dict[str, Any] = {"__name__": __name__}
    exec("class Lost_:\n    def __init__(self):\n        self.k = 3  # search: {1, 3}\n", namespace)
    with pytest.raises(ProgramError, match="is not available"):
        _ = Program(namespace["Lost_"]).internals.source_set
    assert next(itertools.count()) == 0
