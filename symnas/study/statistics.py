"""What a study's trials say of each point of its space, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from symnas.contracts.objectives import undefined
from symnas.contracts.outcome import Status
from symnas.contracts.registry import resolve
from symnas.errors import AlgorithmError
from symnas.tree.statistics import Statistics, statistics

if TYPE_CHECKING:
    from symnas.study.state import StudyState


def study_statistics(state: StudyState, header: Mapping[str, Any]) -> Statistics:
    """Return how every candidate did in a study, by its first objective, larger being better.

    Args:
        state: the study's trials. Those that are done count; where they go differently far, those that went
            furthest. An algorithm that keeps statistics of its own is shown all of them, in order.
        header: what the study says of its algorithm.
    """
    own = _own(state, header)
    if own is not None:
        return own
    done = [trial for trial in state.trials if trial.status is Status.DONE]
    furthest = max((trial.fidelity or 0 for trial in done), default=0)
    numbers, values = [], []
    for trial in done:
        found = state.oriented(trial)
        if (trial.fidelity or 0) == furthest and found and not undefined(found[:1]):
            numbers.append(trial.number)
            values.append(found[0])
    return statistics(state.batch(numbers), np.array(values, np.float64))


def _own(state: StudyState, header: Mapping[str, Any]) -> Statistics | None:
    """Return what the study's algorithm says; None where it keeps no statistics or is not installed."""
    try:
        algorithm = resolve(header["algorithm_name"], header["options"])
    except AlgorithmError:
        return None
    if algorithm.capabilities.fidelity:
        return None
    algorithm.setup(state.context.space)
    if algorithm.statistics() is None:
        return None
    numbers = [trial.number for trial in state.trials if trial.status.final]
    algorithm.observe(state.batch(numbers), [state.outcome(number) for number in numbers])
    return algorithm.statistics()
