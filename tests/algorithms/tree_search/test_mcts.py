from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.algorithms.common.without_replacement import keys_of
from symnas.algorithms.sequencing.paths import Paths
from symnas.algorithms.surrogates.rank_ridge import Features, RankRidge, normal_scores
from symnas.algorithms.tree_search.mcts import MCTS
from symnas.algorithms.tree_search.rollouts import KEPT, MANY, refits, thinned
from symnas.algorithms.tree_search.search_tree import Node, Record, SearchTree
from symnas.algorithms.tree_search.uct import Uct
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import AlgorithmError
from symnas.testing.contract import AlgorithmContract, planted, simulate
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import FloatRange, IntRange, OneOf
from symnas.tree.space import Batch, Space
from tests.support.strategies import spaces

PLAIN = {"rollouts": "random", "order": "tree", "transpositions": False, "floor": 0.0}


def done(value: float) -> Outcome:
    return Outcome(Status.DONE, (value,))


class TestPlain(AlgorithmContract):
    seeds = 12

    def make(self) -> Algorithm:
        return MCTS(rollouts="random", order="tree", floor=0.0)


class TestSharing(AlgorithmContract):
    seeds = 10

    def make(self) -> Algorithm:
        return MCTS(rollouts="random", transpositions=True, bisect=2)


class TestDefault(AlgorithmContract):
    # The planted problem is solved long before the 300 trials that others are given.
    trials, seeds = 60, 10

    def make(self) -> Algorithm:
        return MCTS()


class TestEverything(AlgorithmContract):
    trials, seeds = 60, 10

    def make(self) -> Algorithm:
        return MCTS(transpositions=True, trust=0.8, bisect=2, exploration=0.3)


# -------------------------------------------------------------------- bounds by hand


def three_levels() -> Space:
    return Space(tuple(OneOf(name, ("l", "r")) for name in "abc"))


def told(algorithm: MCTS, space: Space, results: dict[str, float | None]) -> None:
    """Show results by decision, written as `lrl`; None is a trial under way."""
    for text, value in results.items():
        batch = space.batch([space.decision(dict(zip("abc", text, strict=True)))])
        algorithm.observe(batch, [RUNNING])
        if value is not None:
            algorithm.observe(batch, [done(value)])


def children(node: Node | None) -> dict[object, tuple[int, int, float]]:
    assert node is not None
    return {action: (child.visits, child.running, child.total) for action, child in node.children.items()}


def test_the_tree_counts_what_went_through_each_prefix() -> None:
    space = three_levels()
    algorithm = MCTS(**PLAIN)
    algorithm.setup(space)
    told(algorithm, space, {"lll": 0.0, "rrr": 1.0, "lrl": 0.5, "lrr": 0.25, "rll": None})
    root = algorithm._tree.root
    # Four values came, 0 the worst and 1 the best, when rewards were last measured: rewards are the values.
    assert children(root) == {0: (3, 0, 0.75), 1: (1, 1, 1.0)}
    left = root.children[0]  # type: ignore[union-attr]
    assert children(left) == {0: (1, 0, 0.0), 1: (2, 0, 0.75)}
    assert children(left.children[1]) == {0: (1, 0, 0.5), 1: (1, 0, 0.25)}
    assert children(root.children[1]) == {0: (0, 1, 0.0), 1: (1, 0, 1.0)}  # type: ignore[union-attr]


def test_bounds_by_hand() -> None:
    uct = Uct(0.5, 1.0, 1.0, 0.5, 10.0, 1.0)
    # Three of five visits, sum 0.75: 0.25 + 0.5 sqrt(2 ln 5 / 3); two of five, sum 1: 0.5 + 0.5 sqrt(ln 5).
    assert uct.bound(0.25, 5, 3) == pytest.approx(0.25 + 0.5 * 1.0358366, abs=1e-6)
    assert uct.bound(0.5, 5, 2) == pytest.approx(0.5 + 0.5 * 1.2686362, abs=1e-6)


