"""Checks of children that share weights, and words for what is wrong with one: which choice, which module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from symnas.errors import EvaluatorError
from symnas.training.data import Example, Inputs, few
from symnas.training.loop import Recipe, forward
from symnas.tree.covering import covering

if TYPE_CHECKING:
    from symnas._typing import Value
    from symnas.supernet.supernet import Supernet
    from symnas.tree.choices import Point
    from symnas.tree.space import Decision

EXAMPLES = 2
HUGE = 1e10
"""Weights beyond this have diverged, finite or not."""
OTHERS = 8
"""How many other values of a point are tried when the one to blame is sought."""


def check_children(net: Supernet, task: Recipe, batch: Example) -> None:
    """Call children that together meet every candidate, so that those that cannot be trained are told first.

    Args:
        net: whose children.
        task: whose loss their outputs must suit.
        batch: a batch of its training data; two examples of it are used.

    Raises:
        EvaluatorError: a child fails, or its outputs have another shape than the default child's.
    """
    inputs, targets = few(batch, EXAMPLES)
    net.eval()
    space = net.program.space

    def shape(decision: Decision) -> tuple[int, ...] | str:
        return _shape(net, decision, inputs, targets, task)

    usual = shape(space.default)
    if isinstance(usual, str):
        blamed = culprit(space.default, lambda other: not isinstance(shape(other), str))
        raise EvaluatorError(
            f"children are trained on the task's data, and the default one fails there"
            f"{f', because of {blamed}' if blamed else ''}: {usual}"
        )
    # Few decisions that meet every candidate at least once, so that a pair of candidates which fail only
    # together is not seen here: the training tells of them.
    for decision in covering(space):
        found = shape(decision)
        if found == usual:
            continue
        blamed = culprit(decision, lambda other: shape(other) == usual) or f"the child of {dict(decision)}"
        if isinstance(found, str):
            raise EvaluatorError(
                f"children that share weights are all called with the task's data; {blamed} fails there: "
                f"{found}"
            )
        raise EvaluatorError(
            f"children that share weights share a loss, so their outputs have one shape; with {blamed} it is "
            f"{found} per example, by default {usual}: give the candidate the same output shape"
        )


def explain_loss(
    net: Supernet, decision: Decision, inputs: Inputs, task: Recipe, targets: Tensor
) -> EvaluatorError:
    """Return an error that says where a loss that is not finite comes from.

    Args:
        net: the shared weights.
        decision: the child that was trained.
        inputs: of the batch.
        task: whose loss it is.
        targets: of the batch.
    """
    # Weights that have diverged make every child fail, so they are looked at before any candidate is accused.
    with net.child(decision) as child, torch.no_grad():
        broken = [name for name, value in child.named_parameters() if not bool((value.abs() < HUGE).all())]
        module = _first_broken(child, inputs)
    if broken:
        return EvaluatorError(
            f"training on shared weights has diverged: the weights of {broken[0]!r} are beyond all bounds "
            f"in the child of {dict(decision)}. Lower the task's learning rate, or clip gradients (clip=5.0)"
        )

    def works(other: Decision) -> bool:
        with net.child(other) as made, torch.no_grad():
            return bool(torch.isfinite(torch.as_tensor(task.loss(forward(made, inputs), targets))))

    blamed = culprit(decision, works)
    where = f"; the first outputs that are not finite are those of {module}" if module else ""
    who = f"{blamed} is to blame: with another candidate there the loss is finite" if blamed else (
        "no single candidate is to blame"
    )  # fmt: skip
    return EvaluatorError(
        f"a loss on shared weights is a finite number; that of the child of {dict(decision)} is not{where}. "
        f"{who}. Take the candidate out, or lower the learning rate or clip gradients (clip=5.0) if the "
        "losses had grown before"
    )


def culprit(decision: Decision, works: Callable[[Decision], bool]) -> str | None:
    """Return `address = value` of a point whose value alone keeps a decision from working, if there is one.

    Args:
        decision: one that does not work.
        works: whether another one does.
    """
    # Delta debugging with changes of one point: if the rest works once a point has another value, the value
    # that it had is to blame. Where two values fail only together, either of them is found.
    for address, value in decision.items():
        for other in islice(_others(decision.space[address], value), OTHERS):
            try:
                if works(decision.replace({address: other}, admitted=False)):
                    return f"{address} = {value!r}"
            except Exception:  # the user's model; that this one does not work either is the answer
                continue
    return None


def _others(point: Point, value: Value) -> Iterator[Value]:
    values = getattr(point, "values", None)
    if values is not None and point.cardinality > 1:
        yield from (other for other in values() if other != value)


def _shape(
    net: Supernet, decision: Decision, inputs: Inputs, targets: Tensor, task: Recipe
) -> tuple[int, ...] | str:
    """Return the shape of a child's outputs without the batch, or what it fails with."""
    try:
        with net.child(decision) as child, torch.no_grad():
            outputs = forward(child, inputs)
            shape = tuple(outputs.shape[1:]) if isinstance(outputs, Tensor) else ()
            task.loss(outputs, targets)
            return shape
    except Exception as error:  # the user's model or loss
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _first_broken(child: nn.Module, inputs: Inputs) -> str | None:
    """Return the first module, as it is called, whose outputs are not finite."""
    found: list[str] = []

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, _: Any, outputs: Any) -> None:
            if isinstance(outputs, Tensor) and not bool(torch.isfinite(outputs).all()):
                found.append(f"{name or 'the model'} ({type(module).__name__})")

        return look

    handles = [module.register_forward_hook(hook(name)) for name, module in child.named_modules()]
    try:
        forward(child, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
