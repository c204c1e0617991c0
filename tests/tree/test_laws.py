"""Laws of the tree, on random spaces with every kind of node."""

from __future__ import annotations

import itertools
import math
import pickle
import random
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import decisions, spaces

from symnas._typing import Value
from symnas.errors import DecisionError, SpaceError
from symnas.tree.choices import Branch, FloatRange, Guard, ManyOf, OneOf, Permutation, Point, Tied
from symnas.tree.layout import walk
from symnas.tree.point import identity
from symnas.tree.space import Batch, Decision, Space

LAWS = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def by_definition(space: Space) -> list[dict[str, Value]]:
    """List all decisions straight from the words of the definition, with none of the library's machinery."""
    return listed_by_definition(space.points)


def listed_by_definition(roots: tuple[Point, ...]) -> list[dict[str, Value]]:
    """List the decisions of a tree; a KeyError where a tie exists and its target does not."""
    whole = list(walk(roots))
    points = {point.address: point for point, _, _ in whole}

    def code(values: dict[str, Value], address: str) -> object:
        point = points[address]
        return resolve(point).code(values[address])

    def resolve(point: Point) -> Point:
        return resolve(points[point.target]) if isinstance(point, Tied) else point

    def exists(values: dict[str, Value], point: Point, parent: Point | None, branch: object) -> bool:
        if parent is not None:
            if parent.address not in values:
                return False
            chosen = code(values, parent.address)
            if isinstance(resolve(parent), ManyOf):
                if sum(c in branch.when for c in chosen) <= branch.occurrence:
                    return False
            elif not isinstance(resolve(parent), Permutation) and chosen not in branch.when:
                return False
        for guard in point.guards:
            row = []
            for address in guard.addresses:
                listed = list(resolve(points[address]).values())
                row.append(-1 if address not in values else position(listed, values[address]))
            if tuple(row) not in guard.allowed:
                return False
        return True

    def position(listed: list[Value], value: Value) -> int:
        return next(i for i, other in enumerate(listed) if repr(other) == repr(value))

    done: list[dict[str, Value]] = [{}]
    for point, parent, branch in whole:
        grown = []
        for values in done:
            if not exists(values, point, parent, branch):
                grown.append(values)
            elif isinstance(point, Tied):
                grown.append({**values, point.address: values[point.target]})
            else:
                grown += [{**values, point.address: value} for value in point.values()]
        done = grown
    ties = {address for address, point in points.items() if isinstance(point, Tied)}
    return [{a: v for a, v in values.items() if a not in ties} for values in done]


REPEATED = [
    Branch((0, 2), (OneOf("m.x", (1, 2, 3)),)),
    Branch((0, 2), (OneOf("m.y", (1, 2)),), 1),
    Branch((1,), (OneOf("m.z", (1, 2)),), 2),
]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("low", [0, 3])
@pytest.mark.parametrize("coupled", range(4))
def test_repeated_choices_count_their_branches_with_and_without_a_coupling(
    ordered: bool, low: int, coupled: int
) -> None:
    """A guard makes counting go through the list of selections, weighed by their uncoupled branches."""
    guard = Guard(("m",), frozenset({(1,), (4,), (7,)}))
    branches = list(REPEATED)
    if coupled < 3:  # a guard over a point of this branch leaves the other two to be counted by selection
        (inner,) = branches[coupled].points
        guard = Guard((inner.address,), frozenset({(-1,), (1,)}))
    many = ManyOf("m", ("a", "b", "c"), low, 3, ordered=ordered, repeats=True, branches=tuple(branches))
    free = Space((many,))
    space = Space((many, OneOf("g", (1, 2), guards=(guard,))))
    for one in (free, space):
        expected = by_definition(one)
        assert one.size == len(expected)
        assert sorted(texts([d.flat() for d in one.enumerate()])) == sorted(texts(expected))
    drawn = space.sample(20 * space.size, np.random.default_rng(0), uniform="space")
    assert {d.key for d in drawn} == {d.key for d in space.enumerate()}


