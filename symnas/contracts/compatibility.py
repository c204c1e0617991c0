"""Which algorithm takes which kind of choice, read from the classes themselves.

An algorithm that learns from outcomes takes every choice that its capabilities do not leave out. One that
trains all candidates at once takes what can be added up: a choice of a kind that it names in `kinds`, but no
sizes while it divides channels (`partial`).
Choices under others count as what they are; whether an algorithm takes them at all is a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.contracts.relaxed_points import RelaxedKind


@dataclass(frozen=True, slots=True)
class ChoiceKind:
    """A kind of choice that programs make.

    Args:
        name: what the table calls it.
        example: an annotation of this kind.
        relaxed: as what kind of point a relaxed network has it; None where it cannot be added up.
        real: whether it has real values without a step.
        conditional: whether it is one that exists only under another.
    """

    name: str
    example: str
    relaxed: RelaxedKind | None = None
    real: bool = False
    conditional: bool = False


CHOICES: tuple[ChoiceKind, ...] = (
    ChoiceKind("modules", "self.act = nn.ReLU()  # search: {nn.ReLU(), nn.GELU()}", RelaxedKind.ONE),
    ChoiceKind("tensors in forward", "x = x.relu()  # search: {x.relu(), x.tanh()}", RelaxedKind.ONE),
    ChoiceKind("k of n modules", "edges = [a, b]  # search: 2 of {a, b, c}", RelaxedKind.EDGES),
    ChoiceKind("widths and kernels", "width = 32  # search: {16, 32, 64}", RelaxedKind.SIZE),
    ChoiceKind("depths", "for i in range(3):  # search: 1..6", RelaxedKind.DEPTH),
    ChoiceKind("other values and branches", "if twice:  # search: {True, False}"),
    ChoiceKind("orders", "order = (0, 1, 2)  # search: order of {0, 1, 2}"),
    ChoiceKind("real numbers", "rate = 0.1  # search: 0.0..0.5", real=True),
    ChoiceKind(
        "choices under others", "{nn.Conv2d(c, c, {1, 3}), nn.Identity()}", RelaxedKind.ONE, conditional=True
    ),
)


def takes(algorithm: type[Algorithm], choice: ChoiceKind) -> bool:
    """Whether an algorithm, as it is made without options, takes a kind of choice."""
    able = algorithm.capabilities
    if (choice.real and not able.real_valued) or (choice.conditional and not able.conditional):
        return False
    if not issubclass(algorithm, RelaxedAlgorithm):
        return True
    # While channels are divided, their number is no choice.
    divided = choice.relaxed == RelaxedKind.SIZE and algorithm.partial > 1
    return choice.relaxed is not None and choice.relaxed in algorithm.kinds and not divided


def table(algorithms: Mapping[str, type[Algorithm]]) -> dict[str, tuple[bool, ...]]:
    """Return for every algorithm, by name, which of `CHOICES` it takes.

    Args:
        algorithms: classes by name.
    """
    return {name: tuple(takes(cls, choice) for choice in CHOICES) for name, cls in algorithms.items()}


def markdown(algorithms: Mapping[str, type[Algorithm]]) -> str:
    """Return the table as Markdown; algorithms that take the same share a line.

    Args:
        algorithms: classes by name.
    """
    groups: dict[tuple[bool, ...], list[str]] = {}
    for name, row in table(algorithms).items():
        groups.setdefault(row, []).append(name)
    lines = [
        _line(["algorithms", *(choice.name for choice in CHOICES)]),
        _line(["---", *[":-:"] * len(CHOICES)]),
    ]
    for row, names in sorted(groups.items(), key=lambda item: (-sum(item[0]), item[1])):
        lines.append(
            _line([", ".join(f"`{name}`" for name in names), *("yes" if able else "" for able in row)])
        )
    return "\n".join(lines) + "\n"


def names_taken(algorithm: type[Algorithm]) -> Sequence[str]:
    """Return the names of the kinds of choices that an algorithm takes."""
    return [choice.name for choice in CHOICES if takes(algorithm, choice)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")
