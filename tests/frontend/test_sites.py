"""A choice's domain is one thing from the text to the tree: the node that every visit is a copy of."""

from __future__ import annotations

import re

import pytest

import symnas
from symnas.errors import DecisionError, ProgramError, SpaceError
from symnas.frontend import execution
from symnas.frontend.run import Run
from symnas.frontend.sites import point_of
from symnas.grammar import parse_annotation

TEXTS = [
    "{16, 32, 64}",
    "{True, 1, 1.0, None}",
    "2 of {a, b, c}",
    "1..2 of {a, b} with repeats ordered",
    "order of {a, b, c}",
    "1..6",
    "16..256 step 16",
    "16..256 x 2",
    "log 1..64",
    "0.0..0.5",
    "0.0..1.0 step 0.25",
    "log 0.0001..0.1",
    "same as stem.width",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_tree_says_a_domain_as_it_was_written(text):
    domain = parse_annotation(text).domain
    assert str(domain) == text
    assert point_of(domain, None, "p").domain == text


def test_weights_and_defaults_go_along():
    point = point_of(parse_annotation("{a @ 3, b @ 1}").domain, 1, "p")
    assert (point.weights, point.default) == ((3.0, 1.0), "b")
    assert point_of(parse_annotation("2 of {a, b, c}").domain, (2, 0), "p").default == ("a", "c")
    assert point_of(parse_annotation("order of {a, b}").domain, (1, 0), "p").default == ("b", "a")
    assert point_of(parse_annotation("1..6").domain, 3, "p").default == 3


def width(size=3):
    k = size * 2  # search: 1..6
    return k + 0


def several(low=1, names=("a", "b")):
    return symnas.oneof(names, name="first"), symnas.intv(low, 4, name="second")


def run(target, values, **kwargs):
    found = Run(values)
    result = execution.execute(symnas.program(target, **kwargs), found)
    return result, {visit.address: visit for visit in found.trace}


def test_a_default_that_the_code_computes_is_the_visits_own():
    program = symnas.program(width)
    site = next(site for site in program.internals.source_set.sites if site.path == "k")
    assert not site.default_known
    for size in (1, 2):
        made = symnas.program(width, size=size)
        found = Run()
        assert execution.execute(made, found) == 2 * size
        assert found.trace[0].point == symnas.IntRange("k", 1, 6, default=2 * size)
    assert site.prototype == symnas.IntRange(site.origin, 1, 6)


def test_what_the_code_computes_must_be_a_value():
    with pytest.raises(ProgramError, match=r"it computed 18, and the choice is 1\.\.6"):
        run(width, {}, size=9)


def test_a_value_is_refused_at_the_address_of_the_visit():
    with pytest.raises(DecisionError, match=r"^k: the value must be one of 1\.\.6, got 7$"):
        run(width, {"k": 7})
    with pytest.raises(DecisionError, match=r"^first: the value must be one of \{a, b\}, got 'c'$"):
        run(several, {"first": "c"})


def test_a_choice_known_at_run_time_has_the_same_points():
    result, visits = run(several, {"second": 3}, low=2)
    assert result == ("a", 3)
    assert visits["first"].point == symnas.OneOf("first", ("a", "b"))
    assert visits["second"].point == symnas.IntRange("second", 2, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"names": ("a", "a")}, "candidates must differ, 'a' is given twice"),
        ({"low": 9}, "a range needs low <= high"),
    ],
)
def test_a_malformed_choice_is_told_where_it_stands(given, message):
    with pytest.raises(SpaceError, match=rf"test_sites\.py:\d+: {re.escape(message)}"):
        run(several, {}, **given)


def test_a_choice_without_candidates_is_refused_in_and_outside_a_run():
    for call in (lambda: several(names=()), lambda: run(several, {}, names=())):
        with pytest.raises(ProgramError, match="oneof: a choice has at least one candidate, got none"):
            call()
