"""What the dimensions of a module's parameters consist of, by its class, where their sizes alone do not tell.

Everything else is told by how parameters are used (`symnas.features`). These rules come first, and are all
there is for programs without example inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from symnas.features.axes import Axis, product


@dataclass(frozen=True)
class Centred:
    """A size of which a smaller one is the middle, as of kernels."""

    size: int


Size = int | Centred | tuple[int, ...]
"""A dimension: a number of features, the middle of a kernel, or a box such as `(3, heads, width)`."""
Rule = Callable[[Any], Mapping[str, Sequence[Size]]]
"""From a module to the dimensions of its parameters (and statistics) by name; a name left out is plain."""

_ATTRIBUTE = "__symnas_slicing__"


def register_slicing(module_class: type[nn.Module], rule: Rule) -> None:
    """Say how the parameters of a class of modules are put together, to be shared chunk by chunk.

    A child's tensor is the leading corner of the shared one. That is wrong for parameters that hold several
    things one after another: of a layer that computes a value and a gate from one matrix, a narrower
    child's gates are not the first rows behind its values. The rule tells::

        class Gated(nn.Module):
            def __init__(self, features, width):
                super().__init__()
                self.weight = nn.Parameter(torch.randn(2 * width, features))

        def rows(module):
            twice, features = module.weight.shape
            return {"weight": ((2, twice // 2), features)}

        register_slicing(Gated, rows)

    Where a program has example inputs the order is found by itself, if the module splits what it computes.

    Args:
        module_class: instances of it and of its subclasses follow the rule, until a subclass has its own.
        rule: from a module to the dimensions of its parameters, by name.
    """
    setattr(module_class, _ATTRIBUTE, staticmethod(rule))


def dimensions(module: nn.Module, name: str, shape: Sequence[int], label: str) -> tuple[Axis, ...]:
    """Return the axes of a module's parameter or buffer, as its class tells them.

    Args:
        module: whose it is.
        name: its name in the module.
        shape: its sizes.
        label: what the labels of its axes begin with.
    """
    given = _rule(type(module))(module).get(name, tuple(shape))
    return tuple(_axis(size, f"{label}:{dim}") for dim, size in enumerate(given))


def _axis(size: Size, label: str) -> Axis:
    if isinstance(size, Centred):
        return Axis(size.size, {label}, centred=True)
    if isinstance(size, int):
        return Axis(size, {label})
    return product(Axis(part, {label}) for part in size)


def _rule(kind: type) -> Rule:
    for above in kind.__mro__:
        own = vars(above).get(_ATTRIBUTE)
        if own is not None:
            rule: Rule = own.__func__
            return rule
        if above.__module__.startswith("torch.nn.modules"):
            for classes, known in _BUILT_IN:
                if above in classes:
                    return known
    return _plain


def _plain(_: Any) -> Mapping[str, Sequence[Size]]:
    return {}


def _convolution(module: Any) -> Mapping[str, Sequence[Size]]:
    groups, kernel = module.groups, [Centred(size) for size in module.kernel_size]
    made = (groups, module.out_channels // groups)
    read = module.in_channels // groups
    if module.transposed:
        return {"weight": ((groups, read), made[1], *kernel), "bias": (made,)}
    return {"weight": (made, read, *kernel), "bias": (made,)}


def _recurrent(module: Any) -> Mapping[str, Sequence[Size]]:
    # Gates are stacked: weight_ih is (gates * width, inputs), weight_hh (gates * width, width). Layers behind
    # the first read both directions of the one before, one after the other.
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    width, directions = module.hidden_size, 2 if module.bidirectional else 1
    fed_back = module.proj_size or width
    found: dict[str, Sequence[Size]] = {}
    for layer in range(module.num_layers):
        read: Size = module.input_size if layer == 0 else (directions, fed_back)
        for suffix in (f"l{layer}", f"l{layer}_reverse"):
            found[f"weight_ih_{suffix}"] = ((gates, width), read)
            found[f"weight_hh_{suffix}"] = ((gates, width), fed_back)
            found[f"bias_ih_{suffix}"] = found[f"bias_hh_{suffix}"] = ((gates, width),)
    return found


def _cell(module: Any) -> Mapping[str, Sequence[Size]]:
    gates = module.weight_ih.shape[0] // module.hidden_size
    made = (gates, module.hidden_size)
    return {
        "weight_ih": (made, module.input_size),
        "weight_hh": (made, module.hidden_size),
        "bias_ih": (made,),
        "bias_hh": (made,),
    }


def _attention(module: Any) -> Mapping[str, Sequence[Size]]:
    # in_proj_weight stacks those of query, key and value, (3 * embed_dim, embed_dim), each cut into heads.
    heads = (module.num_heads, module.head_dim)
    width = module.embed_dim
    return {
        "in_proj_weight": ((3, *heads), width),
        "in_proj_bias": ((3, *heads),),
        "q_proj_weight": (heads, width),
        "k_proj_weight": (heads, module.kdim),
        "v_proj_weight": (heads, module.vdim),
        "bias_k": (1, 1, heads),
        "bias_v": (1, 1, heads),
    }


_BUILT_IN: tuple[tuple[tuple[type, ...], Rule], ...] = (
    ((nn.modules.conv._ConvNd,), _convolution),
    ((nn.RNNBase,), _recurrent),
    ((nn.RNNCellBase,), _cell),
    ((nn.MultiheadAttention,), _attention),
)
