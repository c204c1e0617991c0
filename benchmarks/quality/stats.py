"""Means, standard errors, ranks and tests over the results; regret is in points, smaller is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks.quality.claims import Claim
from benchmarks.quality.run import Trace
from symnas._typing import Floats

SEEN, TOLD = 0, 1


class Mean(NamedTuple):
    """A mean over seeds.

    Args:
        mean: of the regrets.
        error: standard error of the mean.
        seeds: how many.
    """

    mean: float
    error: float
    seeds: int

    def apart(self, other: Mean) -> bool:
        """Tell whether this mean is smaller, and the standard errors do not overlap."""
        return self.mean + self.error < other.mean - other.error


@dataclass(frozen=True)
class Results:
    """All traces by method and problem.

    Args:
        traces: traces by method.
    """

    traces: Mapping[str, Sequence[Trace]]

    @cached_property
    def _sorted(self) -> dict[tuple[str, str], dict[int, Trace]]:
        found: dict[tuple[str, str], dict[int, Trace]] = {}
        for method, traces in self.traces.items():
            for trace in traces:
                found.setdefault((method, trace.problem), {})[trace.seed] = trace
        return found

    def regrets(self, method: str, problem: str, budget: int, which: int) -> dict[int, float]:
        """Return the regret of each seed's incumbent; searches that were given less are left out.

        Args:
            method: whose.
            problem: on which.
            budget: after how many evaluations.
            which: `SEEN` for the regret in what the method saw, `TOLD` for that in what is reported.
        """
        traces = self._sorted.get((method, problem), {})
        return {
            seed: trace.at(budget)[which]
            for seed, trace in sorted(traces.items())
            if trace.evaluations >= budget
        }

    def mean(self, method: str, problem: str, budget: int, which: int) -> Mean | None:
        """Return the mean over seeds; None where the method was not run so far."""
        values = np.array(list(self.regrets(method, problem, budget, which).values()))
        if len(values) < 2:
            return None
        return Mean(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values))

    def proposal_time(self, method: str, problem: str) -> float | None:
        """Return the median proposal time in milliseconds per evaluation; None where there is none."""
        times = [trace.proposal_ms for trace in self._sorted.get((method, problem), {}).values()]
        return float(np.median(times)) if times else None

    def paired(
        self, method: str, rival: str, problem: str, budget: int, which: int
    ) -> tuple[Floats, Floats] | None:
        """Return the regrets of both on the seeds that both have; None if those are fewer than 5."""
        mine, theirs = (self.regrets(name, problem, budget, which) for name in (method, rival))
        seeds = sorted(mine.keys() & theirs.keys())
        if len(seeds) < 5:
            return None
        return np.array([mine[seed] for seed in seeds]), np.array([theirs[seed] for seed in seeds])


def wilcoxon(mine: Floats, theirs: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 where all pairs are equal."""
    if np.array_equal(mine, theirs):
        return 1.0
    return float(stats.wilcoxon(mine, theirs, zero_method="zsplit", method="approx").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method."""
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [1.0] * len(p_values), 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[at]))
        corrected[at] = largest
    return corrected


class Ranking(NamedTuple):
    """Average ranks with what it takes to tell two apart.

    Args:
        ranks: by method, 1 for the smallest regret, ties shared.
        critical: smallest difference of average ranks that Nemenyi's test at 5% tells apart.
        p_value: of Friedman's test that all methods are alike.
        blocks: how many problems times seeds were ranked.
    """

    ranks: dict[str, float]
    critical: float
    p_value: float
    blocks: int


def ranking(
    results: Results, methods: Sequence[str], problems: Sequence[str], budget: int, which: int
) -> Ranking | None:
    """Rank methods on every problem and seed that all of them have; None if there is nothing to rank."""
    rows = []
    for problem in problems:
        by_method = [results.regrets(method, problem, budget, which) for method in methods]
        common = set.intersection(*(set(found) for found in by_method)) if by_method else set()
        rows += [[found[seed] for found in by_method] for seed in sorted(common)]
    count = len(methods)
    if len(rows) < 2 or count < 3:
        return None
    table = np.array(rows)
    ranks = stats.rankdata(table, axis=1).mean(axis=0)
    spread = stats.studentized_range.ppf(0.95, count, np.inf) / np.sqrt(2)
    critical = float(spread * np.sqrt(count * (count + 1) / (6 * len(rows))))
    return Ranking(
        dict(zip(methods, map(float, ranks), strict=True)),
        critical,
        float(stats.friedmanchisquare(*table.T).pvalue),
        len(rows),
    )


class Verdict(NamedTuple):
    """One comparison of a claim.

    Args:
        problem: where.
        rival: with whom.
        budget: after how many evaluations.
        mine: mean of the claim's method.
        theirs: mean of the rival.
        p_value: after Holm's correction.
        holds: whether the claim's kind holds here.
        wins: whether the claim's method is ahead, whatever the claim.
    """

    problem: str
    rival: str
    budget: int
    mine: Mean
    theirs: Mean
    p_value: float
    holds: bool
    wins: bool


def judge(claim: Claim, results: Results, problems: Sequence[str], which: int) -> list[Verdict]:
    """Return the verdict on every comparison of a claim for which there are results."""
    found = []
    for problem in problems:
        for rival in claim.rivals:
            for budget in claim.budgets:
                pair = results.paired(claim.method, rival, problem, budget, which)
                mine = results.mean(claim.method, problem, budget, which)
                theirs = results.mean(rival, problem, budget, which)
                if pair is not None and mine is not None and theirs is not None:
                    found.append((problem, rival, budget, mine, theirs, wilcoxon(*pair)))
    corrected = holm([row[-1] for row in found])
    verdicts = []
    for (problem, rival, budget, mine, theirs, _), p_value in zip(found, corrected, strict=True):
        ahead = mine.apart(theirs) and p_value < 0.05
        behind = theirs.apart(mine) and p_value < 0.05
        close = mine.mean <= 1.1 * theirs.mean or not theirs.apart(mine)
        holds = {"ahead": ahead, "not behind": not behind, "close": close}[claim.kind]
        if claim.proposal_time is not None:
            times = [results.proposal_time(name, problem) or 0.0 for name in (claim.method, rival)]
            holds = holds and times[0] <= claim.proposal_time * times[1]
        verdicts.append(Verdict(problem, rival, budget, mine, theirs, p_value, holds, ahead))
    return verdicts
