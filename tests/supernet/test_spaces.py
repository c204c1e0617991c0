"""The laws of shared weights on the project's own spaces and the models of its examples."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_spaces import EXAMPLES, SPACES, feed_of, small
from supernets import law, outputs

import symnas.spaces
from symnas import Program
from symnas.supernet.supernet import Supernet

JOINING = ("nasnet", "enas_micro")
"""Spaces whose cells join what no node reads: almost every child asks for another layout of the weights."""
QUICK = ("mnist1d", "nas_bench_graph", "graph_network", "nested", "calls")
"""Spaces that take a second; of the others, and of these with more decisions, the slow tests take care."""


@cache
def shared(name: str) -> Supernet:
    known = small(name)
    made = Program(known.target, known.internals.args, known.internals.kwargs, inputs=known.inputs)
    made.space = known.space
    if name in JOINING:
        # Only the last node of a cell may read something else than the published one does.
        sources = [address for address in known.space.addresses if address.endswith("source")]
        fixed = [address for address in sources if "[4]" not in address]
        assert len(fixed) == 16
        made.space = known.space.restrict({address: [known.space[address].default] for address in fixed})
    found: Supernet = made.supernet(dtype=torch.float64)
    return found


def doubles(name: str) -> tuple[torch.Tensor, ...]:
    return tuple(x.double() if x.is_floating_point() else x for x in feed_of(name))


def obeys(name: str, count: int, seed: int = 0) -> None:
    net, feed = shared(name), doubles(name)
    for turn, decision in enumerate(net.program.space.sample(count, np.random.default_rng(seed))):
        law(net, decision, feed, training=bool(turn % 2))


def test_all_spaces_and_examples_are_here() -> None:
    spaces = Path(symnas.spaces.__path__[0])
    files = [*spaces.glob("[!_]*.py"), *EXAMPLES.glob("*/*.py")]
    modules = {path for path in files if "(nn.Module)" in path.read_text("utf-8")}
    named = [target.partition(":")[0] for target, _, _ in SPACES.values()]
    assert modules <= {Path(name) if "/" in name else spaces / f"{name}.py" for name in named}


@pytest.mark.parametrize("name", QUICK)
def test_shared_spaces_compute_what_their_children_compute(name: str) -> None:
    obeys(name, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_fifty_decisions_compute_what_their_children_compute(name: str) -> None:
    obeys(name, 4 if name in JOINING else 50)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_an_extracted_child_is_plain_and_loads(name: str) -> None:
    net, feed = shared(name), doubles(name)
    (decision,) = net.program.space.sample(1, np.random.default_rng(5))
    child = net.extract(decision).eval()
    fresh: Any = net.program.build(decision).double().eval()
    assert type(child) is type(fresh)
    assert {type(module).__module__.partition(".")[0] for module in child.modules()} <= {
        type(module).__module__.partition(".")[0] for module in fresh.modules()
    }
    fresh.load_state_dict(child.state_dict())
    ours = {id(tensor.untyped_storage()) for tensor in net.parameters()}
    assert not ours.intersection(id(tensor.untyped_storage()) for tensor in child.parameters())
    net.eval()
    results = [outputs(call()) for call in (lambda: child(*feed), lambda: fresh(*feed))]
    results.append(outputs(net(*feed, decision=decision)))
    for alone, loaded, within in zip(*results, strict=True):
        torch.testing.assert_close(loaded, alone, rtol=0, atol=0)
        torch.testing.assert_close(within, alone, rtol=1e-6, atol=1e-6)
