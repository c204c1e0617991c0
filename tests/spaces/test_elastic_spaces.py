"""Mobile networks, slimmable ResNets, transformers and graph networks against what was published of them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from supernets import difference, law

import symnas
import symnas.spaces
from symnas import Program
from symnas.cli.app import main
from symnas.cost.profiling import profile
from symnas.supernet.supernet import Supernet

FOLDER = Path(symnas.spaces.__path__[0])

IMAGENET = (1, 3, 224, 224)
CIFAR = (1, 3, 32, 32)


@cache
def program(target: str, **arguments: Any) -> Program:
    return symnas.program(f"symnas.spaces.{target}", **arguments)


def costs(build: Callable[[], Any], *inputs: torch.Tensor) -> tuple[int, int]:
    """Return parameters and multiply-adds, counted without computing."""
    found = profile(build, inputs)
    assert found.macs is not None
    return found.params, found.macs


def plain(target: str, **arguments: Any) -> Any:
    """Call what a space is made of as if there were no SymNAS."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(f"symnas.spaces.{module}"), name)(**arguments)


# -- published networks ---------------------------------------------------------------------------

PARAMETERS_AND_MACS = [
    # torchvision counts 5,483,032 and 0.22 G; the paper 5.4 M and 219 M.
    ("once_for_all:OnceForAll", {}, IMAGENET, 5_483_032, 216.6),
    # The paper: 320, 465 and 439 M; parameters as other implementations count them.
    ("proxyless:ProxylessNAS", {"network": "mobile"}, IMAGENET, 4_080_512, 320.4),
    ("proxyless:ProxylessNAS", {"network": "gpu"}, IMAGENET, 7_119_848, 465.3),
    ("proxyless:ProxylessNAS", {"network": "cpu"}, IMAGENET, 4_361_648, 439.2),
    # The paper: 4.3 M and 249 M. Of B and C the authors' code has other blocks than the paper's figures.
    ("fbnet:FBNet", {"network": "a"}, IMAGENET, 4_321_464, 249.9),
    ("fbnet:FBNet", {"network": "c"}, IMAGENET, 5_572_200, 385.0),
    # The papers: 0.27, 0.46 and 0.85 M; 41, 69 and 126 M.
    ("slimmable_resnet:resnet20", {}, CIFAR, 272_282, 40.8),
    ("slimmable_resnet:resnet32", {}, CIFAR, 466_714, 69.1),
    ("slimmable_resnet:resnet56", {}, CIFAR, 855_578, 125.7),
    # The paper: 5.7 and 22 M; 1.3 and 4.6 G; parameters as in timm.
    ("vision_transformer:tiny", {}, IMAGENET, 5_717_416, 1253.7),
    ("vision_transformer:small", {}, IMAGENET, 22_050_664, 4598.9),
    # The paper: 41 M and 1.8 G.
    ("vit_resnas:ViTResNAS", {}, IMAGENET, 40_793_552, 1782.6),
]


@pytest.mark.parametrize(
    ("target", "arguments", "shape", "params", "millions"),
    PARAMETERS_AND_MACS,
    ids=["-".join([case[0], *case[1].values()]) for case in PARAMETERS_AND_MACS],
)
def test_the_default_costs_what_was_published(
    target: str, arguments: dict[str, Any], shape: tuple[int, ...], params: int, millions: float
) -> None:
    found = costs(lambda: plain(target, **arguments), torch.zeros(shape))
    assert found == (params, pytest.approx(millions * 1e6, abs=0.05e6))


def test_gpt_2_and_a_graph_attention_network_have_their_parameters() -> None:
    tokens = torch.zeros(1, 8, dtype=torch.long)
    assert costs(lambda: plain("language_model:LanguageModel"), tokens)[0] == 124_439_808
    # As PyTorch Geometric builds the network of Veličković et al. for Cora.
    graph = torch.zeros(4, 1433), torch.zeros(2, 6, dtype=torch.long)
    assert costs(lambda: plain("graph_network:GraphNetwork"), *graph)[0] == 92_373


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mobile", "gpu", "cpu"])
def test_the_default_decision_is_the_network_that_the_code_computes(network: str) -> None:
    made = symnas.program("symnas.spaces.proxyless:ProxylessNAS", network=network)
    assert made.space.size == 6**6 * 7**15
    child = made.build()
    other = plain("proxyless:ProxylessNAS", network=network)
    assert [p.shape for p in child.parameters()] == [p.shape for p in other.parameters()]


