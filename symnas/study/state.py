"""A study's state, computed from its events: the same code follows a running search and reads an old one."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Container, Iterable, Mapping
from typing import Any

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.objectives import Objectives
from symnas.contracts.outcome import Outcome, Status
from symnas.contracts.pareto import pareto_front
from symnas.errors import StoreError
from symnas.study.store.base import CRASH, IMPORT, PROPOSE, START, STOP, WARM_START, Event
from symnas.study.trials.trial import StudyContext, Trial
from symnas.tree.space import Batch, Decision

# Looking these up again is as good as evaluating again; a failure may have been the machine's.
REPEATABLE = frozenset({Status.DONE, Status.NAN, Status.INFEASIBLE})


class StudyState:
    """Trials, counts and queues of one study.

    Args:
        context: what the trials share, the space and the study's seed among it.
        objectives: what is optimised.
    """

    def __init__(self, context: StudyContext, objectives: Objectives) -> None:
        self.context = context
        self.objectives = objectives
        self.trials: list[Trial] = []
        self.seq = 0
        self.calls = 0
        self.finished = 0
        self.counts: Counter[Status] = Counter()
        self.waiting: deque[int] = deque()  # proposed and not started, or started and to be started again
        self.unseen: list[int] = []  # over, and not observed by the algorithm
        self.stop_reason: str | None = None
        self.spent = 0
        self.given = 0
        self.warm_started_from: dict[str, int] = {}
        # Indices, so that a step of a long search does not look through all trials: the best as in `_over`;
        # finished trials by decision and fidelity; those that others may go on from, and those that some do;
        # ended trials that are in none of these yet.
        self._best: tuple[int, float, int] | None = None
        self._known: dict[tuple[str, int | None], int] = {}
        self._reached: dict[str, list[int]] = {}
        self._gone_on: set[int] = set()
        self._fresh: list[int] = []

    def apply_all(self, events: Iterable[Event]) -> None:
        """Take note of many events, in order."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take note of one event."""
        # The position in the log, which the next write must find there (`Driver.flush`).
        self.seq += 1
        kind, number, at, payload = event
        if kind == PROPOSE:
            self._proposed(payload)
        elif kind == START:
            trial = self.trials[number]
            trial.started, trial.worker = at, payload["worker"]
            if number in self.waiting:
                self.waiting.remove(number)
        elif kind == CRASH:
            self.trials[number].attempts += 1
            self.waiting.append(number)
        elif kind == IMPORT:
            self._imported(at, payload)
        elif kind == WARM_START:
            self.warm_started_from[payload["from"]] = len(payload["trials"])
        elif kind == STOP:
            self.stop_reason = payload["reason"]
        else:
            self._over(number, Status(kind), at, payload)

    def requeue_interrupted(self) -> list[int]:
        """Queue the trials that were running when the driver died, in order; return their numbers."""
        # `waiting` is told by the log as well: what was proposed and not over, whether it had begun or not.
        running = [trial.number for trial in self.trials[self._first_open() :] if not trial.status.final]
        self.waiting = deque(running)
        return running

    def known(self, trial: Trial) -> Trial | None:
        """Return a finished trial of the same decision and fidelity whose result holds for this one too."""
        self._index()
        number = self._known.get((trial.decision.key, trial.fidelity))
        return None if number is None else self.trials[number]

    def resumable(
        self, decision: Decision, below: float = math.inf, taken: Container[int | None] = ()
    ) -> int | None:
        """Return the number of the trial that one of the same decision goes on from, if there is any.

        It is the one that came furthest, the earliest of equals; each is gone on from once.

        Args:
            decision: what is tried.
            below: the fidelity that it must not have reached.
            taken: trials that others are about to go on from.
        """
        self._index()
        found: tuple[int, int] | None = None
        for number in self._reached.get(decision.key, ()):
            fidelity = self.trials[number].fidelity or 0
            if number in self._gone_on or number in taken or fidelity >= below:
                continue
            found = max(found or (0, 0), (fidelity, -number))
        return None if found is None else -found[1]

    def _index(self) -> None:
        # Decisions are read from the log only when they are asked for, so that looking at a study is quick.
        fresh, self._fresh = self._fresh, []
        for number in fresh:
            trial = self.trials[number]
            if trial.copied_from is not None:
                continue
            key = trial.decision.key
            if trial.status in REPEATABLE:
                self._known.setdefault((key, trial.fidelity), number)
            if trial.status is Status.DONE and trial.fidelity is not None:
                self._reached.setdefault(key, []).append(number)

    def oriented(self, trial: Trial) -> tuple[float, ...] | None:
        """Return a trial's values so that larger is better."""
        return None if trial.values is None else self.objectives.oriented(trial.values)

    def outcome(self, number: int) -> Outcome:
        """Return what an algorithm sees of a finished trial."""
        trial = self.trials[number]
        return trial.outcome(self.oriented(trial))

    def batch(self, numbers: Iterable[int]) -> Batch:
        """Return the decisions of trials, in the given order."""
        return self.context.space.batch([self.trials[number].decision for number in numbers])

    @property
    def best(self) -> Trial | None:
        """The trial with the best first objective among those that went furthest, the earliest of equals."""
        return None if self._best is None else self.trials[-self._best[2]]

    @property
    def level(self) -> int:
        """The highest fidelity that a trial with a result went to; 0 where there are none."""
        return 0 if self._best is None else self._best[0]

    def front(self) -> list[Trial]:
        """Return the trials that no other dominates among those that went furthest, in order."""
        done = [trial for trial in self.trials if trial.status is Status.DONE and _level(trial) == self.level]
        return [done[position] for position in pareto_front([self.oriented(trial) or () for trial in done])]

    def worth_keeping(self, count: int) -> list[int]:
        """Return the trials whose weights are kept: the best few, or the front of several objectives."""
        if self.objectives.count > 1:
            return [trial.number for trial in self.front()] if count else []
        done = [trial for trial in self.trials if trial.status is Status.DONE and trial.copied_from is None]
        done.sort(key=lambda trial: (-_level(trial), -(self.oriented(trial) or (0.0,))[0], trial.number))
        return [trial.number for trial in done[:count]]

    # ------------------------------------------------------------ inside

    def _first_open(self) -> int:
        return next((trial.number for trial in self.trials if not trial.status.final), len(self.trials))

    def _proposed(self, payload: Mapping[str, Any]) -> None:
        if payload["call"] is None:
            self.given += len(payload["decisions"])
        else:
            self.calls += 1
        if payload["seen"]:
            # Nearly always a proposal sees all there is; then nothing needs to be searched.
            if list(payload["seen"]) == self.unseen:
                self.unseen = []
            else:
                seen = set(payload["seen"])
                self.unseen = [number for number in self.unseen if number not in seen]
        nothing = (None,) * len(payload["decisions"])
        fidelities, resumed = payload.get("fidelities", nothing), payload.get("resumes", nothing)
        for raw, fidelity, resumes in zip(payload["decisions"], fidelities, resumed, strict=True):
            number = len(self.trials)
            root, passed = None, 0
            if resumes is not None:
                earlier = self.trials[resumes]
                root, passed = earlier.origin, earlier.fidelity or 0
                self._gone_on.add(resumes)
            # A trial that goes on pays for the way from where the earlier one stopped.
            self.spent += 0 if fidelity is None else fidelity - passed
            self.waiting.append(number)
            self.trials.append(
                Trial(number, self.context, raw, fidelity=fidelity, resumes=resumes, root=root)
            )

    def _imported(self, at: float, payload: Mapping[str, Any]) -> None:
        # Trials of this study's earlier self: they have numbers and are observed like its own.
        for item in payload["trials"]:
            number = len(self.trials)
            fidelity = item.get("fidelity")
            self.trials.append(Trial(number, self.context, item["decision"], started=at, fidelity=fidelity))
            self._over(number, Status(item["status"]), at, item)

    def _over(self, number: int, status: Status, at: float, payload: Mapping[str, Any]) -> None:
        trial = self.trials[number]
        if trial.status.final:
            raise StoreError(
                f"a trial ends once; the log ends trial {number} twice: the store was edited or damaged"
            )
        trial.status, trial.finished = status, at
        trial.metrics = payload.get("metrics", {})
        values = payload.get("values")
        trial.values = None if values is None else tuple(values)
        trial.cost = payload.get("cost")
        trial.error, trial.traceback = payload.get("error"), payload.get("traceback")
        trial.copied_from = payload.get("copied_from")
        trial.fidelity = payload.get("fidelity", trial.fidelity)
        if "steps" in payload:
            trial.steps = [(step, metrics) for step, metrics in payload["steps"]]
        self.finished += 1
        self.counts[status] += 1
        self.unseen.append(number)
        self._fresh.append(number)
        if status is Status.DONE and trial.values is not None:
            # Compared in this order: further, better, earlier (numbers are negated, so that max takes it).
            standing = (_level(trial), self.objectives.oriented(trial.values)[0], -number)
            self._best = standing if self._best is None else max(self._best, standing)


def comparable(trial: Trial, level: int, algorithm: Algorithm) -> tuple[int | None, bool]:
    """Return a trial's fidelity as another study counts it, and whether its values compare with others there.

    Without fidelities, that is what went furthest; with them, what has none went all the way.

    Args:
        trial: of another study.
        level: the highest fidelity that trials of that study reached, 0 without any.
        algorithm: of the study that takes the trial.
    """
    if algorithm.capabilities.fidelity:
        return trial.fidelity or algorithm.hyperparameters.get("high"), True
    return None, (trial.fidelity or 0) == level


def remembered(
    trial: Trial, decision: Decision, values: Iterable[float] | None, fidelity: int | None
) -> dict[str, Any]:
    """Return what a log holds of a trial that another study made.

    Args:
        trial: of the other study.
        decision: its decision, in the space of the study that takes it.
        values: the objectives of that study, or None without any.
        fidelity: as that study counts it.
    """
    return {
        "decision": decision.flat(),
        "status": trial.status.value,
        "metrics": dict(trial.metrics),
        "values": values,
        "cost": trial.cost,
        "fidelity": fidelity,
    }


def _level(trial: Trial) -> int:
    """Return how far a trial went; all that have no fidelity are alike."""
    return trial.fidelity or 0