@pytest.mark.parametrize(("exploration", "first"), [(0.05, "r"), (10.0, "l")])
def test_the_largest_bound_is_taken_on_every_level(exploration: float, first: str) -> None:
    space = three_levels()
    algorithm = MCTS(exploration=exploration, **PLAIN)
    algorithm.setup(space)
    # On the left 1 visit of mean 0.2; on the right 3 of mean 0.6, of which rl 1 of 0.4 and rr 2 of 0.7.
    told(algorithm, space, {"rrr": 1.0, "lll": 0.2, "rrl": 0.4, "rlr": 0.4})
    low, scale = algorithm._low, algorithm._scale
    assert (low, scale) == (0.2, 0.8)
    mean = {"l": 0.0, "r": (0.8 + 0.2 + 0.2) / 0.8 / 3}
    visits = {"l": 1, "r": 3}
    bounds = {
        side: mean[side] + exploration * math.sqrt(2 * math.log(4) / visits[side]) for side in ("l", "r")
    }
    assert max(bounds, key=lambda side: bounds[side]) == first
    # On the right everything below rr is known and rl has one decision left; on the left `lr` is new.
    expected = {"r": {"rll"}, "l": {"lrl", "lrr"}}[first]
    seen = set()
    for seed in range(20):
        decision = algorithm.propose(1, np.random.default_rng(seed))[0]
        seen.add("".join(str(decision[name]) for name in "abc"))
    assert seen == expected


def test_virtual_loss_sends_workers_elsewhere_and_goes_when_a_trial_ends() -> None:
    space = Space((OneOf("a", ("x", "y")), IntRange("n", 0, 63)))
    algorithm = MCTS(exploration=0.05, **PLAIN)
    algorithm.setup(space)
    for name, n, value in (("x", 0, 1.0), ("y", 0, 0.7), ("x", 63, 1.0), ("y", 63, 0.0)):
        algorithm.observe(space.batch([space.decision({"a": name, "n": n})]), [done(value)])
    names = [decision["a"] for decision in algorithm.propose(12, np.random.default_rng(0))]
    assert names[0] == "x"
    assert "y" in names
    root = algorithm._tree.root
    assert root is not None
    assert (root.running, root.visits) == (0, 4)
    batch = algorithm.propose(1, np.random.default_rng(0))
    algorithm.observe(batch, [RUNNING])
    assert root.running == root.children[0].running == 1
    algorithm.observe(batch, [Outcome(Status.FAILED)])
    assert (root.running, root.children[0].running) == (0, 0)
    assert (root.visits, root.children[0].visits, root.children[0].total) == (5, 3, 2.0)


def test_what_gave_no_result_counts_as_no_reward() -> None:
    space = Space((OneOf("a", ("x", "y")), IntRange("n", 0, 63)))
    algorithm = MCTS(exploration=0.05, **PLAIN)
    algorithm.setup(space)
    for n in range(4):
        pair = [space.decision({"a": name, "n": n}) for name in "xy"]
        algorithm.observe(space.batch(pair), [done(0.5 + n), Outcome(Status.NAN)])
    assert {d["a"] for seed in range(8) for d in algorithm.propose(1, np.random.default_rng(seed))} == {"x"}


# -------------------------------------------------------------------- many values


def test_bisection_shares_statistics_between_neighbours() -> None:
    space = Space((IntRange("n", 0, 63),))
    algorithm = MCTS(exploration=0.1, **PLAIN)
    algorithm.setup(space)
    algorithm.observe(space.batch([space.decision({"n": n}) for n in (3, 9, 50, 60)]), [
        done(0.9), done(1.0), done(0.0), done(0.1),
    ])  # fmt: skip
    root = algorithm._tree.root
    assert root is not None
    assert root.state == (0, 64, 1)
    assert {action: (c.visits, c.total) for action, c in root.children.items()} == {
        0: (2, pytest.approx(1.9)),
        1: (2, pytest.approx(0.1)),
    }
    assert all(d["n"] < 32 for seed in range(9) for d in algorithm.propose(1, np.random.default_rng(seed)))


