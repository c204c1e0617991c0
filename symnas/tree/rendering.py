"""Spaces and decisions for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from symnas._typing import Value
from symnas.tree.outline import Line, outline
from symnas.tree.point import Point, show

if TYPE_CHECKING:
    from rich.tree import Tree

_STYLE = "font-family:monospace;font-size:90%;line-height:1.5"


def rich_tree(title: str, roots: Iterable[Point]) -> Tree:
    """Return points as a tree for rich, copies that are alike on one line."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(title, style="bold"), guide_style="dim")
    stack = [(tree, outline(roots))]
    while stack:
        node, lines = stack.pop()
        width = max((len(line.name) for line in lines), default=0)
        for line in lines:
            label = Text(line.name.ljust(width + 4))
            label.append(line.domain, style="cyan")
            if line.notes:
                label.append("  " + "; ".join(line.notes), style="dim")
            below = node.add(label)
            stack.append((below, line.below))
    return tree


def points_html(title: str, roots: Iterable[Point]) -> str:
    """Return points as HTML: nested lists, what has much below it folded."""
    return f'<div style="{_STYLE}"><b>{escape(title)}</b>{_html_lines(outline(roots), 0)}</div>'


def _html_lines(lines: list[Line], depth: int) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{_html_line(line, depth)}</li>" for line in lines)
    return f'<ul style="list-style:none;margin:0;padding-left:1.4em">{items}</ul>'


def _html_line(line: Line, depth: int) -> str:
    text = f'{escape(line.name)} <span style="color:#0a7ea4">{escape(line.domain)}</span>'
    if line.notes:
        text += f' <span style="opacity:.6">{escape("; ".join(line.notes))}</span>'
    if not line.below:
        return text
    opened = " open" if depth < 2 else ""
    return f"<details{opened}><summary>{text}</summary>{_html_lines(line.below, depth + 1)}</details>"


def values_html(values: Mapping[str, Value], default: Mapping[str, Value]) -> str:
    """Return values by address as an HTML table; those that differ from the default are bold."""
    rows = []
    for address, value in values.items():
        text = escape(show(value))
        usual = address in default and repr(default[address]) == repr(value)
        rows.append(f"<tr><td>{escape(address)}</td><td>{text if usual else f'<b>{text}</b>'}</td></tr>")
    return f'<table style="{_STYLE}"><tbody>{"".join(rows)}</tbody></table>'
