"""Rebuilding an algorithm from a study's log, and checking that it would propose the same again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.fidelity import Proposal, fidelities_of, handed_out
from symnas.contracts.objectives import Objectives
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import StudyError
from symnas.study.state import StudyState
from symnas.study.store.base import PROPOSE, WARM_START, Event

EVALUATED = frozenset(status.value for status in Status if status.final and status is not Status.INFEASIBLE)


def proposal_rng(seed: int, call: int) -> np.random.Generator:
    """Return the generator that a proposal call is given: a law of the log, never to change."""
    return np.random.default_rng([seed, call])


def rebuild(
    algorithm: Algorithm,
    state: StudyState,
    events: Iterable[Event],
    verify: bool = False,
    ended: Callable[[int], None] | None = None,
) -> None:
    """Show a fresh algorithm all that the log says it observed, in the same portions.

    Args:
        algorithm: set up on the state's space, with nothing observed.
        state: the state after all the events.
        events: the study's log.
        verify: also make every proposal again and compare.
        ended: called for every trial that was evaluated, while the algorithm is as it was then.

    Raises:
        StudyError: with `verify`, a proposal came out otherwise.
    """
    # An algorithm's state is a function of what it observed, in which portions: proposals log what they saw
    # (`seen`), so observing that again rebuilds it, without the proposal time being paid again. Results that
    # no proposal has seen yet are not observed here but by the next proposal.
    for event in events:
        if event.kind == WARM_START:
            decisions = [
                state.context.space.decision(item["decision"], complete=True)
                for item in event.payload["trials"]
            ]
            outcomes = outcomes_of(event.payload, state.objectives)
            algorithm.observe(state.context.space.batch(decisions), outcomes)
        if ended is not None and event.kind in EVALUATED and event.payload.get("copied_from") is None:
            ended(event.trial)
        if event.kind != PROPOSE:
            continue
        payload = event.payload
        if payload["seen"]:
            algorithm.observe(
                state.batch(payload["seen"]), [state.outcome(number) for number in payload["seen"]]
            )
        numbers = range(event.trial, event.trial + len(payload["decisions"]))
        batch = state.batch(numbers)
        if payload.get("fidelities"):
            batch = Proposal(batch, payload["fidelities"])
        if verify and payload["call"] is not None:  # otherwise the decisions were given
            again = algorithm.propose(payload["n"], proposal_rng(state.context.seed, payload["call"]))
            if list(again) != list(batch) or (fidelities_of(again) or ()) != (fidelities_of(batch) or ()):
                raise StudyError(
                    f"a log replays exactly; at proposal {payload['call']} (trial {event.trial}) "
                    f"{algorithm!r} now proposes otherwise: the algorithm, or a library that it draws with, "
                    "has changed since, or its propose() depends on something besides what it observed"
                )
        if numbers:
            algorithm.observe(batch, handed_out(batch))


def outcomes_of(payload: Mapping[str, Any], objectives: Objectives) -> list[Outcome]:
    """Return what an algorithm sees of the trials of another study."""
    return [
        Outcome(
            Status(item["status"]),
            None if item["values"] is None else objectives.oriented(tuple(item["values"])),
            item["metrics"],
            item["cost"],
            item["fidelity"],
        )
        for item in payload["trials"]
    ]
