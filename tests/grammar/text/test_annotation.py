from __future__ import annotations

import ast

import pytest

from symnas.grammar import (
    OneOfDomain,
    OrderDomain,
    RangeDomain,
    SubsetDomain,
    TieDomain,
    format_annotation,
    parse_annotation,
)


def labels_of(text: str) -> list[object]:
    domain = parse_annotation(text).domain
    assert isinstance(domain, OneOfDomain | SubsetDomain | OrderDomain)
    return [candidate.label for candidate in domain.candidates]


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("1..6", RangeDomain(1, 6)),
        ("-5..5", RangeDomain(-5, 5)),
        ("16..256 step 16", RangeDomain(16, 256, 16)),
        ("16..256 x 2", RangeDomain(16, 256, None, 2)),
        ("1_000 .. 2_000", RangeDomain(1000, 2000)),
        ("0.0..0.5", RangeDomain(0.0, 0.5)),
        ("0..0.5", RangeDomain(0.0, 0.5)),
        ("1..2 step 0.25", RangeDomain(1.0, 2.0, 0.25)),
        ("log 1e-4..1e-1", RangeDomain(1e-4, 1e-1, log=True)),
        ("log 16..256", RangeDomain(16, 256, log=True)),
        ("same as stage[0].block.k", TieDomain("stage[0].block.k")),
        ("same as op:conv.kernel_size", TieDomain("op:conv.kernel_size")),
    ],
)
def test_domains_without_candidates(text: str, domain: object) -> None:
    assert parse_annotation(text).domain == domain


def test_ranges_know_their_values() -> None:
    assert RangeDomain(1, 10, 3).values() == (1, 4, 7, 10)
    assert RangeDomain(16, 100, None, 2).values() == (16, 32, 64)
    assert RangeDomain(0.0, 1.0, 0.1).contains(0.3)
    assert not RangeDomain(0.0, 1.0, 0.1).contains(0.35)
    assert not RangeDomain(1, 6).contains(True)
    assert not RangeDomain(1, 6).contains(3.0)


def test_literals_label_themselves_and_types_differ() -> None:
    found = labels_of("{-1, 1e-4, 1_000, 0x10, 'same', None, True, 1, 1.0}")
    assert found == [-1, 1e-4, 1000, 16, "same", None, True, 1, 1.0]
    assert [type(label) for label in found[-3:]] == [bool, int, float]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{nn.ReLU(), nn.GELU(), None}", ["ReLU", "GELU", None]),
        ("{nn.ReLU, nn.GELU}", ["ReLU", "GELU"]),
        (
            "{nn.Conv2d(c, c, 3), nn.Conv2d(c, c, 5), nn.Identity()}",
            ["Conv2d(c, c, 3)", "Conv2d(c, c, 5)", "Identity"],
        ),
        ("{nn.relu(x), F.relu(x)}", ["nn.relu(x)", "F.relu(x)"]),
        ("{dim, 4 * dim}", ["dim", "4 * dim"]),
        ("{conv: nn.Conv2d(c, c, 3), nn.Identity()}", ["conv", "Identity"]),
        ("{off: 0.0, on: 0.1..0.5}", ["off", "on"]),
        ("{(3, 3), [1, 2]}", ["(3, 3)", "[1, 2]"]),
        ("{'ReLU', nn.ReLU()}", ["ReLU", "ReLU()"]),
    ],
)
def test_other_candidates_have_their_shortest_distinct_text(text: str, expected: list[object]) -> None:
    assert labels_of(text) == expected


def test_subsets_orders_and_clauses() -> None:
    read = parse_annotation(
        "1..3 of {a, b, c} with repeats ordered as ops shared require params < 1e6 require a != b"
    )
    domain = read.domain
    assert isinstance(domain, SubsetDomain)
    assert (domain.low, domain.high, domain.repeats, domain.ordered) == (1, 3, True, True)
    assert (read.name, read.shared, read.requires) == ("ops", True, ("params < 1e6", "a != b"))
    assert isinstance(parse_annotation("order of {a, b}").domain, OrderDomain)
    assert parse_annotation("kernel_size in {1, 3}").target == "kernel_size"


def test_requirements_stand_alone_and_are_plain_python() -> None:
    read = parse_annotation("require k in {1, 3} and params < 1e6")
    assert read.domain is None
    assert read.requires == ("k in {1, 3} and params < 1e6",)


def test_priors_end_their_candidate() -> None:
    domain = parse_annotation("{nn.Conv2d(c, c, 3) @ 0.7, a @ b @ 0.3}").domain
    assert isinstance(domain, OneOfDomain)
    assert [(c.text, c.weight) for c in domain.candidates] == [("nn.Conv2d(c, c, 3)", 0.7), ("a @ b", 0.3)]


def test_sets_inside_candidates_are_choices_all_the_way_down() -> None:
    domain = parse_annotation("{f(k={1, 3}, p=0.0..0.5), g({h({1, 2}), 2 of {a, b, c}})}").domain
    assert isinstance(domain, OneOfDomain)
    first, second = domain.candidates
    assert [type(inner) for _, inner in first.nested] == [OneOfDomain, RangeDomain]
    ((_, choice),) = second.nested
    assert isinstance(choice, OneOfDomain)
    assert [type(inner) for c in choice.candidates for _, inner in c.nested] == [OneOfDomain, SubsetDomain]
    for nested in first.nested:
        assert any(node is nested.node for node in ast.walk(first.expr))


@pytest.mark.parametrize(
    "text",
    [
        "{({1, 2}), 3}",
        "{f(({1, 2})), 3}",
        "{(lambda x: x in {1, 2}), f}",
        "{(a @ 0.5), b}",
        "{f(a @ 2, 3), b}",
        "{{'a': 1, 'b': 2}, c}",
        "{f({}), c}",
        "{f({x for x in y}), c}",
        "{f({**a}), c}",
        "{{1: 2}[k], c}",
    ],
)
def test_parentheses_and_pythons_own_braces_are_left_alone(text: str) -> None:
    domain = parse_annotation(text).domain
    assert isinstance(domain, OneOfDomain)
    assert all(candidate.nested == () and candidate.weight is None for candidate in domain.candidates)


def test_the_parentheses_of_a_tuple_protect_nothing() -> None:
    domain = parse_annotation("{(1, {2, 3}), (4, 5)}").domain
    assert isinstance(domain, OneOfDomain)
    assert len(domain.candidates[0].nested) == 1


def test_words_of_the_language_are_names_inside_candidates() -> None:
    assert labels_of("{shared, ordered, order, of, step, log, x, require}") == [
        "shared", "ordered", "order", "of", "step", "log", "x", "require",
    ]  # fmt: skip
    assert labels_of("{y if x else z, not x, x in z}") == ["y if x else z", "not x", "x in z"]


def test_candidates_carry_their_place_in_the_file() -> None:
    domain = parse_annotation("{a,\n  nn.Conv2d(é, {1, 3})}", file="m.py", line=10, column=20).domain
    assert isinstance(domain, OneOfDomain)
    first, second = domain.candidates
    assert (first.expr.lineno, first.expr.col_offset) == (10, 21)
    assert (second.expr.lineno, second.expr.col_offset) == (11, 2)
    (nested,) = second.nested
    assert (nested.node.lineno, nested.node.col_offset) == (11, 2 + len("nn.Conv2d(é, ".encode()))


def test_printing_joins_lines() -> None:
    read = parse_annotation("{a,\n   f(1,\n     2),} as k")
    assert format_annotation(read) == "{a, f(1, 2)} as k"
    assert str(read.domain) == "{a, f(1, 2)}"
