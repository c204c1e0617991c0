from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.constraints.clauses import Clause
from symnas.errors import RequirementError

SCOPE = {
    "width": 64,
    "groups": 4,
    "act": "relu",
    "params": 1_250_000,
    "stage[1].k": 5,
    "sizes": [3, 5],
    "none": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "params < 2e6",
        "width % groups == 0",
        "16 <= width <= 64",
        "act in {'relu', 'gelu'}",
        "act not in ('tanh',)",
        "stage[1].k == 5 and sizes[0] == 3",
        "max(sizes) ** 2 < width or False",
        "not (width > 64)",
        "none is None or none > 3",
        "width == (64 if act == 'relu' else 32)",
        "ceil(log2(width)) == 6",
        "sum(sizes) == len(sizes) * 4",
    ],
)
def test_clauses_agree_with_python(text):
    verdict = Clause(text).judge(SCOPE)
    assert (verdict.holds, verdict.gap) == (True, 0.0)
    refused = Clause(f"not ({text})").judge(SCOPE)
    assert not refused.holds
    assert refused.gap > 0


numbers = st.integers(-20, 20)
atoms = st.one_of(numbers.map(str), st.sampled_from(["a", "b", "c"]))
sums = st.recursive(
    atoms,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=5,
)
comparisons = st.tuples(sums, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums).map(" ".join)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})")
        | inner.map(lambda text: f"(not {text})")
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(conditions, numbers, numbers, numbers)
def test_truth_is_pythons_and_the_gap_is_zero_exactly_then(text, a, b, c):
    scope = {"a": a, "b": b, "c": c}
    verdict = Clause(text).judge(scope)
    assert verdict.holds == eval(text, {}, scope)
    assert (verdict.gap == 0) == verdict.holds


def test_the_gap_grows_with_the_distance():
    clause = Clause("params < 1e6 and width <= 32")
    gaps = [
        clause.judge({"params": p, "width": w}).gap for p, w in [(9, 32), (2e6, 32), (3e6, 32), (3e6, 64)]
    ]
    assert gaps == pytest.approx([0, 1, 2, 3])
    assert Clause("a < 1 or b < 1").judge({"a": 3, "b": 1.5}).gap == 0.5


def test_names_and_costs_in_order():
    clause = Clause("max(width, depth) * 2 < params and flops < 1e9")
    assert clause.names == ("width", "depth", "params", "flops")
    assert clause.costs == ("params", "flops")
    assert pickle.loads(pickle.dumps(clause)) == clause
    assert Clause("params < 1").judge({"params": 1250}).detail == "params = 1,250"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "width.__class__",
        "open('x')",
        "[x for x in sizes]",
        "(lambda: 1)()",
        "f'{width}'",
        "max(sizes, key=len)",
        "(y := 3)",
        "act.upper() == 'RELU'",
        "{1: 2}",
    ],
)
def test_unsafe_expressions_are_refused(text):
    with pytest.raises(RequirementError, match="`require` takes comparisons and arithmetic"):
        Clause(text)


def test_mistakes_are_named():
    with pytest.raises(RequirementError, match=r"one Python expression, and 'params <' \(net.py:3\) is none"):
        Clause("params <", "net.py:3")
    with pytest.raises(RequirementError, match=r"needs a value for 'widht' \(did you mean 'width'\?\)"):
        Clause("widht < 3").judge(SCOPE)
    with pytest.raises(RequirementError, match="cannot be calculated: TypeError"):
        Clause("act < 3").judge(SCOPE)
    with pytest.raises(RequirementError, match="a power in `require` is at most 4096"):
        Clause("9 ** 9 ** 9 > 1").judge({})


@pytest.mark.parametrize(
    "text",
    [
        "{1, 2} == {2, 1}",
        "{1, 1, 2} == {2, 1}",
        "not {1, 2} == (1, 2)",
        "{1, 2} != {1, 3}",
        "len({groups, 4, 4}) == 1",
        "{1, 2} <= {2, 1, 3}",
        "{sizes[0], sizes[1]} == {5, 3}",
        "act in {'relu', act}",
        "{act, 'gelu'} == {'gelu', 'relu'}",
        "sum({groups, 4}) == 4",
    ],
)
def test_sets_are_compared_as_sets(text):
    assert Clause(text).judge(SCOPE).holds
    assert eval(text, {"groups": 4, "act": "relu", "sizes": [3, 5]})
