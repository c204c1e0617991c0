from __future__ import annotations

import math
import random
from statistics import median

import pytest

from symnas.errors import AlgorithmError
from symnas.study.pruners import Median, SuccessiveHalving


def test_median_stops_what_never_reached_the_others_median() -> None:
    history = {number: {1: 0.1 * number, 2: 0.2 * number} for number in range(1, 6)}
    assert Median().should_prune(9, {**history, 9: {1: 0.2, 2: 0.59}})
    assert not Median().should_prune(9, {**history, 9: {1: 0.2, 2: 0.61}})


def test_median_looks_at_the_best_value_so_far() -> None:
    history = {number: {1: 0.3, 2: 0.3} for number in range(5)}
    assert not Median().should_prune(9, {**history, 9: {1: 0.4, 2: 0.0}})


def test_median_waits_for_company_and_for_the_warm_up() -> None:
    history = {number: {3: 1.0} for number in range(4)}
    assert not Median().should_prune(9, {**history, 9: {3: 0.0}})
    assert Median(startup=4).should_prune(9, {**history, 9: {3: 0.0}})
    assert not Median(startup=4, warmup=4).should_prune(9, {**history, 9: {3: 0.0}})


def test_median_agrees_with_a_direct_count_on_random_histories() -> None:
    draw = random.Random(0)
    for _ in range(200):
        peers = {number: {1: draw.random(), 2: draw.random()} for number in range(draw.randint(5, 9))}
        own = {1: draw.random(), 2: draw.random()}
        expected = max(own.values()) < median(reports[2] for reports in peers.values())
        assert Median().should_prune(99, {**peers, 99: own}) is expected


def test_nan_counts_as_the_worst() -> None:
    history = {number: {1: 0.0} for number in range(5)}
    assert Median().should_prune(9, {**history, 9: {1: math.nan}})


def test_halving_lets_one_in_factor_pass_each_rung() -> None:
    pruner = SuccessiveHalving(first=1, factor=2)
    history: dict[int, dict[int, float]] = {}
    passed = []
    for number, value in enumerate([0.5, 0.4, 0.6, 0.3, 0.7, 0.55]):
        history[number] = {1: value}
        if not pruner.should_prune(number, history):
            passed.append(number)
    # By hand: of n that have come, the best max(1, n // 2) pass; 0.55 is third of six.
    assert passed == [0, 2, 4, 5]


def test_halving_judges_at_rungs_only() -> None:
    pruner = SuccessiveHalving(first=2, factor=2)
    others = {number: {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0} for number in range(4)}
    assert not pruner.should_prune(9, {**others, 9: {1: 0.0}})
    assert pruner.should_prune(9, {**others, 9: {1: 0.0, 2: 0.0}})
    assert not pruner.should_prune(9, {**others, 9: {1: 1.0, 2: 1.0, 3: 0.0}})
    assert pruner.should_prune(9, {**others, 9: {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.0}})


def test_halving_judges_a_rung_that_a_report_jumped_over() -> None:
    others = {number: {4: 1.0} for number in range(4)}
    assert SuccessiveHalving(first=2, factor=2).should_prune(9, {**others, 9: {5: 0.0}})


def test_halving_ends_with_about_one_in_factor_squared_after_two_rungs() -> None:
    draw = random.Random(1)
    pruner = SuccessiveHalving(first=1, factor=4)
    history: dict[int, dict[int, float]] = {}
    survivors = 0
    for number in range(1000):
        quality = draw.random()
        history[number] = {1: quality}
        if pruner.should_prune(number, history):
            continue
        history[number][4] = quality
        survivors += not pruner.should_prune(number, history)
    assert 1000 / 16 * 0.6 < survivors < 1000 / 16 * 2


def test_verdicts_are_functions_of_the_history() -> None:
    history = {number: {1: float(number)} for number in range(8)}
    for pruner in (Median(), SuccessiveHalving()):
        verdicts = [pruner.should_prune(number, history) for number in history]
        again = type(pruner)()
        assert verdicts == [again.should_prune(number, history) for number in history]
        assert eval(repr(pruner)) == pruner


def test_settings_are_checked() -> None:
    with pytest.raises(AlgorithmError, match="factor is a whole number of at least 2; got 1"):
        SuccessiveHalving(factor=1)
    with pytest.raises(AlgorithmError, match="startup is a whole number of at least 1; got 0"):
        Median(startup=0)
