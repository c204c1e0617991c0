"""Frequencies of draws against exact probabilities, at fixed seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import spaces

from symnas.errors import SpaceError
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, OneOf, Permutation, Tied
from symnas.tree.layout import walk
from symnas.tree.space import Batch, Decision, Space

DRAWS = 20_000


def chi_square(observed: Sequence[int], probabilities: Sequence[float]) -> float:
    """Return the p-value of counts; impossible outcomes must not occur."""
    pairs = [(o, p) for o, p in zip(observed, probabilities, strict=True) if p > 0 or o > 0]
    assert all(p > 0 for _, p in pairs)
    total = sum(o for o, _ in pairs)
    if len(pairs) == 1:
        return 1.0
    return float(stats.chisquare([o for o, _ in pairs], [p * total for _, p in pairs]).pvalue)


def per_point(space: Space) -> dict[Decision, Fraction]:
    """Return each decision's probability when every point is uniform over its own values."""
    return {
        decision: Fraction(1) / np.prod([int(space[a].cardinality) for a in decision], dtype=object)
        for decision in space.enumerate()
    }


def tree() -> Space:
    """Return a small space with a loop, subsets, a tie and a joint condition."""
    turns = tuple(Branch(range(t, 3), (OneOf(f"i[{t}].k", (1, 3)),)) for t in range(3))
    under = Branch((0,), (OneOf("m[a].z", (1, 2)),))
    guard = Guard(("i", "w"), frozenset({(0, 1), (2, 0), (1, 1)}))
    return Space(
        (
            IntRange("i", 1, 3, branches=turns),
            OneOf("w", ("x", "y")),
            ManyOf("m", ("a", "b", "c"), 1, 2, branches=(under,)),
            Tied("t", "w", branches=(Branch((1,), (OneOf("t.u", (0, 1)),)),)),
            OneOf("g", (1, 2, 3), guards=(guard,)),
        )
    )


def draws(space: Space, how: str, rng: np.random.Generator) -> list[Decision]:
    if how == "one at a time":
        return [space.draw(rng) for _ in range(DRAWS)]
    return list(space.sample(DRAWS, rng, uniform="space" if how == "space" else "points"))


@pytest.mark.parametrize("how", ["batch", "one at a time"])
def test_points_are_uniform_over_their_own_values(how: str) -> None:
    space = tree()
    expected = per_point(space)
    assert sum(expected.values()) == 1
    seen = Counter(draws(space, how, np.random.default_rng(1)))
    assert chi_square([seen[d] for d in expected], [float(p) for p in expected.values()]) > 1e-3


def test_the_whole_space_is_uniform_on_request() -> None:
    space = tree()
    listed = list(space.enumerate())
    assert space.size == len(listed)
    seen = Counter(draws(space, "space", np.random.default_rng(2)))
    assert chi_square([seen[d] for d in listed], [1 / len(listed)] * len(listed)) > 1e-3
    by_points = Counter(draws(space, "batch", np.random.default_rng(2)))
    assert chi_square([by_points[d] for d in listed], [1 / len(listed)] * len(listed)) < 1e-9


@settings(max_examples=25, deadline=None)
@given(spaces(finite=True, most=60), st.integers(0, 3))
def test_random_spaces_are_uniform_on_request(space: Space, seed: int) -> None:
    listed = list(space.enumerate())
    seen = Counter(space.sample(4000, np.random.default_rng(seed), uniform="space"))
    assert chi_square([seen[d] for d in listed], [1 / len(listed)] * len(listed)) > 1e-7


SELECTIONS = {
    "subset": ManyOf("m", tuple("abcd"), 0, 3),
    "ordered": ManyOf("m", tuple("abc"), 1, 2, ordered=True),
    "repeats": ManyOf("m", tuple("abc"), 0, 3, repeats=True),
    "ordered repeats": ManyOf("m", tuple("abc"), 1, 2, ordered=True, repeats=True),
    "permutation": Permutation("m", tuple("abcd")),
    "listed": ManyOf("m", tuple("abcd"), 1, 2, only=(("a",), ("b", "c"), ("a", "d"))),
}


