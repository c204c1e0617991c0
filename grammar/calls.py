"""Find choice points spelled as calls, and read them into the same domains as comments.

The forms, with every keyword optional:

    oneof(candidates, *, default, weights, name, shared)
    manyof(k, candidates, *, ordered, repeats, default, weights, name, shared)     k: a number, or (low, high)
    permutate(candidates, *, default, name, shared)
    intv(low, high, *, step, factor, log, default, name, shared)
    floatv(low, high, *, step, log, default, name, shared)

Candidates or bounds that are not written out make a `DynamicDomain`. A call inside a candidate is nested in
it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symnas.errors import AnnotationError, Location, nearest
from symnas.grammar.attachment import verdicts
from symnas.grammar.attachment.annotation import Annotation
from symnas.grammar.attachment.attach import in_comprehension
from symnas.grammar.attachment.matching import fit, items_of
from symnas.grammar.attachment.roots import Root
from symnas.grammar.attachment.scopes import imported_names, resolve
from symnas.grammar.domains import labels
from symnas.grammar.domains.model import (
    FORMS,
    Candidate,
    Choices,
    Default,
    Domain,
    DynamicDomain,
    Nested,
    OneOfDomain,
    OrderDomain,
    SubsetDomain,
    format_domain,
)
from symnas.grammar.domains.ranges import read_count, read_range
from symnas.grammar.mistakes import catalogue


def form_of(kind: str) -> str:
    """Return how a function of choice is called, for messages."""
    required, optional = FORMS[kind]
    return f"{kind}({', '.join(required)}, *, {', '.join(f'{name}=…' for name in optional)})"


def find_calls(
    tree: ast.Module,
    roots: Sequence[Root],
    lines: Sequence[str],
    file: str,
    first_line: int,
    imports: Mapping[str, str],
) -> tuple[list[Annotation], list[AnnotationError]]:
    """Return the annotations spelled as calls, outermost ones, and the mistakes in them."""
    names = imported_names(tree, imports)
    reader = _Reader(names, lines, file, first_line)
    annotations: list[Annotation] = []
    errors: list[AnnotationError] = []
    if not any(target == "symnas" or target.startswith("symnas.") for target in names.values()):
        return annotations, errors
    for root in roots:
        for node in reader.outermost(root.expr):
            try:
                annotations.append(reader.annotation(node, root))
            except AnnotationError as error:
                errors.append(error)
    return annotations, errors


class _Reader:
    """Reads calls of one source."""

    def __init__(self, names: Mapping[str, str], lines: Sequence[str], file: str, first_line: int) -> None:
        self.names = names
        self.lines = lines
        self.file = file
        self.first_line = first_line

    def kind(self, node: ast.AST) -> str | None:
        """Return which function of choice a node calls, or None."""
        if not isinstance(node, ast.Call):
            return None
        package, _, name = (resolve(node.func, self.names) or "").rpartition(".")
        return name if name in FORMS and package.split(".")[0] == "symnas" else None

    def outermost(self, node: ast.AST) -> Iterator[ast.Call]:
        """Yield the calls of choice in an expression that are not inside another's written-out candidates."""
        if isinstance(node, ast.Call) and self.kind(node) is not None:
            yield node
            # Calls inside written-out candidates are nested in them; those in other arguments stand alone.
            held = {id(argument) for argument in self._held(node)}
            for child in ast.iter_child_nodes(node):
                inner = child.value if isinstance(child, ast.keyword) else child
                if id(inner) not in held:
                    yield from self.outermost(inner)
            return
        for child in ast.iter_child_nodes(node):
            yield from self.outermost(child)

    def _held(self, node: ast.Call) -> list[ast.expr]:
        arguments = [*node.args, *(word.value for word in node.keywords if word.arg == "candidates")]
        return [argument for argument in arguments if items_of(argument) is not None]

    def annotation(self, node: ast.Call, root: Root) -> Annotation:
        given = self.arguments(node)
        domain, default = self.domain(node, given)
        return Annotation(
            domain=domain,
            node=node,
            statement=root.statement,
            role=root.role,
            match="value" if default is None else "candidate",
            default=default,
            location=self.location(node),
            spelling="call",
            name=self.written_name(node, given),
            shared=self.flag(node, given, "shared"),
            parameter=root.parameter,
            scope=root.scope,
            in_loop=root.in_loop or in_comprehension(root.expr, node),
        )

    def location(self, node: ast.expr) -> Location:
        line = self.lines[node.lineno - 1]
        start = len(line.encode()[: node.col_offset].decode())
        end = len(line.rstrip())
        if node.end_lineno == node.lineno and node.end_col_offset is not None:
            end = len(line.encode()[: node.end_col_offset].decode())
        return Location(self.file, node.lineno + self.first_line - 1, start, end, line)

    def fail(self, node: ast.expr, code: str, **fields: object) -> AnnotationError:
        return catalogue.mistake(code, self.location(node), **fields)

    def refuse(self, node: ast.Call, what: str) -> AnnotationError:
        kind = self.kind(node) or "oneof"
        return self.fail(node, "call-arguments", given=f"{kind}: {what}", form=form_of(kind))

    def arguments(self, node: ast.Call) -> dict[str, ast.expr]:
        """Bind a call's arguments to the names of its form."""
        required, optional = FORMS[self.kind(node) or "oneof"]
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
            word.arg is None for word in node.keywords
        ):
            raise self.refuse(node, "arguments are written out, and these are unpacked with a star")
        if len(node.args) > len(required):
            raise self.refuse(node, f"takes {len(required)} positional arguments, and got {len(node.args)}")
        given = dict(zip(required, node.args, strict=False))
        for word in node.keywords:
            assert word.arg is not None
            if word.arg not in required + optional:
                hint = nearest(word.arg, required + optional)
                raise self.refuse(node, f"has no argument {word.arg!r}{hint}")
            # None for an optional argument means that it was not passed, as it does when the call runs.
            if word.arg in required or not _is_none(word.value):
                given[word.arg] = word.value
        missing = [name for name in required if name not in given]
        if missing:
            raise self.refuse(node, f"the argument {missing[0]!r} is missing")
        return given

    def written_name(self, node: ast.Call, given: Mapping[str, ast.expr]) -> str | None:
        value = given.get("name")
        if value is None:
            return None
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.isidentifier():
            return value.value
        raise self.refuse(
            node, f"name= is a string that is an identifier, and `{ast.unparse(value)}` was given"
        )

    def flag(self, node: ast.Call, given: Mapping[str, ast.expr], name: str) -> bool:
        value = given.get(name)
        if value is None:
            return False
        if isinstance(value, ast.Constant) and isinstance(value.value, bool):
            return value.value
        raise self.refuse(node, f"{name}= is True or False, and `{ast.unparse(value)}` was given")

    def domain(self, node: ast.Call, given: dict[str, ast.expr]) -> tuple[Domain, Default]:
        """Return a call's domain and default; the default is None where only the run knows the candidates."""
        kind = self.kind(node)
        assert kind is not None
        if kind in ("intv", "floatv"):
            bounds = [given[n] for n in ("low", "high", "step", "factor", "default") if n in given]
            if not all(labels.literal_of(value)[0] for value in bounds):
                return DynamicDomain(kind, tuple(given.items())), None
            return self.range(node, kind, given)
        items = items_of(given["candidates"])
        static = "k" not in given or _count(given["k"]) is not None
        if items is None or not static or ("weights" in given and items_of(given["weights"]) is None):
            return DynamicDomain(kind, tuple(given.items())), None
        return self.choice(node, kind, items, given)

    def range(self, node: ast.Call, kind: str, given: Mapping[str, ast.expr]) -> tuple[Domain, Default]:
        numbers: dict[str, Any] = {
            name: labels.literal_of(given[name])[1]
            for name in ("low", "high", "step", "factor", "default")
            if name in given
        }
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int if kind == "intv" else (int, float)):
                what = "a whole number" if kind == "intv" else "a number"
                raise self.refuse(node, f"{name} is {what}, and `{ast.unparse(given[name])}` was given")
        if kind == "floatv":
            numbers = {name: float(value) for name, value in numbers.items()}
        # Read by the reader of comments, so that both spellings refuse the same with the same words.
        text = "log " if self.flag(node, given, "log") else ""
        text += f"{numbers['low']!r}..{numbers['high']!r}"
        text += f" step {numbers['step']!r}" if "step" in numbers else ""
        text += f" x {numbers['factor']!r}" if "factor" in numbers and "step" not in numbers else ""
        if "factor" in numbers and "step" in numbers:
            raise self.fail(node, "step-and-factor")
        domain = read_range(text, lambda code, **fields: self.fail(node, code, **fields))
        default = numbers.get("default", domain.low)
        if not domain.lies_within(default):
            raise verdicts.outside(domain, str(default), default, lambda c, **f: self.fail(node, c, **f))
        error = verdicts.off_grid(domain, default, lambda c, **f: self.fail(node, c, **f))
        if error is not None:
            raise error
        return domain, default

    def choice(
        self, node: ast.Call, kind: str, items: Sequence[ast.expr], given: Mapping[str, ast.expr]
    ) -> tuple[Domain, Default]:
        if not items:
            raise self.fail(node, "empty-choice")
        found = [self.candidate(item) for item in items]
        found = self.weighted(node, found, given.get("weights"))
        labelled = labels.labelled(found, lambda i, code, what: self.fail(items[i], code, given=what))
        domain: Choices
        if kind == "oneof":
            domain = OneOfDomain(labelled)
        elif kind == "permutate":
            if len(labelled) == 1:
                raise self.fail(node, "single-candidate-order")
            domain = OrderDomain(labelled)
        else:
            domain = self.subset(node, labelled, given)
        if "default" not in given:
            return domain, labels.first_default(domain)
        return self.default(node, domain, given["default"])

    def subset(
        self, node: ast.Call, found: tuple[Candidate, ...], given: Mapping[str, ast.expr]
    ) -> SubsetDomain:
        count = _count(given["k"])
        assert count is not None
        low, high = read_count(f"{count[0]}..{count[1]} of", lambda code, **f: self.fail(node, code, **f))
        repeats = self.flag(node, given, "repeats")
        if high > len(found) and not repeats:
            raise self.fail(node, "subset-too-large", given=high, count=len(found))
        return SubsetDomain(found, low, high, self.flag(node, given, "ordered"), repeats)

    def default(self, node: ast.Call, domain: Choices, value: ast.expr) -> tuple[Domain, Default]:
        """Find `default=` among the candidates, by its code."""
        if isinstance(value, ast.Lambda) and not _has_parameters(value):
            value = value.body
        found = fit(value, domain)
        if found is not None:
            return found.domain, found.default
        text = ast.unparse(value)
        if isinstance(domain, OneOfDomain):
            known = format_domain(domain)[1:-1]
            raise self.refuse(node, f"default= is one of the candidates, {known}, and `{text}` was given")
        raise self.refuse(node, f"default= is a list out of {format_domain(domain)}, and `{text}` was given")

    def weighted(self, node: ast.Call, found: list[Candidate], weights: ast.expr | None) -> list[Candidate]:
        values = items_of(weights) if weights is not None else None
        if values is None:
            return found
        numbers = [labels.literal_of(value)[1] for value in values]
        plain = [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool) and n >= 0]
        if len(plain) != len(found) or len(plain) != len(numbers):
            raise self.refuse(
                node, f"weights= is one number of at least 0 for each of {len(found)} candidates"
            )
        if not sum(plain):
            raise self.fail(node, "zero-priors")
        return [replace(candidate, weight=float(n)) for candidate, n in zip(found, plain, strict=True)]

    def candidate(self, item: ast.expr) -> Candidate:
        expr = item.body if isinstance(item, ast.Lambda) and not _has_parameters(item) else item
        nested = tuple(self.nested(call) for call in self.outermost(expr))
        text = self.text(expr, nested)
        if _needs_parentheses(expr, nested):
            text = f"({text})"
        return Candidate(text, expr, None, None, nested)

    def nested(self, call: ast.Call) -> Nested:
        given = self.arguments(call)
        domain, default = self.domain(call, given)
        return Nested(call, domain, default, self.written_name(call, given))

    def text(self, expr: ast.expr, nested: Sequence[Nested]) -> str:
        """Return an expression's source, the calls nested in it replaced by the domains they mean."""
        parts, at = [], (expr.lineno, expr.col_offset)
        for inner in sorted(nested, key=lambda n: (n.node.lineno, n.node.col_offset)):
            parts += [
                self.between(at, (inner.node.lineno, inner.node.col_offset)),
                format_domain(inner.domain),
            ]
            at = (inner.node.end_lineno or 0, inner.node.end_col_offset or 0)
        parts.append(self.between(at, (expr.end_lineno or 0, expr.end_col_offset or 0)))
        return " ".join("".join(parts).split("\n"))

    def between(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        rows = [line.encode() for line in self.lines[start[0] - 1 : end[0]]]
        rows[-1] = rows[-1][: end[1]]
        rows[0] = rows[0][start[1] :]
        return "\n".join(row.decode().strip() if i else row.decode() for i, row in enumerate(rows))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _has_parameters(node: ast.Lambda) -> bool:
    arguments = node.args
    return bool(
        arguments.posonlyargs or arguments.args or arguments.kwonlyargs or arguments.vararg or arguments.kwarg
    )


def _count(node: ast.expr) -> tuple[int, int] | None:
    """Read `k`: a whole number, or a pair of them."""
    items = items_of(node)
    values = [labels.literal_of(item)[1] for item in ([node] if items is None else items)]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if len(numbers) != len(values) or len(numbers) != (1 if items is None else 2):
        return None
    return numbers[0], numbers[-1]


def _needs_parentheses(expr: ast.expr, nested: Sequence[Nested]) -> bool:
    """Whether an expression, printed as a comment's candidate, would be read as more than plain Python."""
    inside = {id(node) for inner in nested for node in ast.walk(inner.node)}
    ours = (ast.Set, ast.Lambda, ast.MatMult)
    return isinstance(expr, ast.Starred | ast.NamedExpr) or any(
        isinstance(node, ours) for node in ast.walk(expr) if id(node) not in inside
    )
