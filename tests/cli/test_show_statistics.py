"""`symnas show --store`: what a study's trials say of each point."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import symnas
from symnas.cli.app import main
from symnas.cli.statistics_view import candidate_lines, statistics_tree
from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf, Permutation
from symnas.tree.space import Space
from symnas.tree.statistics import influence, splits, statistics
from tests.support.strategies import spaces

MODEL = """
def net():
    width = 16  # search: {16, 32, 64}
    op = "pool"  # search: {"pool", "conv"}
    rate = 0.1  # search: 0.0..0.6
    return width, op, rate
"""


def value(decision: symnas.Decision) -> float:
    return float({16: 1.0, 32: 2.0, 64: 3.0}[decision["width"]] + 0.5 * (decision["op"] == "conv"))


def space() -> Space:
    kernel = OneOf("op:conv.k", (1, 3))
    return Space(
        (OneOf("width", (16, 32, 64)), OneOf("op", ("conv", "pool"), branches=(Branch((0,), (kernel,)),)))
    )


def test_means_errors_and_bests_are_those_of_the_trials() -> None:
    given_space = space()
    batch = given_space.sample(40, np.random.default_rng(0))
    values = np.array([value(decision) + 0.1 * row for row, decision in enumerate(batch)])
    found = statistics(batch, values)
    assert found.trials == 40
    assert list(found.points) == ["width", "op", "op:conv.k"]
    for address, point in found.points.items():
        for label, one in zip(given_space[address].values(), point.candidates, strict=True):
            mine = [v for d, v in zip(batch, values, strict=True) if d.get(address) == label]
            assert one.trials == len(mine)
            assert one.mean == pytest.approx(np.mean(mine))
            assert one.error == pytest.approx(np.std(mine, ddof=1) / math.sqrt(len(mine)))
            assert one.best == max(mine)
            assert one.visits is None
    assert found.points["op:conv.k"].trials == sum("op:conv.k" in d for d in batch)


def test_influence_is_omega_squared() -> None:
    rng = np.random.default_rng(3)
    given_space = Space(tuple(OneOf(f"p{i}", (0, 1, 2)) for i in range(3)))
    batch = given_space.sample(60, rng)
    values = 2.0 * batch.codes[:, 1] + rng.normal(size=60)
    found = influence(batch, values)
    groups = [values[batch.codes[:, 1] == code] for code in range(3)]
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (60 - 3)
    between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups)
    total = ((values - values.mean()) ** 2).sum()
    assert found[1] == pytest.approx((between - 2 * within) / total)
    assert found[0] < 0.1
    assert found[2] < 0.1


def test_ranges_and_selections_are_told_in_pieces() -> None:
    given_space = Space(
        (
            IntRange("n", 0, 59),
            FloatRange("x", 0.0, 6.0),
            FloatRange("lr", 1e-6, 1.0, log=True),
            ManyOf("some", ("a", "b", "c"), 0, 2),
            Permutation("order", ("a", "b")),
        )
    )
    value = {"n": 25, "x": 3.5, "lr": 0.002, "some": ("a", "c"), "order": ("b", "a")}
    found = statistics(given_space.batch([given_space.decision(value)]), np.array([1.0]))
    hit = {
        address: [one.label for one in point.candidates if one.trials]
        for address, point in found.points.items()
    }
    assert hit == {
        "n": ["20..29"],
        "x": ["3..4"],
        "lr": ["0.001..0.01"],
        "some": ["a", "c"],
        "order": ["#0=b", "#1=a"],
    }
    assert [len(point.candidates) for point in found.points.values()] == [6, 6, 6, 3, 4]


@settings(max_examples=40, deadline=None)
@given(given_space=spaces(), seed=st.integers(0, 999))
def test_every_space_has_statistics_and_every_trial_one_group(given_space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = given_space.sample(9, rng)
    values = rng.normal(size=9)
    shares = influence(batch, values)
    assert ((shares >= 0) & (shares <= 1)).all()
    for entry in given_space.compiled.layout.own:
        here = batch.active(entry.point.address)
        for split in splits(entry, batch):
            assert (split.groups < len(split.labels)).all()
            if not (entry.shape == 1 and entry.subsets.ordered):
                assert ((split.groups >= 0) == here).all()
    found = statistics(batch, values)
    for address, point in found.points.items():
        assert point.trials == batch.active(address).sum()
    assert statistics_tree(given_space, found) is not None


def test_no_trial_is_no_mistake() -> None:
    empty = statistics(space().batch([]), np.empty(0))
    assert [one.trials for one in empty.points["width"].candidates] == [0, 0, 0]
    assert candidate_lines(empty.points["width"])[0].split() == ["16", "0", "trials"]


def test_of_many_candidates_those_tried_most_are_shown() -> None:
    given_space = Space((OneOf("p", tuple(f"c{i}" for i in range(30))),))
    batch = given_space.sample(50, np.random.default_rng(0))
    lines = candidate_lines(statistics(batch, np.zeros(50)).points["p"])
    assert len(lines) == 13
    assert lines[-1] == "… 18 more"


# -------------------------------------------------------------------- studies and the command


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain_net.py").write_text(MODEL)
    return tmp_path


def searched(place: Path, algorithm: str, direction: str = "max", **options: object) -> None:
    program = symnas.program(f"{place}/plain_net.py:net")

    def evaluate(child: tuple[int, str, float]) -> dict[str, float]:
        return {"score": {16: 1.0, 32: 2.0, 64: 3.0}[child[0]] + 0.5 * (child[1] == "conv")}

    symnas.search(
        program, evaluate, algorithm=algorithm, options=options, trials=24, store="runs.db",
        name=algorithm, objectives={"score": direction}, context="test", progress="silent",
    )  # fmt: skip


def test_show_tells_trials_and_means_at_each_candidate(place: Path) -> None:
    searched(place, "random")
    result = run("show", "plain_net.py:net", "--store", "runs.db")
    assert result.exit_code == 0, result.output
    assert "random, by score (max)" in result.output
    assert "24 trials with a result" in result.output
    for word in ("width  24 trials, explains", "mean 1.", "best 3.5", "0.1..0.2"):
        assert word in result.output
    assert "visits" not in result.output


def test_show_tells_a_search_trees_own_visits_and_order(place: Path) -> None:
    searched(place, "mcts", rollouts="random")
    result = run("show", "plain_net.py:net", "--store", "runs.db", "--study", "mcts")
    assert "decided 1st" in result.output
    assert "visits" in result.output
    data = json.loads(run("show", "plain_net.py:net", "--store", "runs.db", "--json").stdout)["study"]
    assert (data["name"], data["trials"]) == ("mcts", 24)
    width = data["points"]["width"]
    assert width["rank"] == 0
    # The first point is decided by the tree in every trial but for a lone one.
    assert sum(one["visits"] for one in width["candidates"].values()) == 24
    assert sum(one["trials"] for one in width["candidates"].values()) == 24
    best = max(width["candidates"], key=lambda label: width["candidates"][label]["visits"])
    assert best == "64"


def test_minimised_values_are_shown_as_they_are(place: Path) -> None:
    searched(place, "random", direction="min")
    data = json.loads(run("show", "plain_net.py:net", "--store", "runs.db", "--json").stdout)["study"]
    sixteen = data["points"]["width"]["candidates"]["16"]
    assert sixteen["best"] in (1.0, 1.5)
    assert 1.0 <= sixteen["mean"] <= 1.5
    assert sixteen["best"] <= sixteen["mean"]


def test_a_study_needs_a_store_and_the_same_space(place: Path) -> None:
    searched(place, "random")
    assert run("show", "plain_net.py:net", "--study", "random").exit_code == 2
    (place / "other_net.py").write_text(MODEL.replace("64}", "64, 128}"))
    result = run("show", "other_net.py:net", "--store", "runs.db")
    assert result.exit_code == 3
    assert "another one than that of study 'random'" in result.stderr