# The networks that TAS found for CIFAR-10: channels of the stem and of every convolution, and the
# multiply-adds that its authors give with them.
TAS = {
    20: ("16 6 4 4 4 4 4 32 32 12 19 32 28 64 64 64 64 64 44", 22_444_472),
    32: (
        "16 6 4 12 4 4 16 9 9 6 14 32 32 9 19 28 9 32 19 32 9 64 64 64 64 64 64 64 32 38 32",
        34_945_344,
    ),
}


@pytest.mark.parametrize("layers", [20, pytest.param(32, marks=pytest.mark.slow)])
def test_networks_that_tas_found_cost_what_its_authors_say(layers: int) -> None:
    made = program(f"slimmable_resnet:resnet{layers}")
    text, macs = TAS[layers]
    stem, *channels = map(int, text.split())
    shares = [n / 10 for n in range(3, 11)]
    values: dict[str, Any] = {"net.share": next(s for s in shares if int(s * 16) == stem)}
    blocks = (layers - 2) // 6
    for place, (inner, outer) in enumerate(zip(channels[::2], channels[1::2], strict=True)):
        stage, block = divmod(place, blocks)
        at, full = f"net.stage[{stage}].block[{block}]", 16 * 2**stage
        values[f"stage[{stage}].depth"] = blocks
        values[f"{at}.inner"] = next(s for s in shares if int(s * full) == inner)
        values[f"{at}.outer"] = next(s for s in shares if int(s * full) == outer)
    assert costs(lambda: made.build(values), torch.zeros(CIFAR))[1] == macs


@pytest.mark.slow
def test_the_small_network_that_autoformer_found_costs_what_was_published() -> None:
    made = program("vision_transformer:small", relative=True)
    values: dict[str, Any] = {"embed": 384, "layer": 13}
    ratios = [3.0, 3.5, 3.0, 3.5, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.5, 4.0]
    for layer, (heads, ratio) in enumerate(zip([6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7], ratios, strict=True)):
        values |= {f"layer[{layer}].heads": heads, f"layer[{layer}].ratio": ratio}
    # The paper: 22.9 M and 5.1 G.
    found = costs(lambda: made.build(values), torch.zeros(IMAGENET))
    assert found == (22_891_432, pytest.approx(5.16e9, abs=0.005e9))


# What GraphNAS found for citation graphs (without the shortcuts that it adds): features, classes, the layer.
FOUND = {
    "cora": (1433, 7, ("const", "sum", "relu6", 2, 128), ("gat", "sum", "linear", 2)),
    "citeseer": (3703, 6, ("gat", "sum", "linear", 4, 128), ("linear", "sum", "elu", 8)),
    "pubmed": (500, 3, ("gcn", "sum", "tanh", 6, 64), ("cos", "sum", "tanh", 6)),
}


@pytest.mark.parametrize("graph", FOUND)
def test_networks_that_were_found_for_graphs_are_decisions(graph: str) -> None:
    features, classes, first, second = FOUND[graph]
    made = symnas.program("symnas.spaces.graph_network:GraphNetwork", features=features, classes=classes)
    made.space = SMALL["graph_network"].program.space
    values: dict[str, Any] = {}
    for layer, chosen in enumerate((first, second)):
        for name, value in zip(("attention", "aggregate", "act", "heads", "width"), chosen, strict=False):
            values[f"layer[{layer}].{name}"] = value
    network = made.build(made.space.decision(values)).eval()
    heads, width, last = int(str(first[3])), int(str(first[4])), int(str(second[3]))
    attentions = {"const": 0, "gcn": 0, "linear": 1, "gat": 2, "cos": 2}
    expected = features * heads * width + heads * width + attentions[str(first[0])] * heads * width
    expected += heads * width * last * classes + classes + attentions[str(second[0])] * last * classes
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network(torch.rand(5, features), torch.tensor([[0, 1, 2], [1, 2, 0]])).shape == (5, classes)


# -- spaces ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Small:
    """A program of small children, and what they are called with."""

    target: str
    arguments: Mapping[str, Any]
    shape: tuple[int, ...] = ()

    @property
    def feed(self) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(0)
        if self.target.startswith("language"):
            return (torch.randint(0, 11, (2, 5), generator=generator),)
        if self.target.startswith("graph"):
            ring = torch.arange(9)
            return torch.rand(9, 6, generator=generator), torch.stack([ring, (2 * ring + 1) % 9])
        return (torch.rand(self.shape, generator=generator),)

    @property
    def program(self) -> Program:
        return program(self.target, **self.arguments)