def small_ties() -> list[tuple[Point, ...]]:
    """List trees of a point, a tie to it and a tie to that tie, under every three conditions on a switch."""
    whens = ((0,), (0, 1), (1, 2))
    trees: list[tuple[Point, ...]] = []
    for places in itertools.product(range(4), repeat=3):  # at the root, or under one of the switch's branches
        points = OneOf("a", (1, 2)), Tied("b", "a"), Tied("c", "b")
        under = [[p for p, place in zip(points, places, strict=True) if place == k] for k in range(4)]
        branches = [Branch(w, tuple(ps)) for w, ps in zip(whens, under[1:], strict=True) if ps]
        switch = OneOf("s", (0, 1, 2), branches=tuple(branches))
        trees += [(switch, *under[0]), (*under[0], switch), (*under[0][:1], switch, *under[0][1:])]
    for first, second in itertools.product(range(4), repeat=2):  # the last tie hangs below the first
        for target in "ab":
            below = Tied("b", "a", branches=(Branch((0,), (Tied("c", target),)),))
            branches = [
                Branch(whens[k - 1], (p,)) for k, p in ((first, OneOf("a", (1, 2))), (second, below)) if k
            ]
            roots = [p for k, p in ((first, OneOf("a", (1, 2))), (second, below)) if not k]
            switch = OneOf("s", (0, 1, 2), branches=tuple(branches))
            trees += [(*roots[:n], switch, *roots[n:]) for n in range(len(roots) + 1)]
    return trees


def test_a_tie_is_refused_just_where_its_target_may_be_absent() -> None:
    accepted = 0
    for points in small_ties():
        try:
            expected: list[dict[str, Value]] | None = listed_by_definition(points)
        except KeyError:  # some decision has the tie and not what it repeats
            expected = None
        try:
            space = Space(points)
        except SpaceError:
            assert expected is None, points
            continue
        assert expected is not None, points
        assert sorted(texts([d.flat() for d in space.enumerate()])) == sorted(texts(expected))
        accepted += 1
    assert accepted > 20


def test_a_tie_under_guards_never_lacks_its_target() -> None:
    tables = [frozenset({(0,)}), frozenset({(0,), (1,)}), frozenset({(2,)})]
    accepted = 0
    for chosen in itertools.product([None, *tables], repeat=3):
        own = [() if table is None else (Guard(("s",), table),) for table in chosen]
        points = (
            OneOf("s", (0, 1, 2)),
            OneOf("a", (1, 2), guards=own[0]),
            Tied("b", "a", guards=own[1]),
            Tied("c", "b", guards=own[2]),
        )
        try:
            space = Space(points)
        except SpaceError:
            # Whether one table implies another is not asked: a tie repeats its target's guards.
            assert not set(own[0]) <= set(own[1]) <= set(own[2])
            continue
        assert sorted(texts([d.flat() for d in space.enumerate()])) == sorted(texts(by_definition(space)))
        accepted += 1
    assert accepted == 1 + 3 + 3 + 3


def texts(listed: list[dict[str, Value]]) -> list[str]:
    return [repr(values) for values in listed]


@LAWS
@given(spaces(finite=True, most=400))
def test_enumeration_is_the_definition_and_size_counts_it(space: Space) -> None:
    listed = [decision.flat() for decision in space.enumerate()]
    assert sorted(texts(listed)) == sorted(texts(by_definition(space)))
    assert space.size == space.leaves == len(listed)