def test_bisection_finds_a_peak_sooner_than_chance() -> None:
    space = Space((IntRange("n", 0, 1023),))
    found = []
    for seed in range(20):
        peak = int(np.random.default_rng([seed, 0, 7]).integers(1024))
        log = simulate(
            MCTS(exploration=0.1, **PLAIN),
            space,
            lambda d, p=peak: done(-abs(d["n"] - p)),
            trials=60,
            seed=seed,
        )
        found.append(-log.best)
    # Chance comes within 1024 / 61 / 2 of it, about 8.4, on average.
    assert np.mean(found) < 4


def test_widening_allows_a_root_of_visits() -> None:
    space = Space((FloatRange("x", 0.0, 1.0), OneOf("a", tuple(range(9)))))
    algorithm = MCTS(widening=1.0, widening_power=0.5, **PLAIN)
    counts = []
    for trials in (1, 4, 9, 16, 25, 36):
        log = simulate(algorithm, space, lambda d: done(d["x"]), trials=trials)
        counts.append(len({decision["x"] for decision in log.decisions}))
    # Before the visit number N + 1 there are at most ceil(sqrt(N)) values, and a new one as soon as allowed.
    assert counts == [math.ceil(math.sqrt(max(trials - 1, 1))) for trials in (1, 4, 9, 16, 25, 36)]


def test_measured_order_puts_the_point_that_matters_first() -> None:
    space = Space(tuple(OneOf(f"p{i}", (0, 1, 2)) for i in range(6)))
    batch = space.sample(32, np.random.default_rng(0))
    algorithm = MCTS(rollouts="random")
    algorithm.setup(space)
    algorithm.observe(batch, [done(decision["p4"] + 0.01 * decision["p1"]) for decision in batch])
    assert algorithm._paths.points[0].entry.point.address == "p4"
    fixed = MCTS(**PLAIN)
    simulate(fixed, space, lambda d: done(d["p4"]), trials=40)
    assert [p.entry.point.address for p in fixed._paths.points] == [f"p{i}" for i in range(6)]


# -------------------------------------------------------------------- the tree


@settings(max_examples=40, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**16))
def test_nothing_comes_twice_and_counts_add_up(space: Space, seed: int) -> None:
    for options in (PLAIN, {"start": 4, "transpositions": True, "bisect": 2}):
        algorithm = MCTS(**options)  # type: ignore[arg-type]
        log = simulate(algorithm, space, lambda d: done(len(d)), trials=20, seed=seed, workers=3)
        assert len(set(log.decisions)) == len(log.decisions) == min(20, space.size)
        for decision in log.decisions:
            space.validate(decision.flat())
        root = algorithm._tree.root
        assert root is not None
        assert root.visits == len(log.decisions)
        assert root.exhausted == (space.size == len(log.decisions))
        check_sums(root)


def check_sums(node: Node) -> None:
    assert node.running == 0
    if node.children:
        below = node.children.values()
        assert sum(child.visits for child in below) == node.visits
        assert sum(child.total for child in below) == pytest.approx(node.total)
        assert sum(child.exhausted for child in below) == node.closed
        for child in below:
            check_sums(child)


def picture(node: Node | None) -> object:
    if node is None:
        return None
    below = {action: picture(child) for action, child in node.children.items()}
    return node.place, node.state, node.visits, node.running, node.total, node.closed, node.exhausted, below