SMALL = {
    "once_for_all": Small("once_for_all:OnceForAll", {"classes": 4, "scale": 0.25}, (2, 3, 32, 32)),
    "proxyless": Small("proxyless:ProxylessNAS", {"classes": 4, "scale": 0.25, "layers": 2}, (2, 3, 64, 64)),
    "fbnet": Small("fbnet:FBNet", {"classes": 4, "scale": 0.25, "layers": 2}, (2, 3, 64, 64)),
    "resnet": Small("slimmable_resnet:resnet20", {"classes": 4}, (2, 3, 16, 16)),
    "vision_transformer": Small("vision_transformer:tiny", {"classes": 4, "image": 32}, (2, 3, 32, 32)),
    "vit_resnas": Small("vit_resnas:ViTResNAS", {"classes": 4, "image": 56, "unit": 2}, (2, 3, 56, 56)),
    "language_model": Small("language_model:LanguageModel", {"vocabulary": 11, "context": 6, "width": 2}),
    "graph_network": Small("graph_network:GraphNetwork", {"features": 6, "classes": 3}),
}


def powers(base: int, low: int, high: int, step: int = 1) -> int:
    """Return in how many ways `low` to `high` things can each be one of `base`."""
    return sum(base**count for count in range(low, high + 1, step))


SIZES = {
    # 25 resolutions; in each of 5 stages 2 to 4 blocks of 3 kernels by 5 expansions.
    "once_for_all": 25 * powers(15, 2, 4) ** 5,
    # 6 layers that cannot be skipped and 5 that can; 15 in the whole network.
    "proxyless": 6**6 * 7**5,
    # 22 layers in the whole network.
    "fbnet": 9**12,
    # 8 widths of the stem and of two convolutions per block; in each of 3 stages 1 to 3 blocks.
    "resnet": 8 * powers(64, 1, 3) ** 3,
    "vision_transformer": 3 * powers(2 * 3, 12, 14),
    # Of the 6 blocks of a stage 3 may be left out; each that is not has 4 by 7 sizes.
    "vit_resnas": (5 * 28**3 * (1 + 28) ** 3) ** 3,
    "language_model": 4 * powers(5 * 3, 6, 12),
    # The width of the last layer is the number of classes.
    "graph_network": (7 * 4 * 8 * 6) ** 2 * 7,
}
LARGE = {
    "fbnet:FBNet": 9**22,
    "slimmable_resnet:resnet32": 8 * powers(64, 1, 5, 2) ** 3,
    "slimmable_resnet:resnet56": 8 * powers(64, 1, 9, 2) ** 3,
    "vision_transformer:small": 3 * powers(3 * 3, 12, 14),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_space_has_as_many_decisions_as_are_counted_by_hand(name: str) -> None:
    assert SMALL[name].program.space.size == SIZES[name]


@pytest.mark.slow
@pytest.mark.parametrize("target", LARGE)
def test_so_have_the_larger_ones(target: str) -> None:
    assert program(target).space.size == LARGE[target]


def test_without_the_expansions_of_mobilenet_the_space_is_that_of_once_for_all() -> None:
    space = SMALL["once_for_all"].program.space
    allowed = {address: [3, 4, 6] for address in space.select("**.expand")} | {"resolution": [224]}
    assert space.restrict(allowed).size == 7371**5  # "about 2 x 10^19"


# What in an address tells the place of a block, and the address that tells how many there are.
DEPTHS = {
    "once_for_all": (r"(stage\[\d\])\.block\[(\d+)\]", "{}.block"),
    "resnet": (r"net\.(stage\[\d\])\.block\[(\d+)\]", "{}.depth"),
    "vision_transformer": (r"(layer)\[(\d+)\]", "{}"),
    "language_model": (r"(layer)\[(\d+)\]", "depth"),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_sizes_of_a_block_exist_only_where_the_block_does(name: str) -> None:
    space, (pattern, depth) = SMALL[name].program.space, DEPTHS[name]
    seen = set()
    for decision in space.sample(30, np.random.default_rng(0)):
        for address in space.addresses:
            if found := re.match(pattern, address):
                kept = int(found[2]) < int(str(decision[depth.format(found[1])]))
                assert (address in decision) is kept
                seen.add(kept)
    assert seen == {True, False}


def test_a_block_that_is_left_out_has_no_sizes() -> None:
    space = SMALL["vit_resnas"].program.space
    for decision in space.sample(10, np.random.default_rng(0)):
        for address in space.addresses:
            if address.endswith((".heads", ".hidden")):
                assert (address in decision) is decision.get(f"{address.rpartition('.')[0]}.kept", True)


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=3, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_decision_builds_and_learns(name: str, seed: int) -> None:
    small = SMALL[name]
    decision = small.program.space.draw(np.random.default_rng(seed))
    torch.manual_seed(0)
    child = small.program.build(decision)
    output = child(*small.feed)
    assert output.isfinite().all()
    torch.nn.functional.cross_entropy(
        output.flatten(0, -2), torch.arange(len(output.flatten(0, -2))) % 3
    ).backward()
    for path, parameter in child.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", SMALL)
def test_each_space_is_searched(name: str) -> None:
    study = symnas.search(
        SMALL[name].program,
        lambda child: -sum(p.numel() for p in child.parameters()),
        algorithm="random", trials=3, seed=0, progress=False,
    )  # fmt: skip
    assert len(study.trials) == 3
    sizes = [trial.metrics["value"] for trial in study.trials]
    assert study.best.metrics["value"] == max(sizes)


def test_the_files_are_shown() -> None:
    result = CliRunner().invoke(main, ["show", f"{FOLDER / 'graph_network.py'}:GraphNetwork"])
    assert result.exit_code == 0, result.output
    assert "layer[i].attention" in result.output
    assert "12,644,352 decisions" in result.output


# -- shared weights -------------------------------------------------------------------------------

# What is held at its largest: where statistics run across features, or means over heads, narrowing is not
# silencing. The projections of a narrow ResNet are not in the largest at all.
ACROSS = {
    "once_for_all": ("resolution",),
    "vision_transformer": ("embed",),
    "vit_resnas": ("stage[*].embed",),
    "language_model": ("embed",),
    "graph_network": ("layer[1].heads",),
}


def shared(name: str, across: tuple[str, ...] = ()) -> Supernet:
    """Return a supernet of the smallest and the largest number at each point, which few children cover."""
    small = SMALL[name]
    made = symnas.program(f"symnas.spaces.{small.target}", inputs=small.feed, **small.arguments)
    space = small.program.space
    fixed = {address for pattern in across for address in space.select(pattern)}
    allowed = {}
    for address in space.addresses:
        values = list(space[address].values())
        if all(isinstance(value, int | float) for value in values) and not isinstance(values[0], bool):
            low = max(values) if address in fixed else min(values)
            allowed[address] = sorted({low, max(values)})
        elif across and name == "graph_network":
            allowed[address] = [space[address].default]
    made.space = space.restrict(allowed)
    found: Supernet = made.supernet(dtype=torch.float64)
    return found


def doubles(name: str) -> tuple[torch.Tensor, ...]:
    return tuple(x.double() if x.is_floating_point() else x for x in SMALL[name].feed)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_supernet_computes_what_its_children_compute(name: str) -> None:
    net = shared(name)
    before = sum(p.numel() for p in net.parameters())
    for turn, decision in enumerate(net.program.space.sample(2, np.random.default_rng(1))):
        law(net, decision, doubles(name), training=bool(turn))
    assert sum(p.numel() for p in net.parameters()) == before, "a child asked for more than was foreseen"


@pytest.mark.slow
@pytest.mark.parametrize("name", ACROSS)
def test_a_narrow_child_is_the_largest_with_the_rest_silent(name: str) -> None:
    net = shared(name, ACROSS[name])
    largest = net.program.space.default
    while smaller := [address for address, value in largest.items() if value != most(net, address)]:
        largest = largest.replace({smaller[0]: most(net, smaller[0])})
    sizes = sum(p.numel() for p in net.program.build(largest).parameters())
    assert sizes == sum(p.numel() for p in net.parameters())
    for decision in net.program.space.sample(2, np.random.default_rng(2)):
        assert difference(net, decision, largest, doubles(name)) < 1e-6


def most(net: Supernet, address: str) -> Any:
    return max(net.program.space[address].values())