@LAWS
@given(spaces(), seeds)
def test_every_drawn_decision_is_valid_and_nests_and_pickles(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = Batch.concat([space.sample(20, rng), space.sample(20, rng, uniform="space")])
    batch = Batch.concat([batch, space.batch([space.draw(rng) for _ in range(5)])])
    for decision in batch:
        assert space.decision(decision.flat()) == decision
        assert space.decision(decision.to_json()) == decision
        assert pickle.loads(pickle.dumps(decision)) == decision
        assert decision.replace({}) == decision
    assert space.batch(list(batch)) == batch
    assert batch.keys().tolist() == [decision.key for decision in batch]
    assert len(set(batch.keys().tolist())) == len(set(batch)) == len(batch.unique())


@LAWS
@given(spaces())
def test_spaces_survive_plain_data_and_pickling(space: Space) -> None:
    again = Space.from_json(space.to_json())
    assert again == space
    assert again.points == space.points
    assert hash(again) == hash(space)
    assert pickle.loads(pickle.dumps(space)) == space
    assert again.default.key == space.default.key


@LAWS
@given(spaces(), seeds, st.sampled_from(["onehot", "ordinal"]))
def test_decode_inverts_encode(space: Space, seed: int, view: str) -> None:
    batch = space.sample(17, np.random.default_rng(seed))
    array = space.encode(batch, view)
    assert array.shape == (17, len(space.encoding_names(view)))
    again = space.decode(array, view)
    if space.compiled.layout.reals and view == "onehot":
        np.testing.assert_allclose(again.reals, batch.reals, rtol=1e-9, equal_nan=True)
        assert (again.codes == batch.codes).all()
    else:
        assert again == batch


@LAWS
@given(spaces(), seeds, st.sampled_from(["onehot", "ordinal"]))
def test_any_array_is_near_a_decision(space: Space, seed: int, view: str) -> None:
    rng = np.random.default_rng(seed)
    array = rng.normal(0.5, 1.0, (9, len(space.encoding_names(view))))
    near = space.decode(array, view, strict=False)
    assert len(near) == 9
    assert [space.decision(decision.flat()) for decision in near] == list(near)


def own(decision: Decision, address: str) -> object:
    value = decision.get(address, "(absent)")
    return repr(value)


@LAWS
@given(spaces(), seeds)
def test_mutation_changes_one_point_and_what_hangs_on_it(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = space.sample(30, rng)
    mutated = space.mutate(batch, rng)
    for before, after in zip(batch, mutated, strict=True):
        space.validate(after.flat())
        changed = [a for a in before if a in after and own(before, a) != own(after, a)]
        can = any(space[a].cardinality > 1 for a in before)
        assert len(changed) == int(can)
        if not can:
            assert before == after


@LAWS
@given(spaces(), seeds)
def test_crossover_takes_values_from_either_parent(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = space.sample(20, rng), space.sample(20, rng)
    for a, b, child in zip(first, second, space.crossover(first, second, rng), strict=True):
        space.validate(child.flat())
        for address in child:
            if address in a or address in b:
                assert own(child, address) in (own(a, address), own(b, address))


def one_move(point: Point, before: Value, after: Value) -> bool:
    """Tell whether two values of a point are neighbours, by the words of the definition."""
    if before == after and repr(before) == repr(after):
        return False
    if not isinstance(point, ManyOf | Permutation) or point.only:
        return True
    a, b = list(point.code(before)), list(point.code(after))
    dropped = [a[:i] + a[i + 1 :] for i in range(len(a))]
    added = [b[:i] + b[i + 1 :] for i in range(len(b))]
    if not point.subsets.ordered:
        dropped, added = [sorted(x) for x in dropped], [sorted(x) for x in added]
        return b in dropped or a in added or any(x in added for x in dropped)
    replaced = len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 1
    swaps = []
    for i, j in itertools.combinations(range(len(a)), 2):
        swapped = list(a)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        swaps.append(swapped)
    return b in dropped or a in added or replaced or b in swaps


@settings(max_examples=40, deadline=None)
@given(spaces(finite=True, most=200), seeds)
def test_neighbours_are_all_single_replacements(space: Space, seed: int) -> None:
    batch = space.sample(3, np.random.default_rng(seed))
    expected: list[Decision] = []
    for decision in batch:
        for address in decision:
            point = space[address]
            expected += [
                decision.replace({address: value})
                for value in point.values()
                if one_move(point, decision[address], value)
            ]
    found = space.neighbours(batch)
    assert sorted(found.keys()) == sorted(decision.key for decision in expected)
    apart = [decision.key for one in batch for decision in space.neighbours(one)]
    assert sorted(apart) == sorted(found.keys().tolist())
    moved = space.neighbours(batch, np.random.default_rng(seed))
    assert len(moved) == len(found)
    for decision in moved:
        space.validate(decision.flat())


@LAWS
@given(spaces(points=9), seeds, st.integers(0, 12), st.integers(0, 400), st.sampled_from(["points", "space"]))
def test_the_first_rows_of_a_larger_sample_are_the_smaller_one(
    space: Space, seed: int, few: int, more: int, uniform: Literal["points", "space"]
) -> None:
    small, large = space.sample(few, seed, uniform), space.sample(few + more, seed, uniform)
    assert large[:few] == small
    assert space.sample(few, np.random.default_rng(seed), uniform) == small
    rng = np.random.default_rng(seed)
    if uniform == "points":
        assert space.batch([space.draw(rng) for _ in range(few)]) == small
    else:
        assert Batch.concat([space.sample(1, rng, uniform) for _ in range(max(few, 1))])[:few] == small


@pytest.mark.parametrize("uniform", ["points", "space"])
@pytest.mark.parametrize("tabulated", [True, False])
@pytest.mark.parametrize("points", [1, 40])
def test_samples_in_pieces_begin_alike(
    points: int, tabulated: bool, uniform: Literal["points", "space"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Selections that are not listed take many random numbers each, and large samples are drawn in pieces."""
    if not tabulated:
        monkeypatch.setattr("symnas.tree.subsets.MAX_TABLE", 0)
    weights = (0.5, 1.0, 0.0, 2.0)
    some: list[Point] = []
    for i in range(points):
        below = (FloatRange(f"r{i}", 1e-3, 1.0, log=True), OneOf(f"w{i}", tuple("abcd"), weights=weights))
        some += [
            OneOf(f"o{i}", (1, 2, 3), branches=(Branch((1, 2), below),)),
            ManyOf(
                f"m{i}",
                tuple("abcd"),
                0,
                3,
                weights=weights,
                branches=(Branch((0,), (OneOf(f"n{i}", (1, 2)),)),),
            ),
            ManyOf(f"x{i}", tuple("abcd"), 0, 3, ordered=True),
            ManyOf(f"y{i}", tuple("abcd"), 1, 3, repeats=True),
            ManyOf(f"z{i}", tuple("abcd"), 1, 3, ordered=True, repeats=True, weights=weights),
            Permutation(f"p{i}", tuple("abcd")),
        ]
    space = Space(tuple(some))
    large = space.sample(9000, 5, uniform)
    for few in (1, 7, 64, 300, 5000):
        assert space.sample(few, 5, uniform) == large[:few]


def test_randomness_is_a_seed_a_generator_or_none() -> None:
    space = Space((OneOf("a", tuple(range(100))), FloatRange("r", 0.0, 1.0)))
    one = space.sample(20, 7)
    assert space.sample(20, np.int64(7)) == one == space.sample(20, rng=np.random.default_rng(7))
    assert space.draw(7) == one[0]
    assert space.sample(20) != space.sample(20, None)
    moved = space.mutate(one, 3)
    assert moved == space.mutate(one, np.random.default_rng(3))
    for wrong in ("7", 1.5, True, -1, [1, 2], np.random.RandomState(0), random.Random(0)):
        with pytest.raises(TypeError, match="randomness comes from a seed"):
            space.sample(3, wrong)  # type: ignore[arg-type]


@LAWS
@given(spaces(finite=True, most=300), st.data())
def test_restricting_leaves_the_decisions_that_fit(space: Space, data: st.DataObject) -> None:
    own_points = [p for p in space.walk() if not isinstance(p, Tied)]
    point = data.draw(st.sampled_from(own_points))
    values = list(point.values())
    allowed = data.draw(st.lists(st.sampled_from(values), min_size=1, unique_by=repr))
    smaller = space.restrict({point.address: allowed})
    kept = {repr(value) for value in allowed}
    expected = [
        values
        for values in by_definition(space)
        if point.address not in values or repr(values[point.address]) in kept
    ]
    assert sorted(texts([d.flat() for d in smaller.enumerate()])) == sorted(texts(expected))
    assert smaller.size == len(expected)
    frozen = space.freeze({point.address: allowed[0]})
    assert all(own(d, point.address) in (repr(allowed[0]), repr("(absent)")) for d in frozen.enumerate())


@LAWS
@given(spaces(points=4, finite=True, most=30), spaces(points=4, finite=True, most=30))
def test_product_pairs_all_decisions(first: Space, second: Space) -> None:
    both = Space.product(net=first, hw=second)
    assert both.size == first.size * second.size
    pairs = {(decision.part("net", first), decision.part("hw", second)) for decision in both.enumerate()}
    assert pairs == set(itertools.product(first.enumerate(), second.enumerate()))
    assert set(both.select("net.**")) == {f"net.{address}" for address in first.addresses}


@LAWS
@given(spaces(), st.data())
def test_a_part_of_a_decision_with_defaults_for_the_rest_is_one(space: Space, data: st.DataObject) -> None:
    one, other = data.draw(decisions(space)), data.draw(decisions(space))
    assert space.decision(one.flat()) == space.decision(one.to_json()) == one
    difference = one.diff(other)
    assert bool(difference) == (one != other)
    assert {**one.flat(), **difference.added, **{a: new for a, (_, new) in difference.changed.items()}} == {
        **other.flat(),
        **difference.removed,
    }
    # Leading values are a decision's own: whether a point exists is decided by points before it.
    some = dict(itertools.islice(one.items(), data.draw(st.integers(0, len(one)))))
    made = space.decision(some)
    space.validate(made)
    assert {a: made[a] for a in some} == some
    rest = [a for a in made if a not in some]
    fresh = space.default
    assert all(identity(made[a]) == identity(fresh[a]) for a in rest if a in fresh)


@LAWS
@given(spaces(), st.data())
def test_wrong_mappings_are_refused(space: Space, data: st.DataObject) -> None:
    decision = data.draw(decisions(space))
    flat = decision.flat()
    if flat:
        address = data.draw(st.sampled_from(sorted(flat)))
        with pytest.raises(DecisionError, match="must be one of"):
            space.decision({**flat, address: "no such value"})
        with pytest.raises(DecisionError, match="is missing"):
            space.validate({a: v for a, v in flat.items() if a != address})
    absent = [p.address for p in space.walk() if p.address not in flat and not isinstance(p, Tied)]
    if absent:
        gone = space[data.draw(st.sampled_from(absent))]
        value = 0.5 if isinstance(gone, FloatRange) and not gone.finite else next(iter(gone.values()))
        with pytest.raises(DecisionError, match=r"does not exist|exists only where"):
            space.decision({**flat, gone.address: value})


@LAWS
@given(spaces())
def test_a_real_range_that_can_exist_makes_the_size_infinite(space: Space) -> None:
    real = {p.address for p in space.walk() if isinstance(p, FloatRange) and not p.finite}
    stepped = space.restrict({address: {space[address].default} for address in real})
    reached = any(
        address in decision for decision in itertools.islice(stepped.enumerate(), 5000) for address in real
    )
    if stepped.size <= 5000:
        assert (space.size == math.inf) == reached
        assert space.leaves == stepped.size