@pytest.mark.parametrize("kind", SELECTIONS)
@pytest.mark.parametrize("tabulated", [True, False])
def test_selections_are_equally_likely(kind: str, tabulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    point = SELECTIONS[kind]
    if not tabulated:
        monkeypatch.setattr("symnas.tree.subsets.MAX_TABLE", 0)
    drawn = Space((point,)).sample(DRAWS, np.random.default_rng(3))
    seen = Counter(decision["m"] for decision in drawn)
    values = list(point.values())
    assert set(seen) <= set(values)
    assert chi_square([seen[v] for v in values], [1 / len(values)] * len(values)) > 1e-3


def test_a_wide_selection_is_drawn_without_listing_it() -> None:
    point = ManyOf("m", tuple(range(200)), 50, 100)
    space = Space((point,))
    sizes = {len(decision["m"]) for decision in space.sample(200, np.random.default_rng(0))}
    # Of C(200, 50) + … + C(200, 100) nearly all are large.
    assert min(sizes) > 60
    one = space.draw(np.random.default_rng(1))
    space.validate(one.flat())
    assert space.size == sum(math.comb(200, k) for k in range(50, 101))


@pytest.mark.parametrize("how", ["batch", "one at a time"])
def test_prior_weights_and_logarithms_shape_draws(how: str) -> None:
    weights = (0.7, 0.0, 0.2, 0.1)
    space = Space((OneOf("a", tuple("wxyz"), weights=weights), FloatRange("r", 1e-4, 1e-1, log=True)))
    drawn = draws(space, how, np.random.default_rng(4))
    seen = Counter(d["a"] for d in drawn)
    assert chi_square([seen[x] for x in "wxyz"], weights) > 1e-3
    logs = np.log([d["r"] for d in drawn])
    assert stats.kstest(logs, stats.uniform(np.log(1e-4), np.log(1e3)).cdf).pvalue > 1e-3
    doubling = Space((IntRange("n", 1, 1024, factor=2, log=True),))
    even = Counter(d["n"] for d in draws(doubling, how, np.random.default_rng(5)))
    assert chi_square([even[2**k] for k in range(11)], [1 / 11] * 11) > 1e-3


@pytest.mark.parametrize("how", ["batch", "one at a time"])
def test_weighted_subsets_follow_plackett_and_luce(how: str) -> None:
    weights = (0.6, 0.3, 0.1)
    space = Space((ManyOf("m", tuple("abc"), 2, 2, weights=weights),))
    exact = {}
    for i, j in ((0, 1), (0, 2), (1, 2)):
        a, b = weights[i], weights[j]
        exact["abc"[i], "abc"[j]] = a * b / (1 - a) + b * a / (1 - b)
    seen = Counter(d["m"] for d in draws(space, how, np.random.default_rng(6)))
    assert chi_square([seen[v] for v in exact], list(exact.values())) > 1e-3


def test_mutation_picks_points_and_values_evenly() -> None:
    space = tree()
    start = space.decision({"i": 2, "i[0].k": 1, "i[1].k": 3, "w": "x", "m": ["a"], "m[a].z": 1})
    batch = space.batch([start])[np.zeros(DRAWS, int)]
    moved: Counter[tuple[str, object]] = Counter()
    for after in space.mutate(batch, np.random.default_rng(7)):
        changed = [a for a in start if a in after and after[a] != start[a]]
        moved[changed[0], after[changed[0]]] += 1
    expected = {}
    for address in start:
        others = [v for v in space[address].values() if v != start[address]]
        expected |= {(address, value): 1 / len(start) / len(others) for value in others}
    assert chi_square([moved[k] for k in expected], list(expected.values())) > 1e-3


def test_mutation_follows_weights_among_the_other_values() -> None:
    space = Space((OneOf("a", tuple("wxyz"), weights=(0.7, 0.0, 0.2, 0.1)),))
    batch = space.batch([space.decision({"a": "y"})])[np.zeros(DRAWS, int)]
    seen = Counter(d["a"] for d in space.mutate(batch, np.random.default_rng(8)))
    assert chi_square([seen[x] for x in "wxyz"], [0.7 / 0.8, 0.0, 0.0, 0.1 / 0.8]) > 1e-3
    only = Space((OneOf("a", ("x", "y"), weights=(1.0, 0.0)),))
    assert {d["a"] for d in only.mutate(only.batch([only.default]), np.random.default_rng(0))} == {"y"}


def test_crossover_tosses_a_fair_coin_per_point() -> None:
    space = Space((OneOf("a", (0, 1)), OneOf("b", (0, 1))))
    low, high = (space.batch([space.decision({"a": v, "b": v})])[np.zeros(DRAWS, int)] for v in (0, 1))
    seen = Counter(tuple(d.values()) for d in space.crossover(low, high, np.random.default_rng(9)))
    assert chi_square([seen[a, b] for a in (0, 1) for b in (0, 1)], [0.25] * 4) > 1e-3


@pytest.mark.parametrize("draw", ["sample", "mutate", "crossover"])
def test_one_seed_gives_one_result(draw: str) -> None:
    space = tree()

    def run() -> Batch:
        rng = np.random.default_rng(11)
        first, second = space.sample(100, rng), space.sample(100, rng)
        moves: dict[str, Callable[[], Batch]] = {
            "sample": lambda: space.sample(100, rng),
            "mutate": lambda: space.mutate(first, rng),
            "crossover": lambda: space.crossover(first, second, rng),
        }
        return moves[draw]()

    assert run() == run()


def test_an_unknown_way_to_sample_is_refused() -> None:
    with pytest.raises(SpaceError, match="uniform over 'points' or over the 'space', got 'leaves'"):
        tree().sample(3, np.random.default_rng(0), uniform="leaves")


def test_the_tree_of_this_file_has_every_part() -> None:
    kinds = {point.kind for point, _, _ in walk(tree().points)}
    assert kinds == {"int", "oneof", "manyof", "tied"}
