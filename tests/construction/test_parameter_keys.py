"""The keys of shared weights: one per parameter, and the same whatever else was chosen."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from real_models import each_case, program_of

import symnas
from symnas.construction.parameter_keys import keyed_module
from symnas.errors import BuildError


@pytest.mark.parametrize("name", each_case)
def test_every_parameter_has_a_key_and_every_key_a_parameter(name: str) -> None:
    program = program_of(name)
    kinds: dict[str, tuple[str, str]] = {}
    for decision in program.space.sample(4, np.random.default_rng(0)):
        made = keyed_module(program, decision)
        tensors = dict(made.module.named_parameters(remove_duplicate=False))
        assert set(made.parameters) == set(tensors)
        assert set(made.buffers) == {name for name, _ in made.module.named_buffers(remove_duplicate=False)}
        by_key: dict[str, set[int]] = {}
        for path, key in made.parameters.items():
            by_key.setdefault(key, set()).add(id(tensors[path]))
            # Whatever was chosen, a key belongs to one parameter of one class of module.
            owner, _, last = path.rpartition(".")
            kind = type(made.module.get_submodule(owner)).__name__, last
            if len([other for other in made.parameters.values() if other == key]) == 1:
                assert kinds.setdefault(key, kind) == kind, key
        assert all(len(ids) == 1 for ids in by_key.values()), by_key


def keys(tmp_path: Path, text: str, **values: Any) -> dict[str, str]:
    head = "import copy\nimport functools\nimport torch\nfrom torch import nn\n\n"
    (tmp_path / "net.py").write_text(head + dedent(text))
    program = symnas.program(f"{tmp_path / 'net.py'}:Net")
    return dict(keyed_module(program, program.decision(values)).parameters)


def test_an_optional_layer_in_front_moves_no_key(tmp_path: Path) -> None:
    text = """
    def block(width):
        return nn.Sequential(nn.Linear(width, width), nn.ReLU())

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            front = False  # search: {True, False}
            layers = []
            if front:
                layers.append(nn.Linear(4, 4))
            for turn in range(3):
                if front or turn:
                    layers.append(block(4))
            layers += list(map(block, [4, 4]))
            self.body = nn.Sequential(*layers)
            self.scale = nn.Parameter(torch.ones(4))
    """
    without, with_front = keys(tmp_path, text), keys(tmp_path, text, front=True)
    assert set(without.values()) < set(with_front.values())
    assert without["body.0.0.weight"] == with_front["body.2.0.weight"] == "turn[1].layers.return[0].weight"
    assert without["scale"] == "scale"
    mapped = [without[f"body.{place}.0.weight"] for place in (2, 3)]
    assert mapped == ["layers_2.return[0].weight", "layers_2[1].return[0].weight"]


def test_what_a_call_makes_is_told_apart_where_its_text_does_not(tmp_path: Path) -> None:
    text = """
    OPS = {"a": lambda c: nn.Linear(c, c), "b": lambda c: nn.Sequential(nn.Linear(c, c)), "c": nn.LayerNorm}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            name = "a"  # search: {"a", "b", "c"}
            self.op = OPS[name](4)
            self.made = functools.partial(OPS[name], 4)()
            self.copy = copy.deepcopy(self.op)
            self.tied = nn.Linear(4, 4)
            self.tied.bias = nn.Parameter(torch.zeros(4))
            self.twin = self.tied
    """
    found = {name: keys(tmp_path, text, name=name) for name in "abc"}
    assert found["a"]["op.weight"] == "op{OPS[a]}.lambda.weight"
    assert found["b"]["op.0.weight"] == "op{OPS[b]}.lambda_2.weight"
    assert found["c"]["op.weight"] == "op{LayerNorm}.weight"
    assert found["a"]["copy.weight"] == "copy.weight"
    assert found["a"]["twin.bias"] == found["a"]["tied.bias"] == "bias"
    own = [{key for path, key in keys.items() if path[0] in "om"} for keys in found.values()]
    assert own[0].isdisjoint(own[1] | own[2])
    assert own[1].isdisjoint(own[2])


def test_candidates_keep_weights_of_their_own(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.ops = nn.ModuleList()
            for i in range(2):
                # search: {one: nn.Linear(4, 4), two: nn.Sequential(nn.Linear(4, {2, 8})), nn.Identity()}
                op = nn.Linear(4, 4)
                self.ops.append(op)
            act = nn.PReLU  # search: {nn.PReLU, nn.ReLU}
            self.act = act()
    """
    first = {"i[0].op": "one", "i[1].op": "two"}
    found = keys(tmp_path, text, **first, **{"i[1].op:two.out_features": 8})
    assert found["ops.0.weight"] == "i[0].op:one.weight"
    assert found["ops.1.0.weight"] == "i[1].op:two[2].weight"
    assert found["act.weight"] == "act_2{PReLU}.weight" or found["act.weight"] == "act{PReLU}.weight"
    again = keys(tmp_path, text, **first, **{"i[1].op:two.out_features": 2})
    assert again == found


def test_parameters_from_outside_are_refused_by_name(tmp_path: Path) -> None:
    text = """
    SHARED = nn.Linear(4, 4)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.width = 4  # search: {4, 8}
            self.inner = SHARED
    """
    with pytest.raises(BuildError, match=r"inner\.weight, inner\.bias of Net were constructed outside"):
        keys(tmp_path, text)


def test_what_makes_no_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="Net makes 'dict'"):
        keys(tmp_path, "def Net():\n    return {'lr': 1}  # search: {1, 2}\n")
