"""Ranges of any number of values, none of which are listed: the laws of small ranges hold for them."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

import symnas
from symnas import Branch, FloatRange, IntRange, OneOf, Space
from symnas.errors import SpaceError
from symnas.tree import sampling
from symnas.tree.sampling import LogShares, RunShares, runs_of

LONG = {
    "log of ten million": IntRange("k", 1, 10**7, log=True),
    "log of a thousand millions": IntRange("k", 1, 10**9, log=True),
    "log with a step": IntRange("k", 7, 10**12, step=5, log=True),
    "a thousand millions": IntRange("k", -(10**9), 10**9, default=3),
    "2**62 steps": IntRange("k", 0, 2**62),
    "log of 2**62": IntRange("k", 1, 2**62, log=True),
    "to the end of 64 bits": IntRange("k", 2**63 - 10**9, 2**63 - 1),
    "decimal": FloatRange("k", 0.0, 1.0, 0.00000001),
    "log decimal": FloatRange("k", 1e-9, 1.0, 1e-9, log=True),
}


def below(point: IntRange | FloatRange) -> Space:
    """A long range under a choice, with points under a run of its values and under two of them."""
    last = point.codes - 1
    branches = (
        Branch(range(10, last // 2), (OneOf("b", (1, 2, 3)),)),
        Branch((5, last), (FloatRange("f", -9.0, -3.0),)),
    )
    inner = point.replace(branches=branches)
    return Space((OneOf("a", ("x", "y"), branches=(Branch((1,), (inner,)),)),))


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
def test_everything_a_space_does_takes_a_long_range(name: str, nested: bool) -> None:
    point = LONG[name]
    space = below(point) if nested else Space((point,))
    batch = space.sample(300, 0)
    assert list(space.sample(5, 0)) == list(batch[:5])
    assert Space.from_json(space.to_json()) == space
    assert all(space.decision(d.flat(), complete=True) == d for d in batch[:20])
    assert list(space.sample(3, 0, uniform="space")) == list(space.sample(3, 0, uniform="space"))
    assert space.leaves > 10**6
    assert space.size > 10**6
    moved = space.mutate(batch, 0)
    assert all(a != b for a, b in zip(batch, moved, strict=True))
    assert all(space.decision(d.flat(), complete=True) == d for d in space.neighbours(batch[:5], 0))
    for view in ("onehot", "ordinal"):
        coded = space.encode(batch, view)
        again = space.decode(coded, view)
        if point.codes < 2**51:
            assert list(again)[:50] == list(batch)[:50]
        space.decode(np.random.default_rng(0).random((20, coded.shape[1])) * 2, view, strict=False)
    if not nested:
        assert len(list(itertools.islice(space.enumerate(), 4))) == 4
    kept = space.restrict({"k": [point.value(5), point.value(10**6)]})
    assert {d["k"] for d in kept.sample(50, 0) if "k" in d} == {point.value(5), point.value(10**6)}
    assert str(space)
    assert repr(space)
    assert space.fingerprint


@pytest.mark.parametrize(
    ("low", "step", "count"), [(1, 1, 50), (3, 7, 40), (0.25, 0.25, 30), (1, 1000, 25), (900, 1, 9)]
)
def test_closed_priors_are_those_of_lists(low: float, step: float, count: int) -> None:
    shares = LogShares(low, step, count)
    kind = IntRange if isinstance(low, int) else FloatRange
    space = Space((kind("k", low, low + (count - 1) * step, step, log=True),))
    entry = space.compiled.layout.entries[0]
    weights = sampling.prior(entry)
    assert isinstance(weights, tuple)
    total = math.fsum(weights)
    for first, end in [(0, 1), (0, count), (3, 7), (count - 1, count), (count - 4, count - 1)]:
        wanted = math.fsum(weights[first:end]) / total
        mass = math.exp(shares.log_mass(first, end) - shares.log_mass(0, count))
        assert mass == pytest.approx(wanted, rel=1e-9)
    u = np.random.default_rng(0).random(20_000)
    assert (shares.pick(u) == np.searchsorted(sampling.thresholds(weights), u, side="right")).all()
    assert [shares.pick_one(x) for x in u[:200]] == shares.pick(u[:200]).tolist()


def test_halves_of_a_long_prior_weigh_something_down_to_the_last_value() -> None:
    shares = LogShares(1, 1, 2**62)
    for first in (0, 1, 2**40, 2**61 + 12345, 2**62 - 2):
        assert math.isfinite(shares.log_mass(first, first + 1))
    assert shares.pick(np.array([0.0, 1.0 - 2**-53])).tolist()[0] == 0


def test_runs_are_drawn_by_their_counts_and_never_without_weight() -> None:
    shares = runs_of([(0, 3, 2), (3, 5, 0), (5, 6, 10), (6, 8, 0)])
    assert isinstance(shares, RunShares)
    drawn = Counter(shares.pick(np.random.default_rng(0).random(16_000)).tolist())
    assert set(drawn) == {0, 1, 2, 5}
    assert drawn[5] / 16_000 == pytest.approx(10 / 16, abs=0.02)
    assert shares.pick(np.array([1.0 - 2**-53]))[0] == 5
    another = shares.another(np.full(2000, 5), np.random.default_rng(1))
    assert set(another.tolist()) == {0, 1, 2}


def test_draws_of_a_log_range_are_even_by_magnitude() -> None:
    values = [d["k"] for d in Space((LONG["log of a thousand millions"],)).sample(4000, 0)]
    digits = Counter(len(str(value)) for value in values if value < 10**9)
    assert all(4000 / 9 * 0.8 < digits[n] < 4000 / 9 * 1.25 for n in range(1, 10))


def test_a_long_range_is_restricted_to_a_long_one() -> None:
    space = below(IntRange("k", 1, 10**9, log=True))
    smaller = space.restrict({"k": range(2, 10**8, 2)})
    values = [d["k"] for d in smaller.sample(300, 0) if "k" in d]
    assert all(value % 2 == 0 and 2 <= value < 10**8 for value in values)
    # Code 10 is the value 11; the next even one begins the run under which `b` is.
    assert "b" not in smaller.decision({"a": "y", "k": 10})
    assert "b" in smaller.decision({"a": "y", "k": 12})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntRange("x", 0, 2**63), r"x: the numbers of a range have 64 bits"),
        (lambda: IntRange("x", -(2**64), 5), r"x: the numbers of a range have 64 bits"),
        (lambda: IntRange("x", -(2**62), 2**62), r"x: a range has at most 2\*\*62 steps"),
        (lambda: FloatRange("x", 0.0, 1e300, 1e-3), r"x: a range has at most 2\*\*62 steps"),
        (lambda: FloatRange("x", 0.0, 1.0, 1e-17), r"x: a step tells neighbouring values apart"),
        (lambda: FloatRange("x", -1.7e308, 1.7e308), r"x: the width of a range.*is beyond 1.8e308"),
    ],
)
def test_what_64_bits_or_floats_cannot_hold_is_refused(make, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        make()


def test_numpy_scalars_are_the_numbers_that_they_are() -> None:
    space = Space((IntRange("i", np.int64(1), np.int64(8), np.int32(1), default=np.int16(3)),))
    assert type(space.default["i"]) is int
    assert space.decision({"i": np.int64(5)})["i"] == 5
    space = Space((FloatRange("f", np.float64(0.0), np.float32(1.0)),))
    assert type(space.decision({"f": np.float32(0.5)})["f"]) is float


@pytest.mark.parametrize("algorithm", ["random", "grid", "evolution", "local-search", "mcts", "reinforce"])
def test_algorithms_search_long_ranges(algorithm: str) -> None:
    space = below(IntRange("k", 1, 10**9, log=True))
    study = symnas.search(
        space, lambda d: math.log(d.get("k", 1)), algorithm=algorithm, trials=12, progress="silent"
    )
    assert len(study.trials) == 12


@pytest.mark.parametrize("surrogate", ["gp", "ridge", "rank-ridge"])
def test_models_take_the_longest_ranges_and_the_widest_real_ones(surrogate: str) -> None:
    for point in (IntRange("k", 1, 2**62, log=True), FloatRange("k", 0.0, 1.7e308)):
        study = symnas.search(
            Space((point,)), lambda d: math.log1p(d["k"]), algorithm="smbo", trials=12, progress="silent",
            options={"surrogate": surrogate},
        )  # fmt: skip
        assert len(study.trials) == 12


def test_a_forest_puts_absent_real_values_below_all_others() -> None:
    from symnas.algorithms.surrogates.forest import columns_of

    for low, high in [(-9.0, -3.0), (-1e6, 1e6), (-2.0, 5.0), (0.0, 1.0), (-1e300, 1e300)]:
        real = FloatRange("f", low, high)
        space = Space((OneOf("a", ("x", "y"), branches=(Branch((1,), (real,)),)),))
        batch = space.sample(60, 0)
        columns = columns_of(space, batch).astype(np.float32)[:, 1]
        here = np.array(["f" in d for d in batch])
        assert np.isfinite(columns).all()
        assert columns[~here].max() < columns[here].min()
        # Where values cannot reach it, the number is what it ever was.
        assert low <= -2.0 or set(columns[~here].tolist()) == {-2.0}


def test_numpy_scalars_are_labels() -> None:
    space = Space(
        (
            OneOf("w", tuple(np.array([8, 16])), np.int64(16)),
            symnas.ManyOf("m", tuple(np.float32([0.5, 2.0])), 1, 1),
        )
    )
    assert [type(value) for value in space.points[0].candidates] == [int, int]
    assert space.default["w"] == 16
    assert space.decision({"w": np.int32(8), "m": (np.float64(2.0),)}).flat() == {"w": 8, "m": (2.0,)}
    assert Space.from_json(space.to_json()) == space
