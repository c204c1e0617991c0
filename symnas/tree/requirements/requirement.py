"""A clause over the points of a space: which of its names are which points, as plain data."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from symnas._typing import COSTS, Value
from symnas.errors import RequirementError
from symnas.tree.requirements.clauses import Clause, Verdict, shown

Table = tuple[tuple[Value, Any], ...]
"""What the code has in place of each label, where that is another value."""


@dataclass(frozen=True)
class Requirement:
    """A clause that a decision alone can be asked about.

    It does not apply where a point that it speaks of does not exist.

    Args:
        text: the clause as it is written.
        names: the address that each name of the expression stands for.
        expression: the clause over these names, where they are not those of the text.
        values: per name, what the code has in place of each label of the point.
        when: further points without which it does not apply.
        origin: `file:line` of the clause; no part of what it says.
    """

    text: str
    names: tuple[tuple[str, str], ...]
    expression: str = ""
    values: tuple[tuple[str, Table], ...] = ()
    when: tuple[str, ...] = ()
    origin: str | None = field(default=None, compare=False)

    @cached_property
    def clause(self) -> Clause:
        """The clause over the names, read."""
        return Clause(self.expression or self.text, self.origin)

    @cached_property
    def tables(self) -> dict[str, dict[tuple[type, Value], Any]]:
        """Per name with other values than the labels, those by type and label."""
        return {name: {(type(k), k): v for k, v in table} for name, table in self.values}

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The points without which it does not apply, each once."""
        return tuple(dict.fromkeys([*(address for _, address in self.names), *self.when]))

    def value(self, name: str, label: Value) -> Any:
        """Return what a name stands for where its point has a label."""
        table = self.tables.get(name)
        return label if table is None else table[type(label), label]

    def judge(self, decision: Mapping[str, Value]) -> Verdict:
        """Tell whether a decision meets the clause, and by how much it misses."""
        try:
            scope = {name: self.value(name, decision[address]) for name, address in self.names}
            if any(address not in decision for address in self.when):
                return Verdict(True, 0.0, "")
        except KeyError:
            return Verdict(True, 0.0, "")
        try:
            verdict = self.clause.judge(scope)
            # By addresses, where these are what the text says, and not names.
            said = [f"{a if self.expression else n} = {shown(scope[n])}" for n, a in self.names]
            return replace(verdict, detail=", ".join(said))
        except RequirementError as error:
            return Verdict(False, 1.0, str(error))

    def __str__(self) -> str:
        """Render as `require a <= b (net.py:3)`."""
        return f"require {self.text}" + (f" ({self.origin})" if self.origin else "")

    def prefixed(self, name: str) -> Requirement:
        """Return the same clause with a name before every address."""
        return replace(
            self,
            names=tuple((own, f"{name}.{address}") for own, address in self.names),
            when=tuple(f"{name}.{address}" for address in self.when),
            expression=self.expression or self.text,
        )

    # ------------------------------------------------------------ plain data

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, without what is as usual."""
        data: dict[str, Any] = {"text": self.text, "names": dict(self.names)}
        if self.expression:
            data["expression"] = self.expression
        if self.values:
            data["values"] = {name: [list(pair) for pair in table] for name, table in self.values}
        if self.when:
            data["when"] = list(self.when)
        if self.origin:
            data["origin"] = self.origin
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Requirement:
        """Return the requirement that `to_json` wrote."""
        values = tuple(
            (name, tuple((_label(label), _label(value)) for label, value in table))
            for name, table in data.get("values", {}).items()
        )
        return cls(
            data["text"],
            tuple(data["names"].items()),
            data.get("expression", ""),
            values,
            tuple(data.get("when", ())),
            data.get("origin"),
        )


def _label(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# -------------------------------------------------------------------- from texts


def last_segment(address: str) -> str:
    """Return the last part of an address, by which a clause may name a point."""
    return re.split(r"[.:]", address)[-1]


def grounded(texts: Iterable[str], addresses: Collection[str]) -> tuple[Requirement, ...]:
    """Return those clauses all of whose names are points, whatever exists.

    A name is an address, or the last part of one address only. What speaks of costs, of variables or of a
    part that several points share is left out: only a run can tell what it means.
    """
    by_name: dict[str, list[str]] = {}
    for address in addresses:
        by_name.setdefault(last_segment(address), []).append(address)
    short = {name: found[0] for name, found in by_name.items() if len(found) == 1}
    short |= {address: address for address in addresses}
    found = (_grounded(text, short) for text in texts)
    return tuple(requirement for requirement in found if requirement is not None)


def _grounded(text: str, known: Mapping[str, str]) -> Requirement | None:
    try:
        tree = Clause(text).tree
    except RequirementError:
        return None  # told when it is judged
    names: dict[str, str] = {}
    written = ast.unparse(tree)
    tree = _Names(known, names, _taken(tree)).visit(tree)
    free = [node for node in _references(tree) if node.id not in names]
    if free or not names or any(name in COSTS for name in names):
        return None
    changed = ast.unparse(tree)
    return Requirement(text, tuple(names.items()), "" if changed == written else changed)


def _taken(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _references(tree: ast.AST) -> Iterator[ast.Name]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return (n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called)


class _Names(ast.NodeTransformer):
    """Puts names in the place of addresses that are written with dots and brackets."""

    def __init__(self, known: Mapping[str, str], names: dict[str, str], taken: set[str]) -> None:
        self.known = known
        self.names = names
        self.taken = taken

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.known:
            self.names[node.id] = self.known[node.id]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._reference(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self._reference(node)

    def _reference(self, node: ast.Attribute | ast.Subscript) -> ast.AST:
        # As they are judged: the whole text is looked up before it is taken apart.
        text = ast.unparse(node)
        if text not in self.known:
            return self.generic_visit(node)
        address = self.known[text]
        same = next((name for name, known in self.names.items() if known == address), None)
        if same is None:
            same = fresh(last_segment(address), self.taken)
            self.names[same] = address
        return ast.Name(same, ast.Load())


def fresh(wanted: str, taken: set[str]) -> str:
    """Return an identifier like the one wanted that is not taken, and take it."""
    base = re.sub(r"\W", "_", wanted.partition("[")[0]) or "x"
    base = base if base.isidentifier() and base not in COSTS else f"x_{base}"
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}_{count}"
    taken.add(name)
    return name
