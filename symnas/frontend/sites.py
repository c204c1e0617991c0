"""What is known about a program before it runs: its choice sites, loops, calls and functions.

Everything here is static: it is read off the source text once and shared by all runs. The instrumented code
refers to these objects, and a run adds to them only what a text cannot know (loop turns and the prefix of an
invocation).
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from symnas._typing import Label, Value
from symnas.errors import Location, ProgramError, SpaceError
from symnas.grammar.attachment.annotation import Annotation, Role
from symnas.grammar.domains import model as grammar
from symnas.tree import choices

Kind: TypeAlias = Literal["oneof", "manyof", "permutation", "int", "float", "tied"]
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Spec:
    """The domain of a point without its address: what becomes a node of the tree.

    Args:
        kind: which node it becomes.
        labels: of the candidates, in the order of the text.
        default: a label, a tuple of labels or a number; None with `known` False where only a run can tell.
    """

    kind: Kind
    labels: tuple[Label, ...] = ()
    weights: tuple[float, ...] | None = None
    default: Value = None
    known: bool = True
    low: int | float = 0
    high: int | float = 0
    step: int | float | None = None
    factor: int | None = None
    log: bool = False
    ordered: bool = False
    repeats: bool = False
    target: str = ""

    def point(self, address: str, default: Value = None, origin: str | None = None) -> choices.Point:
        """Return the bare tree node at `address`; `default` replaces an unknown one."""
        # The nodes check their own arguments, which is what is wanted of a default found at run time.
        value: Any = self.default if self.known else default
        common: dict[str, Any] = {"origin": origin}
        if self.kind == "oneof":
            return choices.OneOf(address, self.labels, default=value, weights=self.weights, **common)
        if self.kind == "manyof":
            return choices.ManyOf(
                address, self.labels, int(self.low), int(self.high), self.ordered, self.repeats,
                default=value, weights=self.weights, **common,
            )  # fmt: skip
        if self.kind == "permutation":
            return choices.Permutation(address, self.labels, default=value, **common)
        if self.kind == "int":
            return choices.IntRange(
                address, int(self.low), int(self.high), int(self.step or 1), self.factor, self.log,
                default=value, **common,
            )  # fmt: skip
        if self.kind == "float":
            return choices.FloatRange(
                address, self.low, self.high, self.step, self.log, default=value, **common
            )
        return choices.Tied(address, self.target, **common)

    def index(self, label: object) -> int | None:
        """Return the position of a label (`True`, `1` and `1.0` are distinct), or None."""
        for position, known in enumerate(self.labels):
            if type(known) is type(label) and known == label:
                return position
        return None


@dataclass(eq=False)
class Choice:
    """One candidate of a site: its label, its located expression and the sites nested in it."""

    label: Label
    text: str
    expr: ast.expr
    nested: tuple[Site, ...] = ()


@dataclass(eq=False)
class Loop:
    """A `for`, `while` or comprehension clause whose turns are part of the addresses below it.

    Args:
        name: what the turns are called in addresses.
        around: the loops of the same function that enclose it, outermost first.
        site: the choice that says how often it turns, if one was annotated.
        counted: whether anything below needs its turns (else it is only bounded).
    """

    name: str
    node: ast.AST
    kind: Literal["for", "while", "comprehension"]
    line: int
    file: str
    around: tuple[Loop, ...] = ()
    site: Site | None = None
    counted: bool = False


@dataclass(eq=False)
class Function:
    """A function of the user's, or a module's own statements: what paths are relative to."""

    name: str
    qualname: str
    node: FunctionNode | ast.Module
    file: str
    line: int
    parents: tuple[ast.AST, ...] = ()
    sites: list[Site] = field(default_factory=list)
    calls: list[CallSite] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    parameters: dict[str, ast.expr] = field(default_factory=dict)
    """Parameters whose default holds a definition-level site, with the default's expression."""
    children: list[Function] = field(default_factory=list)
    path: str = ""
    """Of a lambda, what it is told apart by: the name or the entry of a table that it stands at."""
    watched: bool = False
    """Whether its invocations are recorded though it holds nothing: it constructs what is called later."""

    @property
    def owner(self) -> ast.ClassDef | None:
        """The class whose body holds it directly."""
        last = self.parents[-1] if self.parents else None
        return last if isinstance(last, ast.ClassDef) else None

    @property
    def touched(self) -> bool:
        """Whether it is instrumented: a site, a reaching call or a `while` is in it or inside it."""
        own = (
            self.watched
            or self.sites
            or self.calls
            or self.parameters
            or any(loop.kind == "while" for loop in self.loops)
        )
        return bool(own) or any(child.touched for child in self.children)

    @property
    def has_sites(self) -> bool:
        """Whether a choice is written in it, or in a function inside it."""
        return bool(self.sites or self.parameters) or any(child.has_sites for child in self.children)


