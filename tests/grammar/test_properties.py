from __future__ import annotations

import ast
import keyword

from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.errors import AnnotationError
from symnas.grammar import (
    OneOfDomain,
    RangeDomain,
    format_annotation,
    format_domain,
    parse_annotation,
    parse_module,
)
from symnas.grammar.attachment.matching import fit
from symnas.grammar.mistakes import catalogue

RESERVED = {"shared", "require", "order", "log", "same", "_"}
names = st.from_regex(r"[a-z][a-z_]{0,5}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name not in RESERVED
)
weights = st.floats(0.001, 1000.0, allow_nan=False)
literals = st.one_of(
    st.integers(-99, 99).map(repr),
    st.floats(-1e6, 1e6, allow_nan=False).map(repr),
    st.sampled_from(["True", "None", "'same'", '"a, {b} @ 0.5"', "f'{x}'", "'it\\'s'", "1e-4", "1_000"]),
)


@st.composite
def ranges(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        low = draw(st.integers(-50, 50))
        high = low + draw(st.integers(1, 99))
        step = draw(st.integers(1, high - low))
        return draw(st.sampled_from([f"{low}..{high}", f"{low} .. {high}", f"{low}..{high} step {step}"]))
    low_real = draw(st.floats(0.001, 10.0))
    high_real = low_real + draw(st.floats(0.001, 10.0))
    return draw(st.sampled_from(["", "log "])) + f"{low_real!r}..{high_real!r}"


@st.composite
def choices(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    found = draw(st.lists(inner, min_size=1, max_size=4))
    # Labels make every draw a legal choice, whatever the candidates are.
    parts = [f"l{index}: {text}" for index, text in enumerate(found)]
    if draw(st.booleans()):
        parts = [f"{part} @ {draw(weights)!r}" for part in parts]
    return "{" + ", ".join(parts) + draw(st.sampled_from(["}", ",}", " }", "\n}"]))


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    nested = st.one_of(choices(inner), ranges())
    return st.one_of(
        st.tuples(names, inner).map(lambda t: f"nn.{t[0]}({t[1]})"),
        st.tuples(names, nested, inner).map(lambda t: f"{t[0]}({t[2]}, k={t[1]})"),
        st.tuples(inner, nested).map(lambda t: f"[{t[0]}, {t[1]}]"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} + {t[1]})"),
        inner.map(lambda text: f"(lambda x: {text})"),
    )


candidates = st.recursive(st.one_of(literals, names), wrapped, max_leaves=6)


@st.composite
def annotations(draw: st.DrawFn) -> str:
    choice = draw(choices(candidates))
    count = choice.count("l0:") and 1
    domain = draw(
        st.one_of(
            st.just(choice),
            st.just(f"{count} of {choice} ordered"),
            st.just(f"1..3 of {choice} with repeats"),
            ranges(),
            names.map(lambda name: f"same as {name}[0].{name}"),
        )
    )
    head = draw(st.one_of(st.just(""), names.map(lambda name: f"{name} in ")))
    tail = draw(st.sampled_from(["", " shared", " require params < 1e6 and k in {1, 3}"]))
    return head + domain + draw(st.one_of(st.just(""), names.map(lambda name: f" as {name}"))) + tail


def code_of(text: str) -> str | None:
    try:
        parse_annotation(text)
    except AnnotationError as error:
        return error.code
    return None


@settings(max_examples=150, deadline=None)
@given(annotations())
def test_reading_a_print_gives_the_same(text: str) -> None:
    # A few draws put labels into plain parentheses, where they are no expression of Python's.
    code = code_of(text)
    assert code in {None, "bad-candidate", "bad-label"}
    if code is None:
        first = parse_annotation(text)
        printed = format_annotation(first)
        second = parse_annotation(printed)
        assert second == first
        assert format_annotation(second) == printed


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="{}[]()ab1. ,:@'\"xofin#=\n-", max_size=25))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    assert code_of(text) in {None, *(entry.code for entry in catalogue.ALL)}


@settings(max_examples=100, deadline=None)
@given(st.lists(literals, min_size=1, max_size=5), st.data())
def test_every_candidate_is_found_as_itself(texts: list[str], data: st.DataObject) -> None:
    unique = list({ast.dump(ast.parse(text, mode="eval")): text for text in texts}.values())
    index = data.draw(st.integers(0, len(unique) - 1))
    domain = "{" + ", ".join(f"l{i}: {text}" for i, text in enumerate(unique)) + "}"
    parsed = parse_module(f"value = {unique[index]}  # search: {domain}\n", "m.py")
    assert parsed.errors == ()
    assert parsed.annotations[0].default == index


@settings(max_examples=100, deadline=None)
@given(ranges(), st.integers(-60, 160))
def test_a_range_holds_what_arithmetic_says(text: str, value: int) -> None:
    domain = parse_annotation(text).domain
    assert isinstance(domain, RangeDomain)
    if domain.integer:
        assert domain.contains(value) == (value in domain.values())
    assert domain.contains(domain.low)
    assert parse_annotation(format_domain(domain)).domain == domain


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True), st.data())
def test_nested_choices_find_their_value_in_the_code(values: list[int], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(values))
    choice = "{" + ", ".join(map(str, values)) + "}"
    domain = parse_annotation(f"{{f(a, {choice}), g(h({choice}))}}").domain
    assert isinstance(domain, OneOfDomain)
    found = fit(ast.parse(f"g(h({chosen}))", mode="eval").body, domain)
    assert found is not None
    assert found.default == 1
    assert isinstance(found.domain, OneOfDomain)
    assert found.domain.candidates[1].nested[0].default == values.index(chosen)
