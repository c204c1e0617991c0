"""One expression that gives each loop turn its choice: `(3, 5, 1)[i]`, `A() if i == 1 else B()`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from symnas.export.invocations import Turns


def dispatched(texts: Mapping[Turns, str], name: Callable[[int], str], is_free: Callable[[str], bool]) -> str:
    """Return an expression over loop counters.

    Args:
        texts: source text per turns; all keys have one length.
        name: the counter of the n-th enclosing loop; asked only for loops that matter.
        is_free: whether evaluating a text at every turn, chosen or not, changes nothing; then it may sit in
            a tuple.
    """
    first = next(iter(texts.values()))
    if all(text == first for text in texts.values()):
        return first
    kept = _dimensions(texts)
    short = {tuple(turns[i] for i in kept): text for turns, text in texts.items()}
    counters = [name(i) for i in kept]
    # A tuple evaluates all of its items at every turn, a conditional expression the chosen one alone.
    if all(is_free(text) for text in short.values()):
        return _table(short) + "".join(f"[{counter}]" for counter in counters)
    return _conditional(short, counters)


def _dimensions(texts: Mapping[Turns, str]) -> list[int]:
    """Return the loops whose turns matter, dropping outer ones first where either would do."""
    kept = list(range(len(next(iter(texts)))))
    for dimension in list(kept):
        fewer = [i for i in kept if i != dimension]
        seen: dict[Turns, str] = {}
        if all(seen.setdefault(tuple(t[i] for i in fewer), text) == text for t, text in texts.items()):
            kept = fewer
    return kept


def _table(texts: Mapping[Turns, str]) -> str:
    """Nest tuples, one level per counter; a turn that never came gets what the turn before it has."""
    if () in texts:
        return texts[()]
    rows: dict[int, dict[Turns, str]] = {}
    for turns, text in texts.items():
        rows.setdefault(turns[0], {})[turns[1:]] = text
    filled, last = [], _table(rows[min(rows)])
    for turn in range(max(rows) + 1):
        last = _table(rows[turn]) if turn in rows else last
        filled.append(last)
    return f"({', '.join(filled)}{',' if len(filled) == 1 else ''})"


def _conditional(texts: Mapping[Turns, str], counters: Sequence[str]) -> str:
    groups: dict[str, list[Turns]] = {}
    for turns, text in texts.items():
        groups.setdefault(text, []).append(turns)
    # The text of most turns needs no test.
    otherwise = max(groups, key=lambda text: len(groups[text]))
    tests = [(text, _test(turns, counters)) for text, turns in groups.items() if text != otherwise]
    return " else ".join([*(f"{_operand(text)} if {test}" for text, test in tests), _operand(otherwise)])


def _test(turns: Sequence[Turns], counters: Sequence[str]) -> str:
    single = len(counters) == 1
    left = counters[0] if single else f"({', '.join(counters)})"
    values = sorted(turns)
    shown = [str(value[0]) if single else repr(value) for value in values]
    return f"{left} == {shown[0]}" if len(shown) == 1 else f"{left} in ({', '.join(shown)})"


def _operand(text: str) -> str:
    node = ast.parse(text, mode="eval").body
    return f"({text})" if isinstance(node, (ast.IfExp, ast.Lambda)) else text