def test_tentative_trials_leave_no_trace() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        space = random_space(rng)
        tree = SearchTree(Paths(space, 2))
        batch = space.sample(12, rng).unique()
        records = [Record(*row) for row in zip(batch.codes.tolist(), batch.reals.tolist(), strict=True)]
        for record in records[: len(records) // 2]:
            tree.insert(record)
            walk_open(tree.root, tree)
        before = picture(tree.root)
        with tree.tentatively():
            for record in records[len(records) // 2 :]:
                tree.run(record)
            assert len(records) < 2 or picture(tree.root) != before
        assert picture(tree.root) == before


def walk_open(node: Node | None, tree: SearchTree) -> None:
    if node is not None:
        tree.open(node)
        for child in list(node.children.values()):
            walk_open(child, tree)


def test_a_rebuilt_tree_counts_the_same() -> None:
    space, evaluate = planted(0)
    algorithm = MCTS(rollouts="random", transpositions=True)
    simulate(algorithm, space, evaluate, trials=40)
    before = picture(algorithm._tree.root)
    algorithm._low, algorithm._scale = 0.0, 1.0
    first = algorithm._tree.root
    algorithm._rebuild()
    assert algorithm._tree.root is not first
    assert before is not None
    assert algorithm._tree.root.visits == 40  # type: ignore[union-attr]
    check_sums(algorithm._tree.root)  # type: ignore[arg-type]


# -------------------------------------------------------------------- the surrogate


def test_the_ridge_is_the_posterior_over_written_out_pairs() -> None:
    space = Space(tuple(OneOf(f"p{i}", (0, 1, 2)) for i in range(3)))
    rng = np.random.default_rng(0)
    train, test = space.sample(15, rng).unique(), space.sample(6, rng)
    values = rng.normal(size=len(train))
    model = RankRidge().fit(space, train, values)
    features = Features(space)

    def written(batch: Batch) -> np.ndarray:
        x = features(batch)
        pairs = np.einsum("ni,nj->nij", x, x).reshape(len(x), -1)
        blocks = [np.full((len(x), 1), math.sqrt(0.2)), x / math.sqrt(3), math.sqrt(2.0) * pairs / 3]
        return np.concatenate(blocks, axis=1)

    level, scale, variance = model.scaling
    shares = [NormalDist().cdf(score) for score in normal_scores(values)]
    assert shares == pytest.approx(
        [((values < v).sum() + (values <= v).sum()) / 2 / len(values) for v in values]
    )
    assert level == np.median(values)
    target = normal_scores(values)
    x, z = written(train), written(test)
    gram = x @ x.T
    # The noise is found again from the fit: half is a root of the inverse of kernel plus noise.
    inverse = model.half @ model.half.T
    noise = float(np.mean(np.diag(np.linalg.inv(inverse) - gram)))
    assert any(math.isclose(noise, one, rel_tol=1e-6) for one in (0.01, 0.03, 0.1, 0.3, 1.0))
    precision = x.T @ x / noise + np.eye(x.shape[1])
    mean = z @ np.linalg.solve(precision, x.T @ target) / noise
    spread = np.sqrt(variance * np.einsum("ij,ji->i", z, np.linalg.solve(precision, z.T)))
    found = model.predict(test)
    assert found.mean == pytest.approx(level + scale * mean, abs=1e-6)
    assert found.std == pytest.approx(scale * spread, abs=1e-6)


def test_the_ridge_learns_pairs_and_numbers() -> None:
    space = Space((*(OneOf(f"p{i}", (0, 1, 2)) for i in range(4)), FloatRange("x", 1e-3, 1.0, log=True)))

    def value(batch: Batch) -> np.ndarray:
        pair = (batch.codes[:, 0] == batch.codes[:, 3]).astype(float)
        return pair - 0.3 * (np.log10(batch.reals[:, 0]) + 1.5) ** 2

    agreements = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        train, test = space.sample(120, rng), space.sample(200, rng)
        found = RankRidge().fit(space, train, value(train)).predict(test)
        agreements.append(np.corrcoef(found.mean, value(test))[0, 1])
    assert np.mean(agreements) > 0.93
    assert min(agreements) > 0.9


def test_one_value_and_equal_values_are_enough_for_a_fit() -> None:
    space = Space((OneOf("a", (0, 1, 2)),))
    batch = space.batch(list(space.enumerate()))
    for count in (1, 3):
        found = RankRidge().fit(space, batch[:count], np.full(count, 0.5)).predict(batch)
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.std).all()


def test_refits_grow_rarer() -> None:
    times = sorted({refits(8, count) for count in range(8, 10_001)})
    assert times[:10] == list(range(8, 18))
    assert all(refits(8, count) <= count for count in range(8, 200))
    # A sixteenth more each time: about ln(10000 / 16) / ln(17 / 16) fits beyond the first dozens.
    assert len(times) < 150


def test_thinning_keeps_the_best() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    for count, most in ((MANY - 1, KEPT), (MANY, KEPT // 2), (5000, KEPT // 2)):
        kept = thinned(values[:count])
        assert most * 0.9 < len(kept) == len(set(kept.tolist())) <= most
        assert set(np.argsort(-values[:count])[: most // 2].tolist()) <= set(kept.tolist())
    assert thinned(values[:KEPT]).tolist() == list(range(KEPT))


def test_roll_outs_serve_until_there_is_something_new_to_learn() -> None:
    space, evaluate = planted(3, points=8)
    algorithm = MCTS()
    algorithm.setup(space)
    seen = space.sample(200, np.random.default_rng(0)).unique()
    algorithm.observe(seen, [evaluate(decision) for decision in seen])
    pool = algorithm._pool()
    assert pool is not None
    assert np.all(np.diff(pool.promises) <= 0.0)
    proposed = algorithm.propose(3, np.random.default_rng(1))
    # What is proposed hangs on what was observed; the generator breaks no tie here.
    assert algorithm.propose(3, np.random.default_rng(2)) == proposed
    algorithm.observe(proposed, [RUNNING] * 3)
    assert algorithm._pool() is pool
    assert not set(keys_of(proposed)) & set(keys_of(pool.batch[pool.open]))
    algorithm.observe(proposed[:1], [Outcome(Status.DONE, (1e6,))])
    assert algorithm._pool() is not pool


def test_real_ranges_are_refined_near_the_best() -> None:
    space = Space((FloatRange("x", -1.0, 1.0), FloatRange("y", 1e-4, 1.0, log=True)))

    def evaluate(decision: object) -> Outcome:
        x, y = decision["x"], np.log10(decision["y"])  # type: ignore[index]
        return Outcome(Status.DONE, (-(((x - 0.3) * 5) ** 2) - (y + 2.2 - x) ** 2,))

    best = [simulate(MCTS(), space, evaluate, trials=60, seed=seed).best for seed in range(4)]
    # With at most a root of N values of each range two of them ended near -0.05.
    assert min(best) > -0.02


def test_it_says_what_it_expects() -> None:
    space, evaluate = planted(1)
    algorithm = MCTS()
    algorithm.setup(space)
    with pytest.raises(AlgorithmError, match="fitted to at least 8 results, one of them a value; 0 came"):
        algorithm.predict(space.sample(1, np.random.default_rng(0)))
    known = space.sample(100, np.random.default_rng(4))
    algorithm.observe(known, [evaluate(decision) for decision in known])
    batch = space.sample(300, np.random.default_rng(5))
    truth = [evaluate(decision).values[0] for decision in batch]  # type: ignore[index]
    assert np.corrcoef(algorithm.predict(batch).mean, truth)[0, 1] > 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exploration": -1}, "exploration is a number of at least 0; got -1"),
        ({"order": "measure"}, r"order is one of 'measured', 'tree'; got 'measure' \(did you mean"),
        ({"rollouts": "model"}, "rollouts is one of 'surrogate', 'random'; got 'model'"),
        ({"virtual_loss": 0}, "virtual_loss is a number above 0; got 0"),
        ({"floor": 2}, "floor is a number between 0 and 1; got 2"),
        ({"bisect": 0}, "bisect is a whole number of at least 1; got 0"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        MCTS(**options)  # type: ignore[arg-type]
