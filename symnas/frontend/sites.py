"""What is known about a program before it runs: its choice sites, loops, calls and functions.

Everything here is static: it is read off the source text once and shared by all runs. The instrumented code
refers to these objects, and a run adds to them only what a text cannot know (loop turns and the prefix of an
invocation).

A choice's domain is written in the grammar's words (`symnas.grammar.domains`: texts and syntax trees) and
decided in the tree's (`symnas.tree`: labels and numbers). A `Site` is where the two meet: it has the
candidates as they are written, and its `prototype` is the tree's node itself, made by `point_of`; a visit
copies it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from symnas.errors import Location, ProgramError, SpaceError
from symnas.grammar.attachment.annotation import Annotation, Role
from symnas.grammar.domains import model as domains
from symnas.tree import choices
from symnas.tree.point import UNSET

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(eq=False)
class Loop:
    """A `for`, `while` or comprehension clause whose turns are part of the addresses below it.

    Args:
        name: what the turns are called in addresses.
        around: the loops of the same function that enclose it, outermost first.
        site: the choice that says how often it turns, if one was annotated.
        counted: whether anything below needs its turns (else it is only bounded).
        of_data: whether how often it turns depends on what a built model is called with (`turn_counts`).
    """

    name: str
    node: ast.AST
    kind: Literal["for", "while", "comprehension"]
    line: int
    file: str
    around: tuple[Loop, ...] = ()
    site: Site | None = None
    counted: bool = False
    of_data: bool = False


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
    generated: bool = False
    """Whether it stands in no text: the constructor of a dataclass, whose defaults its fields are."""
    watched: bool = False
    """Whether its invocations are recorded though it holds nothing: it constructs what is called later."""

    @property
    def owner(self) -> ast.ClassDef | None:
        """The class whose body holds it directly."""
        last = self.parents[-1] if self.parents else None
        return last if isinstance(last, ast.ClassDef) else None

    @property
    def is_property(self) -> bool:
        """Whether it runs where its name is read as an attribute."""
        decorators = getattr(self.node, "decorator_list", ())
        return any("property" in ast.unparse(item).rpartition(".")[2] for item in decorators)

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

    prototype: choices.Point | None
    """The node of the tree of which every visit is a copy under its own address (this one's is the origin).
    None where candidates or bounds are known only at run time (`oneof(KERNELS)`)."""
    node: ast.expr
    role: Role
    location: Location
    candidates: tuple[domains.Candidate, ...] = ()
    nested: tuple[tuple[Site, ...], ...] = ()
    """The sites inside each candidate."""
    default_known: bool = True
    """Whether the text tells the default; else it is what the code computes, recognised when it runs."""
    dynamic: domains.DynamicDomain | None = None
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
    item: str = ""
    """Where it stands in a list: `[2]` of an item that is annotated by position or nested in a candidate."""

    @property
    def origin(self) -> str:
        """`file:line` of the annotation."""
        return f"{self.location.file}:{self.location.line}"

    @property
    def kind(self) -> str:
        """The kind of its points, as in the tree; empty where only a run tells."""
        return "" if self.prototype is None else self.prototype.kind

    @property
    def by_value(self) -> bool:
        """Whether the default is what the code computes, recognised among the candidates at run time."""
        return self.prototype is None or not self.default_known

    @property
    def plain_index(self) -> int:
        """The candidate that stands for the code's own value outside a run, or -1 for the code itself."""
        if not isinstance(self.prototype, choices.OneOf) or not self.default_known:
            return -1
        return self.prototype.code(self.prototype.default)

    def walk(self) -> Iterator[Site]:
        """Yield the site and those inside its candidates, at any depth."""
        yield self
        for sites in self.nested:
            for site in sites:
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
    site = _site(annotation.domain, annotation.node, annotation.role, annotation.location, annotation.default)
    site.spelling, site.name, site.shared = annotation.spelling, annotation.name, annotation.shared
    site.requires, site.annotation = annotation.requires, annotation
    site.item = annotation.item
    # Only a range counts turns; any other choice in a `for` is of what is looped over.
    if annotation.role == "turns" and not isinstance(
        annotation.domain, (domains.RangeDomain, domains.DynamicDomain)
    ):
        site.role = "expression"
    if isinstance(annotation.node, ast.Tuple):
        site.container = "tuple"
    elif isinstance(annotation.node, ast.Set):
        site.container = "set"
    return site


def _site(
    domain: domains.Domain, node: ast.expr, role: Role, location: Location, default: domains.Default
) -> Site:
    if isinstance(domain, domains.DynamicDomain):
        return Site(None, node, role, location, dynamic=domain)
    try:
        prototype = point_of(domain, default, f"{location.file}:{location.line}")
    except SpaceError as error:  # the tree's own rules (empty, duplicate, malformed)
        raise ProgramError(f"{location}\n{error}") from error
    candidates: tuple[domains.Candidate, ...] = getattr(domain, "candidates", ())
    nested = tuple(tuple(_nested(inner, location) for inner in each.nested) for each in candidates)
    known = default is not None or isinstance(domain, domains.TieDomain)
    return Site(prototype, node, role, location, candidates, nested, known)


def _nested(inner: domains.Nested, location: Location) -> Site:
    site = _site(inner.domain, inner.node, "expression", location, inner.default)
    site.name = inner.name
    return site


def point_of(domain: domains.Domain, default: domains.Default, address: str) -> choices.Point:
    """Return a domain of the grammar as a node of the tree.

    Args:
        domain: any but a dynamic one.
        default: a candidate's index, a tuple of indices, or a number; the first value for None.
        address: of the node.

    Raises:
        SpaceError: the domain breaks a rule of the tree.
    """
    assert not isinstance(domain, domains.DynamicDomain)
    if isinstance(domain, domains.TieDomain):
        return choices.Tied(address, domain.address)
    chosen: Any = UNSET if default is None else default
    if isinstance(domain, domains.RangeDomain):
        if not domain.integer:
            return choices.FloatRange(address, domain.low, domain.high, domain.step, domain.log, chosen)
        low, high, step = int(domain.low), int(domain.high), int(domain.step or 1)
        return choices.IntRange(address, low, high, step, domain.factor, domain.log, chosen)
    # Grammar speaks of candidates by their position, the tree by their label.
    labels = tuple(candidate.label for candidate in domain.candidates)
    written = [candidate.weight for candidate in domain.candidates if candidate.weight is not None]
    if isinstance(default, int):
        chosen = labels[default]
    elif isinstance(default, tuple):
        chosen = tuple(labels[index] for index in default)
    if isinstance(domain, domains.OneOfDomain):
        return choices.OneOf(address, labels, chosen, weights=tuple(written) or None)
    if isinstance(domain, domains.OrderDomain):
        return choices.Permutation(address, labels, chosen)
    return choices.ManyOf(
        address, labels, domain.low, domain.high, domain.ordered, domain.repeats, chosen,
        weights=tuple(written) or None,
    )  # fmt: skip
