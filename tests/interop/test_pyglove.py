"""Spaces and decisions to and from PyGlove, and its templates as programs."""

from __future__ import annotations

import pickle

import numpy as np
import pyglove as pg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyglove.core import geno
from strategies import spaces

from symnas.errors import DecisionError, ProgramError, SpaceError
from symnas.interop.pyglove import TemplateProgram, dna_spec, from_dna, is_template, space_from_spec, to_dna
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, OneOf, Permutation, Tied
from symnas.tree.space import Space


def block(turn: int) -> tuple[OneOf, ...]:
    rate = FloatRange(f"block[{turn}].drop:on.p", 0.0, 0.5)
    return (
        OneOf(f"block[{turn}].k", (1, 3, 5)),
        OneOf(f"block[{turn}].drop", ("off", "on"), branches=(Branch((1,), (rate,)),)),
    )


def rich_space(real: bool = False) -> Space:
    turns = tuple(Branch(range(t, 2), block(t)) for t in range(2))
    twice = tuple(Branch((0,), (OneOf(f"m[{n}]:a.z", (1, 2)),), n) for n in range(2))
    space = Space(
        (
            IntRange("depth", 1, 2, branches=turns),
            ManyOf("m", ("a", "b"), 2, 2, repeats=True, branches=twice),
            ManyOf("some", ("x", "y", "z"), 0, 2),
            Permutation(
                "order", (1, 2, 3), branches=(Branch((0, 1, 2), (OneOf("order.t", (True, False)),)),)
            ),
            Tied("again", "depth"),
        )
    )
    if real:
        return space
    rates = {address: {0.25} for address in space.select("**.p")}
    return space.restrict(rates)


def small_spaces() -> list[Space]:
    """Return the parts of the rich space, each small enough for PyGlove to list."""
    depth, m, some, order, _ = rich_space().points
    return [Space((depth,)), Space((m,)), Space((some, order)), Space((some, Tied("again", "some")))]


@pytest.mark.parametrize("space", small_spaces(), ids=["loop", "repeats", "order", "tie"])
def test_equal_spaces_enumerate_equal_sets(space: Space) -> None:
    spec = dna_spec(space)
    theirs = list(spec.iter_dna())
    listed = {from_dna(space, dna) for dna in theirs}
    assert listed == set(space.enumerate())
    assert len(listed) == len(theirs) == spec.space_size == space.size
    picked = list(space.enumerate())[::7]
    assert all(from_dna(space, to_dna(decision, spec)) == decision for decision in picked)
    assert set(map(str, (to_dna(decision, spec) for decision in picked))) <= set(map(str, theirs))
    assert space_from_spec(spec) == space


@settings(max_examples=25, deadline=None)
@given(spaces(points=5, finite=True, most=40))
def test_random_spaces_cross_over_or_are_refused_by_name(space: Space) -> None:
    refusal = None
    try:
        spec = dna_spec(space)
    except SpaceError as error:
        refusal = str(error)
    if refusal is not None:
        assert "PyGlove" in refusal
        assert any(refusal.startswith(address) for address in space.addresses)
        return
    listed = [from_dna(space, dna) for dna in spec.iter_dna()] if len(spec.elements) else [space.default]
    assert len(listed) == space.size
    assert set(listed) == set(space.enumerate())
    assert space_from_spec(spec) == space


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_real_values_cross_exactly(seed: int) -> None:
    space = rich_space(real=True)
    spec = dna_spec(space)
    for decision in space.sample(5, np.random.default_rng(seed)):
        assert from_dna(space, to_dna(decision, spec)) == decision
        assert to_dna(from_dna(space, geno.random_dna(spec))) is not None


def test_foreign_specs_become_trees() -> None:
    value = pg.Dict(
        a=pg.oneof([1, pg.Dict(x=pg.oneof([3, 4]), y=pg.oneof(["u", "v"])), pg.manyof(2, ["p", "q"])]),
        b=pg.manyof(2, ["x", pg.oneof([5, 6])], distinct=False, sorted=True),
        c=pg.permutate(["i", "j"]),
    )
    spec = pg.dna_spec(value)
    space = space_from_spec(spec)
    theirs = list(spec.iter_dna())
    assert space.size == spec.space_size == len(theirs)
    assert {from_dna(space, dna) for dna in theirs} == set(space.enumerate())
    assert all(
        from_dna(space, to_dna(decision, spec)) == decision for decision in list(space.enumerate())[::23]
    )
    assert space["c"] == Permutation("c", ("i", "j"))


def test_a_template_is_a_program() -> None:
    template = pg.Dict(width=pg.oneof([16, 32]), rate=pg.floatv(0.1, 0.5), ops=pg.manyof(2, ["a", "b", "c"]))
    program = TemplateProgram(template)
    assert is_template(template)
    assert not is_template(pg.Dict(a=1))
    built = program.build(program.space.default.replace({"width": 32, "rate": 0.25}))
    assert built == pg.Dict(width=32, rate=0.25, ops=["a", "b"])
    assert program.build().width == 16
    again = pickle.loads(pickle.dumps(program.reference)).load()
    assert again.fingerprint == program.fingerprint
    assert again.space == program.space
    for decision in program.space.sample(20, np.random.default_rng(0)):
        child = program.build(decision)
        assert (child.width, child.rate, tuple(child.ops)) == tuple(decision.values())


def test_a_template_without_placeholders_is_refused() -> None:
    with pytest.raises(ProgramError, match="holds none"):
        TemplateProgram(pg.Dict(a=1))


def test_what_pyglove_cannot_express_is_named() -> None:
    guarded = OneOf("b", (1, 2), guards=(Guard(("a",), frozenset({(0,)})),))
    with pytest.raises(SpaceError, match="b: PyGlove has no conditions over several points"):
        dna_spec(Space((OneOf("a", (1, 2)), guarded)))
    tied = Tied("b", "a", branches=(Branch((0,), (OneOf("c", (1,)),)),))
    with pytest.raises(SpaceError, match="b: PyGlove has no ties"):
        dna_spec(Space((OneOf("a", (1, 2)), tied)))
    both = ManyOf("m", ("x", "y"), 2, 2, branches=(Branch((0, 1), (OneOf("c", (1, 2)),)),))
    with pytest.raises(SpaceError, match="m: PyGlove hangs points under one candidate each"):
        dna_spec(Space((both,)))
    listed = ManyOf("m", ("x", "y"), 1, 2, only=(("x",), ("x", "y")))
    with pytest.raises(SpaceError, match="m: PyGlove cannot list"):
        dna_spec(Space((listed,)))
    once = ManyOf("m", ("x", "y"), 2, 2, repeats=True, branches=(Branch((0,), (OneOf("c", (1, 2)),)),))
    with pytest.raises(SpaceError, match="m: PyGlove gives every repetition"):
        dna_spec(Space((once,)))


def test_what_the_tree_cannot_read_is_named() -> None:
    with pytest.raises(SpaceError, match="x: a reversed logarithmic scale"):
        space_from_spec(geno.Space([geno.Float(0.1, 1.0, "rlog", name="x")]))
    with pytest.raises(SpaceError, match="x: only choices and floats can be read"):
        space_from_spec(geno.Space([geno.CustomDecisionPoint(name="x")]))
    with pytest.raises(DecisionError, match="must have the structure of the space"):
        from_dna(rich_space(), geno.DNA([0, 1]))
