from __future__ import annotations

import ast

import pytest

from symnas.grammar import (
    Annotation,
    DynamicDomain,
    OneOfDomain,
    format_domain,
    parse_annotation,
    parse_module,
)


def read(
    line: str, head: str = "import symnas\nfrom symnas import oneof, manyof, permutate, intv, floatv"
) -> Annotation:
    parsed = parse_module(f"{head}\n{line}\n", "m.py")
    assert [str(error) for error in parsed.errors] == []
    (found,) = parsed.annotations
    return found


@pytest.mark.parametrize(
    ("call", "comment", "default"),
    [
        ("oneof([16, 32, 64])", "{16, 32, 64}", 0),
        ("oneof((16, 32), default=32)", "{16, 32}", 1),
        ("oneof([nn.ReLU, nn.GELU])", "{nn.ReLU, nn.GELU}", 0),
        ("oneof(candidates=[1, 2])", "{1, 2}", 0),
        ("oneof([lambda: nn.ReLU(), lambda: nn.GELU()])", "{nn.ReLU(), nn.GELU()}", 0),
        ("oneof([lambda: f(oneof([1, 3])), g()])", "{f({1, 3}), g()}", 0),
        ("oneof([f(intv(1, 6), floatv(0, 1)), g()])", "{f(1..6, 0.0..1.0), g()}", 0),
        ("oneof([1, 2], weights=[0.7, 0.3])", "{1 @ 0.7, 2 @ 0.3}", 0),
        ("oneof([(lambda x: x), f])", "{(lambda x: x), f}", 0),
        ("oneof([{1, 2}, 3])", "{({1, 2}), 3}", 0),
        ("manyof(2, ['a', 'b', 'c'])", "2 of {'a', 'b', 'c'}", (0, 1)),
        ("manyof((1, 3), [a, b, c], ordered=True)", "1..3 of {a, b, c} ordered", (0,)),
        ("manyof(2, [a, b], repeats=True, default=[b, b])", "2 of {a, b} with repeats", (1, 1)),
        ("permutate([a, b, c])", "order of {a, b, c}", (0, 1, 2)),
        ("permutate([a, b], default=[b, a])", "order of {a, b}", (1, 0)),
        ("intv(1, 6)", "1..6", 1),
        ("intv(16, 256, step=16, default=32)", "16..256 step 16", 32),
        ("intv(16, 256, factor=2)", "16..256 x 2", 16),
        ("floatv(0.0, 0.5)", "0.0..0.5", 0.0),
        ("floatv(0, 1, default=0.5)", "0.0..1.0", 0.5),
        ("floatv(1e-4, 1e-1, log=True)", "log 1e-4..1e-1", 1e-4),
        ("oneof([1, 2], name=None, default=None, weights=None)", "{1, 2}", 0),
        ("oneof([1, None], default=None)", "{1, None}", 0),
        ("intv(1, 6, step=None, default=None)", "1..6", 1),
    ],
)
def test_both_spellings_mean_the_same(call: str, comment: str, default: object) -> None:
    found = read(f"k = {call}")
    assert found.domain == parse_annotation(comment).domain
    assert (found.default, found.spelling, found.match) == (default, "call", "candidate")


def test_both_spellings_describe_alike() -> None:
    call = read("def f():\n    for i in j:\n        k = oneof([1, 3], default=3, name='kernel', shared=True)")
    comment = read("def f():\n    for i in j:\n        k = 3  # search: {1, 3} as kernel shared")
    for field in ("domain", "default", "name", "shared", "role", "scope", "in_loop"):
        assert getattr(call, field) == getattr(comment, field)


@pytest.mark.parametrize(
    ("head", "call"),
    [
        ("import symnas", "symnas.oneof([1, 2])"),
        ("import symnas as s", "s.oneof([1, 2])"),
        ("from symnas import oneof as pick", "pick([1, 2])"),
        ("from symnas.frontend.choice_calls import oneof", "oneof([1, 2])"),
        ("from symnas import *", "oneof([1, 2])"),
    ],
)
def test_names_are_resolved_by_their_imports(head: str, call: str) -> None:
    assert read(f"k = {call}", head).default == 0


@pytest.mark.parametrize(
    "source",
    [
        "k = oneof([1, 2])\n",
        "import pyglove as pg\nk = pg.oneof([1, 2])\n",
        "from symnas import oneof\ndef oneof(x): ...\nk = oneof([1, 2])\n",
        "from random import choice as oneof\nk = oneof([1, 2])\n",
    ],
)
def test_other_functions_of_the_name_are_left_alone(source: str) -> None:
    parsed = parse_module(source, "m.py")
    assert (parsed.annotations, parsed.errors) == ((), ())


def test_a_piece_of_a_module_is_told_its_imports() -> None:
    parsed = parse_module("k = oneof([1, 2])\n", "m.py", imports={"oneof": "symnas.oneof"})
    assert len(parsed.annotations) == 1


@pytest.mark.parametrize(
    "call", ["oneof(KERNELS)", "oneof([k for k in KS])", "oneof([1, *KS])", "intv(1, n)", "manyof(n, [1, 2])"]
)
def test_what_the_run_must_tell_is_dynamic(call: str) -> None:
    found = read(f"k = {call}")
    assert isinstance(found.domain, DynamicDomain)
    assert (found.match, found.default, found.domain.kind) == ("value", None, call.split("(")[0])
    assert all(any(node is value for node in ast.walk(found.node)) for _, value in found.domain.arguments)


def test_candidates_are_the_nodes_of_the_tree() -> None:
    found = read("k = oneof([lambda: f(oneof([1, 3], name='inner')), g()])")
    assert isinstance(found.domain, OneOfDomain)
    assert isinstance(found.node, ast.Call)
    (nested,) = found.domain.candidates[0].nested
    assert nested.name == "inner"
    for candidate in found.domain.candidates:
        assert any(node is candidate.expr for node in ast.walk(found.node))
    assert any(node is nested.node for node in ast.walk(found.node))
    assert format_domain(found.domain) == "{f({1, 3}), g()}"


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        ("oneof([])", "empty-choice", "at least one candidate"),
        ("oneof([1, 1])", "duplicate-candidate", "`1` stands here twice"),
        ("oneof([1, 2], default=3)", "call-arguments", "`3` was given"),
        ("oneof([1, 2], defualt=2)", "call-arguments", "did you mean 'default'"),
        ("oneof([1, 2], weights=[1])", "call-arguments", "for each of 2 candidates"),
        ("oneof([1, 2], name='a b')", "call-arguments", "identifier"),
        ("oneof(1, 2)", "call-arguments", "takes 1 positional arguments, and got 2"),
        ("oneof()", "call-arguments", "'candidates' is missing"),
        ("intv(6, 1)", "reversed-range", r"6\.\.1"),
        ("intv(1, 6, default=9)", "default-outside-the-range", "the default"),
        ("intv(0.5, 2)", "call-arguments", "whole number"),
        ("intv(1, 9, step=2, default=2)", "default-off-the-grid", "neighbours are 1 and 3"),
        ("floatv(0.0, 1.0, log=True)", "log-not-positive", "above zero"),
        ("manyof(3, [1, 2])", "subset-too-large", "3 are asked of 2"),
        ("permutate([1])", "single-candidate-order", "at least two"),
    ],
)
def test_mistakes_in_calls(call: str, code: str, says: str) -> None:
    parsed = parse_module(f"from symnas import *\nk = {call}\n", "m.py")
    (error,) = parsed.errors
    assert error.code == code
    with pytest.raises(type(error), match=says):
        raise error