@dataclass(eq=False)
class Site:
    """A choice as it stands in the text; each visit there is a point with an address of its own.

    `path` is relative to the invocation of `function` and the turns of `loops`; of a site nested in a
    candidate, to candidate `branch` of `parent`. A `definition` is one point per definition, and its path is
    the whole address.
    """

    spec: Spec | None
    """None where candidates or bounds are known only at run time (`oneof(KERNELS)`)."""
    node: ast.expr
    role: Role
    location: Location
    choices: tuple[Choice, ...] = ()
    dynamic: grammar.DynamicDomain | None = None
    spelling: Literal["comment", "call"] = "comment"
    name: str | None = None
    shared: bool = False
    requires: tuple[str, ...] = ()
    container: Literal["list", "tuple", "set"] = "list"
    function: Function | None = None
    loops: tuple[Loop, ...] = ()
    path: str = ""
    parent: Site | None = None
    branch: int = -1
    definition: bool = False
    annotation: Annotation | None = None

    @property
    def origin(self) -> str:
        """`file:line` of the annotation."""
        return f"{self.location.file}:{self.location.line}"

    @property
    def by_value(self) -> bool:
        """Whether the default is what the code computes, recognised among the candidates at run time."""
        return self.spec is None or not self.spec.known

    @property
    def plain_index(self) -> int:
        """The candidate that stands for the code's own value outside a run, or -1 for the code itself."""
        if self.by_value or self.spec is None or self.spec.kind != "oneof":
            return -1
        found = self.spec.index(self.spec.default)
        return -1 if found is None else found

    def walk(self) -> Iterator[Site]:
        """Yield the site and those inside its candidates, at any depth."""
        yield self
        for choice in self.choices:
            for site in choice.nested:
                yield from site.walk()


@dataclass(eq=False)
class CallSite:
    """A call that may reach a point; what it calls finds its prefix here.

    `reaching` is False of a call that is followed for what it makes alone, no point being within its reach.
    """

    node: ast.Call
    line: int
    function: Function
    loops: tuple[Loop, ...] = ()
    path: str = ""
    parent: Site | None = None
    branch: int = -1
    reaching: bool = True


def site_of(annotation: Annotation) -> Site:
    """Return the site of an annotation and those nested in it; the walk fills their places in."""
    known = annotation.default is not None
    default = annotation.default
    site = _site(annotation.domain, annotation.node, annotation.role, annotation.location, default, known)
    site.spelling, site.name, site.shared = annotation.spelling, annotation.name, annotation.shared
    site.requires, site.annotation = annotation.requires, annotation
    if annotation.role == "turns" and not isinstance(
        annotation.domain, (grammar.RangeDomain, grammar.DynamicDomain)
    ):
        site.role = "expression"
    if isinstance(annotation.node, ast.Tuple):
        site.container = "tuple"
    elif isinstance(annotation.node, ast.Set):
        site.container = "set"
    return site


def _site(
    domain: grammar.Domain,
    node: ast.expr,
    role: Role,
    location: Location,
    default: grammar.Default,
    known: bool,
) -> Site:
    if isinstance(domain, grammar.DynamicDomain):
        return Site(None, node, role, location, dynamic=domain)
    try:
        spec = spec_of(domain, default, known)
        # The tree's own rules (empty, duplicate, malformed) are checked where the annotation stands.
        spec.point("point", _any_default(spec))
    except SpaceError as error:
        raise ProgramError(f"{location}\n{error}") from error
    choices = tuple(_choice(candidate, location) for candidate in getattr(domain, "candidates", ()))
    return Site(spec, node, role, location, choices)


def _choice(candidate: grammar.Candidate, location: Location) -> Choice:
    nested = []
    for inner in candidate.nested:
        known = inner.default is not None
        site = _site(inner.domain, inner.node, "expression", location, inner.default, known)
        site.name = inner.name
        nested.append(site)
    return Choice(candidate.label, candidate.text, candidate.expr, tuple(nested))


def _any_default(spec: Spec) -> Value:
    if spec.kind == "oneof":
        return spec.labels[0] if spec.labels else None
    if spec.kind == "manyof":
        return tuple(spec.labels[i % len(spec.labels)] for i in range(int(spec.low))) if spec.labels else ()
    return spec.labels if spec.kind == "permutation" else spec.low


def spec_of(domain: grammar.Domain, default: grammar.Default = None, known: bool = True) -> Spec:
    """Return the domain of a point; `default` is a candidate's index, a tuple of indices, or a number."""
    if isinstance(domain, grammar.TieDomain):
        return Spec("tied", target=domain.address)
    if isinstance(domain, grammar.RangeDomain):
        kind: Kind = "int" if domain.integer else "float"
        value = default if not isinstance(default, tuple) else None
        return Spec(
            kind, default=value, known=known, low=domain.low, high=domain.high, step=domain.step,
            factor=domain.factor, log=domain.log,
        )  # fmt: skip
    assert not isinstance(domain, grammar.DynamicDomain)
    labels = tuple(candidate.label for candidate in domain.candidates)
    written = [candidate.weight for candidate in domain.candidates]
    weights = tuple(float(w or 0) for w in written) if any(w is not None for w in written) else None
    if isinstance(domain, grammar.OneOfDomain):
        label = labels[default] if isinstance(default, int) else None
        return Spec("oneof", labels, weights, label, known)
    chosen = tuple(labels[index] for index in default) if isinstance(default, tuple) else None
    if isinstance(domain, grammar.OrderDomain):
        return Spec("permutation", labels, None, chosen, known)
    if chosen is not None and not domain.ordered:
        chosen = tuple(labels[index] for index in sorted(default))  # type: ignore[arg-type]
    return Spec(
        "manyof", labels, weights, chosen, known, low=domain.low, high=domain.high, ordered=domain.ordered,
        repeats=domain.repeats,
    )  # fmt: skip


def with_default(spec: Spec, default: Value) -> Spec:
    """Return the spec with a default that a run has found."""
    return dataclasses.replace(spec, default=default, known=True)
