"""Statistics of a space's points as a tree to read: visits, means and the best at each candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from symnas.tree.choices import Point
from symnas.tree.statistics import LISTED, CandidateStatistics, PointStatistics, Statistics

if TYPE_CHECKING:
    from rich.tree import Tree

    from symnas.tree.space import Space


def statistics_tree(space: Space, found: Statistics, sign: int = 1) -> Tree:
    """Return the space as a tree for rich, every point with its candidates and what came of them.

    Args:
        space: the space.
        found: its statistics, larger values being better.
        sign: -1 to show values as they were before they were turned round, where less is better.
    """
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(f"{found.trials} trials with a result", style="bold"), guide_style="dim")
    stack: list[tuple[Tree, Point]] = [(tree, point) for point in reversed(space.points)]
    while stack:
        above, point = stack.pop()
        node = above
        mine = found.points.get(point.address)
        if mine is not None:
            node = above.add(_heading(mine))
            for line in candidate_lines(mine, sign):
                node.add(Text(line))
        below = [child for branch in point.branches for child in branch.points]
        stack.extend((node, child) for child in reversed(below))
    return tree


def _heading(mine: PointStatistics) -> Any:
    from rich.text import Text

    text = Text(mine.address, style="bold")
    notes = [f"{mine.trials} trials", f"explains {mine.influence:.0%}"]
    if mine.rank is not None:
        notes.append(f"decided {_ordinal(mine.rank + 1)}")
    text.append("  " + ", ".join(notes), style="not bold dim")
    return text


def candidate_lines(mine: PointStatistics, sign: int = 1) -> list[str]:
    """Return one line per candidate, aligned; of many candidates, those tried most."""
    shown: Sequence[CandidateStatistics] = mine.candidates
    if len(shown) > LISTED:
        most = sorted(range(len(shown)), key=lambda place: (-shown[place].trials, place))[:LISTED]
        shown = [mine.candidates[place] for place in sorted(most)]
    rows = [_cells(candidate, sign) for candidate in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        )
        for cells in rows
    ]
    rest = len(mine.candidates) - len(shown)
    return [*lines, f"… {rest} more"] if rest else lines


def _cells(candidate: CandidateStatistics, sign: int) -> list[str]:
    tried = f"{candidate.trials} trial{'s' * (candidate.trials != 1)}"
    mean = best = ""
    if candidate.trials:
        error = "" if math.isnan(candidate.error) else f" ± {candidate.error:.2g}"
        mean, best = f"mean {sign * candidate.mean:.4g}{error}", f"best {sign * candidate.best:.4g}"
    cells = [candidate.label, tried, mean, best]
    if candidate.visits is not None:
        cells.append(f"{candidate.visits} visit{'s' * (candidate.visits != 1)}")
    return cells


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def statistics_json(found: Statistics, sign: int = 1) -> dict[str, Any]:
    """Return statistics as plain data, by address and label; what is not known is None."""

    def known(value: float, factor: int = 1) -> float | None:
        return None if math.isnan(value) else factor * value

    return {
        "trials": found.trials,
        "points": {
            address: {
                "trials": point.trials,
                "influence": point.influence,
                "rank": point.rank,
                "candidates": {
                    one.label: {
                        "trials": one.trials,
                        "mean": known(one.mean, sign),
                        "error": known(one.error),
                        "best": known(one.best, sign),
                        "visits": one.visits,
                    }
                    for one in point.candidates
                },
            }
            for address, point in found.points.items()
        },
    }
