"""Decide which expression an annotation comment describes.

The rule, in this order (`_Chooser`): `NAME in DOMAIN` describes the value of that name. Without a name, of
all expressions of the line that are values of the domain the outermost is described; if several are, those of
the comment's own physical line; if still several, it is an error that says how to tell them apart. A literal
among several arguments counts if it is the only one on the comment's line of a call over several lines. If
none is a value of the domain, the one value that the line assigns is described, and the program will tell
whether it is one of the candidates.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from symnas.errors import AnnotationError, nearest
from symnas.grammar.attachment import items, verdicts
from symnas.grammar.attachment.annotation import Annotation
from symnas.grammar.attachment.finding import Findings, Match, is_range, search, turns_of
from symnas.grammar.attachment.matching import Fit, fit
from symnas.grammar.attachment.naming import Named, Parameters, named_values
from symnas.grammar.attachment.roots import Root
from symnas.grammar.domains.model import Domain, RangeDomain, TieDomain
from symnas.grammar.mistakes import catalogue
from symnas.grammar.text.annotation import AnnotationText
from symnas.grammar.text.comments import Comment


class Line(NamedTuple):
    """What an annotation may describe: the roots of its logical line, and the means to name their values."""

    roots: Sequence[Root]
    parameters: Parameters
    preferred: int | None = None


def attach(text: AnnotationText, comment: Comment, line: Line) -> list[Annotation]:
    """Return the annotation of one comment, attached; of `each in DOMAIN` one for every item.

    Args:
        text: what the comment says; its domain is not None.
        comment: where it stands.
        line: what it may describe.

    Raises:
        AnnotationError: nothing fits, several expressions do, or the value in the code is not in the domain.
    """
    assert text.domain is not None
    chooser = _Chooser(text, text.domain, comment, line)
    some = items.each_of(text, chooser.named, line.roots, chooser.fail)
    return [_attached(one, chooser, comment) for one in some]


def _attached(text: AnnotationText, chooser: _Chooser, comment: Comment) -> Annotation:
    match = chooser.by_name(text.target) if text.target is not None else chooser.by_rule()
    domain, default = match.fit or Fit(chooser.domain, None)
    chooser.check_grid(domain, match)
    root = match.root
    return Annotation(
        domain=domain,
        node=match.node,
        statement=root.statement,
        role="turns" if match.turns else root.role,
        match="value" if match.fit is None else "candidate",
        default=default,
        location=comment.passage.whole,
        spelling="comment",
        name=text.name,
        shared=text.shared,
        requires=text.requires,
        target=text.target,
        parameter=root.parameter,
        scope=root.scope,
        in_loop=root.in_loop or in_comprehension(root.expr, match.node),
    )


def in_comprehension(root: ast.expr, node: ast.expr) -> bool:
    """Whether a comprehension of `root` evaluates `node` once per turn."""
    for outer in ast.walk(root):
        if isinstance(outer, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            # The first iterable is evaluated once, before the turns.
            first = outer.generators[0].iter
            inside = any(child is node for child in ast.walk(outer)) and outer is not node
            if inside and not any(child is node for child in ast.walk(first)):
                return True
    return False


class _Chooser:
    """The attachment rule for one comment."""

    def __init__(self, text: AnnotationText, domain: Domain, comment: Comment, line: Line) -> None:
        self.text = text
        self.domain = domain
        self.comment = comment
        self.line = line
        self.named = list(named_values(line.roots, line.parameters))

    def fail(self, code: str, **fields: object) -> AnnotationError:
        return catalogue.mistake(code, self.comment.passage.whole, **fields)

    def by_rule(self) -> Match:
        """Return the outermost expression that is a candidate, else the line's one value."""
        if isinstance(self.domain, TieDomain):
            return self.tied([root for root in self.line.roots if root.whole])
        return self.one_of(search([(root.expr, root) for root in self.line.roots], self.domain))

    def one_of(self, found: Findings) -> Match:
        # The order of these tests is the order in which messages help: what almost fitted comes before what
        # did not fit at all.
        matches = self.nearby(found.matches)
        self.refuse_real_turns(found)
        if len(matches) == 1:
            return matches[0]
        if matches:
            given = ", ".join(f"`{ast.unparse(match.node)}`" for match in matches)
            raise self.fail(
                "several-matches", count=len(matches), given=given, wordings=self.wordings(matches)
            )
        if (alone := self.only_literal(found.refused)) is not None:
            return alone
        if found.refused:
            given = " or ".join(dict.fromkeys(f"`{ast.unparse(match.node)}`" for match in found.refused))
            raise self.fail("literal-among-arguments", given=given, wordings=self.wordings(found.refused))
        if found.outside:
            _, turns = found.outside[0]
            raise verdicts.outside(self.domain, str(turns) + " turns", turns, self.fail)
        if len(found.computed) == 1:
            return found.computed[0]
        return self.assigned()

    def only_literal(self, refused: list[Match]) -> Match | None:
        """Return the argument of a call over several lines that is the one literal of the comment's line."""
        at = self.line.preferred
        here = [match for match in refused if match.node.lineno == at]
        if len(here) != 1 or here[0].call is None or here[0].call.lineno == here[0].call.end_lineno:
            return None
        literals = [
            node
            for root in self.line.roots
            for node in ast.walk(root.expr)
            if isinstance(node, ast.Constant) and node.lineno == at
        ]
        inside = sum(1 for node in ast.walk(here[0].node) if isinstance(node, ast.Constant))
        return here[0] if len(literals) == inside else None

    def nearby(self, matches: list[Match]) -> list[Match]:
        """Of several matches in a statement over many lines, keep those on the comment's own line, if any."""
        if len(matches) < 2 or self.line.preferred is None:
            return matches
        at = self.line.preferred
        near = [match for match in matches if match.node.lineno <= at <= (match.node.end_lineno or 0)]
        return near or matches

    def refuse_real_turns(self, found: Findings) -> None:
        if not isinstance(self.domain, RangeDomain):
            return
        loops = [root for root in self.line.roots if isinstance(root.statement, ast.For | ast.AsyncFor)]
        if loops and not found.matches and not self.domain.integer and is_range(loops[0].expr):
            raise self.fail("real-turns")

    def assigned(self) -> Match:
        """Return the one value that the line assigns, to be compared when the program runs."""
        values = [root for root in self.line.roots if root.assigned]
        if len(values) != 1 or len(self.line.roots) != 1:
            raise self.fail("no-match", wordings=self.advice())
        return self.computed(values[0].expr, values[0])

    def computed(self, node: ast.expr, root: Root, turns: bool = False) -> Match:
        """Take a value that only the run will tell, unless it plainly is none of the candidates."""
        error = verdicts.impossible(node, self.domain, self.fail)
        if error is not None:
            raise error
        return Match(node, root, None, turns=turns)

    def tied(self, roots: Sequence[Root]) -> Match:
        """Return what a tie describes: the one value of the line, whatever it is."""
        if len(roots) != 1:
            raise self.fail("no-match", wordings=self.advice())
        root = roots[0]
        looped = isinstance(root.statement, ast.For | ast.AsyncFor)
        return Match(root.expr, root, None, turns=looped and is_range(root.expr))

    def by_name(self, target: str) -> Match:
        """Return the value that `NAME in DOMAIN` means."""
        if "[" in target:
            return self.named_match(items.item(target, self.named, self.line.roots, self.fail))
        places = self.near_names([place for place in self.named if place.name == target])
        if not places:
            guessed = self.by_position()
            if guessed is not None:
                return guessed
            known = sorted({place.name for place in self.named})
            listed = ", ".join(known) if known else "none: assign the value to a variable first"
            raise self.fail(
                "unknown-target", given=f"`{target}`", nearest=nearest(target, known), known=listed
            )
        if len(places) > 1:
            # `f(k=3), g(k=x)`: of values of one name the only one that fits is meant.
            fitting = [place for place in places if fit(place.node, self.domain)]
            if len(fitting) != 1:
                raise self.fail("several-targets", given=f"`{target}`", count=len(places))
            places = fitting
        return self.named_match(places[0])

    def near_names(self, places: list[Named]) -> list[Named]:
        distinct = list({id(place.node): place for place in places}.values())
        at = self.line.preferred
        if len(distinct) < 2 or at is None:
            return distinct
        return [p for p in distinct if p.node.lineno <= at <= (p.node.end_lineno or 0)] or distinct

    def named_match(self, place: Named) -> Match:
        domain, node = self.domain, place.node
        if isinstance(domain, RangeDomain) and place.turns and is_range(node):
            return self.named_turns(place, domain)
        if isinstance(domain, TieDomain):
            return Match(node, place.root, None, turns=place.turns and is_range(node))
        if (found := fit(node, domain)) is not None:
            return Match(node, place.root, found)
        # The name may be that of a collection, of which one item is meant.
        inner = search([(node, place.root)], domain)
        matches = self.nearby(inner.matches)
        if len(matches) == 1 or (matches and not isinstance(node, ast.IfExp | ast.BoolOp | ast.Subscript)):
            return self.one_of(replace_matches(inner, matches))
        return self.computed(node, place.root)

    def named_turns(self, place: Named, domain: RangeDomain) -> Match:
        turns = turns_of(place.node)
        if not domain.integer:
            raise self.fail("real-turns")
        if turns is None:
            return Match(place.node, place.root, None, turns=True)
        if not domain.lies_within(turns):
            raise verdicts.outside(domain, f"{turns} turns", turns, self.fail)
        return Match(place.node, place.root, Fit(domain, turns), turns=True)

    def by_position(self) -> Match | None:
        """Take the named parameter to be the one positional literal that fits, if no signature is known."""
        # Where a signature is known, its parameters are names already, and this is not asked.
        found = search([(root.expr, root) for root in self.line.roots], self.domain)
        unknown = []
        for match in [*found.refused, *found.matches]:
            call = match.call or self.call_of(match)
            if (
                call is not None
                and match.keyword is None
                and self.line.parameters(ast.unparse(call.func)) is None
            ):
                unknown.append(match)
        return unknown[0] if len(unknown) == 1 else None

    def call_of(self, match: Match) -> ast.Call | None:
        for node in ast.walk(match.root.expr):
            if isinstance(node, ast.Call) and any(argument is match.node for argument in node.args):
                return node
        return None

    def check_grid(self, domain: Domain, match: Match) -> None:
        # `fit` looks at the ends of a range alone, so that a number between its values gets a message of its
        # own.
        if match.fit is not None and isinstance(domain, RangeDomain):
            error = verdicts.off_grid(domain, match.fit.default, self.fail)
            if error is not None:
                raise error
        if match.turns and isinstance(domain, RangeDomain) and domain.low < 0:
            raise self.fail("negative-turns", given=domain.low)

    def wordings(self, matches: Sequence[Match]) -> str:
        """Return how each match would be asked for by name."""
        ways = []
        for match in matches:
            name = next((place.name for place in self.named if place.node is match.node), None)
            if name is not None:
                ways.append(f"`{name} in {verdicts.shown(self.domain)}`")
        named = f"`NAME in {verdicts.shown(self.domain)}`"
        advice = (
            f"give it a name ({named}, NAME being its variable, keyword or parameter) or a line of its own"
        )
        unnamed = len(ways) < len(matches)
        return " or ".join([*dict.fromkeys(ways), advice] if unnamed else dict.fromkeys(ways))

    def advice(self) -> str:
        if not self.line.roots:
            return "put it at the line that holds the value"
        domain = verdicts.shown(self.domain)
        return (
            f"write the value as one of {domain}, name it (`NAME in {domain}`), or assign it to a variable "
            "on a line of its own and annotate that line"
        )


def replace_matches(found: Findings, matches: list[Match]) -> Findings:
    """Return findings with other matches."""
    return replace(found, matches=matches)
