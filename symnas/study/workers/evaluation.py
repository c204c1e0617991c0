"""Running one trial, in any process: build the child, call the evaluator, name what became of it."""

from __future__ import annotations

import inspect
import numbers
import signal
import sys
import time
import traceback as tracebacks
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from symnas.constraints.checking import demand
from symnas.contracts.objectives import Objectives, undefined
from symnas.contracts.outcome import Status
from symnas.errors import EvaluatorError, KeywordError, MissingExtraError, RequirementError, StoreError
from symnas.study.trials.trial_context import RunningTrial, TrialPruned, blame, running
from symnas.study.workers.forks import ended_if_forked
from symnas.tree.space import Decision, Space

RULE = "an evaluator returns a number, or a dict of numbers by name"
# Mistakes in how a search was set up: no other trial would fare better, so they end it and are not logged.
FATAL = (EvaluatorError, KeywordError, StoreError, MissingExtraError)
TERMINATING = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
Metrics = Mapping[str, float]


@dataclass
class Result:
    """What became of one evaluation; plain data, apart from weights that are to be kept.

    Args:
        status: how it ended.
        metrics: what the evaluator returned, as numbers by name.
        values: the objectives' values as returned; None without a result.
        cost: seconds it took.
        error: one line that says what went wrong.
        traceback: the whole traceback.
        steps: intermediate metrics as (step, metrics).
        weights: the trained child's `state_dict`, where it is to be kept.
        fidelity: how far it went, where the evaluator itself decides that; results of trials that went
            differently far are not compared.
    """

    status: Status
    metrics: Metrics = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    cost: float = 0.0
    error: str | None = None
    traceback: str | None = None
    steps: list[tuple[int, Metrics]] = field(default_factory=list)
    weights: Any = None
    fidelity: int | None = None

    def payload(self) -> dict[str, Any]:
        """Return what the log keeps: the fields that say something."""
        fields = {
            "values": self.values, "error": self.error, "traceback": self.traceback,
            "steps": self.steps or None, "fidelity": self.fidelity,
        }  # fmt: skip
        return {
            "metrics": self.metrics,
            "cost": self.cost,
            **{name: value for name, value in fields.items() if value is not None},
        }


class Evaluation:
    """A target and an evaluator, put together by the conventions on the evaluator's parameters.

    A parameter named `decision` or `trial` is given the decision or the running trial; the first other one
    is given the child. For a bare space the child is the decision itself. No parameter for the child, no
    child is built. Where the algorithm says how far trials go, a parameter named `fidelity` is given that,
    and one named `checkpoint` the folder that the trials of one decision share; an evaluator that yields
    steps is stopped at the fidelity.

    Args:
        target: a program (anything with `space` and `build`) or a bare space.
        evaluate: the evaluator.
        objectives: what is optimised.
        keep_weights: whether a trained child's weights are part of the result.
        fidelity: whether the algorithm says how far trials go.
        apart: whether this is a process for trials alone, which Ctrl-C does not reach.

    Raises:
        EvaluatorError: the evaluator cannot be called like that.
    """

    def __init__(
        self,
        target: Any,
        evaluate: Callable[..., Any],
        objectives: Objectives,
        keep_weights: bool = False,
        fidelity: bool = False,
        apart: bool = False,
    ) -> None:
        self.target = target
        self.evaluate = evaluate
        self.objectives = objectives
        self.keep_weights = keep_weights
        self.fidelity = fidelity
        self.apart = apart
        self.takes_child, self.by_name = convention(evaluate, fidelity)

    def run(self, trial: RunningTrial) -> Result:
        """Evaluate one decision; whatever goes wrong with it is a result, not an exception.

        Raises:
            EvaluatorError: the evaluator returned something that is not a metric.
            SymnasError: a search inside the evaluator was not written as it must be.
        """
        began = time.perf_counter()
        steps: list[tuple[int, Metrics]] = []
        result = self._guarded(trial, steps)
        result.cost = time.perf_counter() - began
        result.steps = steps
        result.fidelity = None if self.fidelity else trial.fidelity
        return result

    def _guarded(self, trial: RunningTrial, steps: list[tuple[int, Metrics]]) -> Result:
        report = trial._on_report

        # Reports are kept here, where the trial runs, and go to the driver as well, who knows the other
        # trials.
        def noted(step: int, metrics: Any) -> bool:
            steps.append((int(step), as_metrics(metrics)))
            return report(*steps[-1])

        trial._on_report = noted
        try:
            with running(trial), self._seeded(trial), ended_if_forked():
                metrics, child = self._call(trial)
            return self._finished(metrics, child)
        except TrialPruned:
            return self._pruned(steps)
        # In this order: mistakes of the set-up are no trial's fault and end the search; a requirement that
        # does not hold is the decision's; everything else is what became of this model.
        except FATAL:
            raise
        except RequirementError as error:
            return Result(Status.INFEASIBLE, error=one_line(error))
        except BaseException as error:
            for cause in causes(error):
                if cause is trial.mistake:
                    raise blame(cause) from None
            if isinstance(error, KeyboardInterrupt) and not self.apart:
                raise  # Ctrl-C; what the evaluator raises itself cannot be told from it
            if isinstance(error, SystemExit) and of_a_signal(error):
                raise  # whoever sent it means the process
            status = Status.OOM if out_of_memory(error) else Status.FAILED
            return Result(status, error=one_line(error), traceback=_trace(error))

    def _seeded(self, trial: RunningTrial) -> AbstractContextManager[object]:
        """Give the trial global generators of its own, so that initial weights depend on its seed alone."""
        if not self.takes_child or isinstance(self.target, Space):
            return nullcontext()  # nothing is built, and setting generators costs more than such a trial
        import torch

        from symnas.training.random_state import RandomStream

        return RandomStream(trial.seed, torch.device("cpu"))

    def _call(self, trial: RunningTrial) -> tuple[Metrics, Any]:
        named = {name: getattr(trial, name) if name != "trial" else trial for name in self.by_name}
        if not isinstance(self.target, Space):
            demand(self.target, trial.decision)
        if self.takes_child:
            child = trial.decision if isinstance(self.target, Space) else self.target.build(trial.decision)
            returned = self.evaluate(child, **named)
        else:
            child, returned = None, self.evaluate(**named)
        if inspect.isgenerator(returned):
            returned = _drive(cast("Generator[Any, None, Any]", returned), trial)
        return as_metrics(returned), child

    def _finished(self, metrics: Metrics, child: Any) -> Result:
        values = self.objectives.values(metrics)
        if undefined(values):
            return Result(Status.NAN, metrics, error=f"an objective is not a finite number: {dict(metrics)}")
        weights = state_of(child) if self.keep_weights else None
        return Result(Status.DONE, metrics, values, weights=weights)

    def _pruned(self, steps: list[tuple[int, Metrics]]) -> Result:
        metrics = steps[-1][1] if steps else {}
        values = self.objectives.values(metrics)
        return Result(Status.PRUNED, metrics, None if undefined(values) else values)


def as_metrics(returned: Any) -> dict[str, float]:
    """Return what an evaluator returned as floats by name.

    Raises:
        EvaluatorError: it is neither a number nor a dict of numbers.
    """
    if isinstance(returned, Mapping):
        if not returned:
            raise EvaluatorError(f"{RULE}; it returned an empty dict: return {{'accuracy': 0.9}}, say")
        return {str(name): _number(value, f"{returned!r}"[:200]) for name, value in returned.items()}
    return {"value": _number(returned, f"{returned!r}"[:200])}


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that memory ran out; torch need not be imported to tell."""
    for seen in causes(error):  # a loader or a compiled function may have wrapped it
        if isinstance(seen, MemoryError) or type(seen).__name__ == "OutOfMemoryError":
            return True
        text = message(seen).lower()
        if isinstance(seen, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text):
            return True
    return False


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    seen: BaseException | None = error
    before: set[int] = set()
    while seen is not None and id(seen) not in before:  # `raise error from error` is its own cause
        before.add(id(seen))
        yield seen
        seen = seen.__cause__


def message(error: BaseException) -> str:
    """Return what an error says, or that it cannot say it."""
    try:
        return str(error)
    except BaseException as inner:  # whatever `__str__` does, the trial has its end
        return f"(its message cannot be shown: {type(inner).__name__})"


def one_line(error: BaseException) -> str:
    """Return an error's class and first line."""
    text = message(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def of_a_signal(error: BaseException) -> bool:
    """Whether an error was raised by the handler of a signal that ends processes."""
    handlers = (signal.getsignal(getattr(signal, name)) for name in TERMINATING if hasattr(signal, name))
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    return any(frame.f_code in codes for frame, _ in tracebacks.walk_tb(error.__traceback__))


def state_of(child: Any) -> Any:
    """Return a copy of a module's weights on the CPU, or None for what is not a module."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(child, torch.nn.Module):
        return None
    # On the CPU, since it may go to another process, and is kept when the child has gone.
    return {name: tensor.detach().cpu().clone() for name, tensor in child.state_dict().items()}


def convention(evaluate: Any, fidelity: bool) -> tuple[bool, tuple[str, ...]]:
    """Return whether an evaluator takes the child, and what else it takes by name.

    Args:
        evaluate: the evaluator.
        fidelity: whether the algorithm says how far trials go.

    Raises:
        EvaluatorError: it cannot be called, asks for what no trial has, or cannot be told how far to go.
    """
    if not callable(evaluate):
        raise EvaluatorError(f"an evaluator is a function of the child or a Task; got {evaluate!r}")
    known = ("decision", "trial", "fidelity", "checkpoint") if fidelity else ("decision", "trial")
    by_name: tuple[str, ...] = ()
    try:
        parameters = list(inspect.signature(evaluate).parameters.values())
    except (TypeError, ValueError):
        others: list[Any] = [evaluate]  # what it takes cannot be read: the child, then
    else:
        by_name = tuple(p.name for p in parameters if p.name in known and p.kind is not p.POSITIONAL_ONLY)
        others = _others(evaluate, parameters, by_name)
    if fidelity and "fidelity" not in by_name and not _yields(evaluate):
        raise EvaluatorError(
            "an algorithm that stops and resumes trials needs an evaluator that can go so far and no "
            f"further; {getattr(evaluate, '__qualname__', evaluate)!s} cannot be told: use a Task, yield "
            "(step, metrics) as it goes, or give it a parameter named `fidelity`"
        )
    return bool(others), by_name


def _others(evaluate: Any, parameters: list[inspect.Parameter], by_name: tuple[str, ...]) -> list[Any]:
    """Return the parameters that may take the child, of which all but the first must have defaults."""
    others = [
        p for p in parameters if p.name not in by_name and p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)
    ]
    for extra in [
        *others[1:],
        *(p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in by_name),
    ]:
        if extra.default is extra.empty and extra.kind is not extra.VAR_POSITIONAL:
            halving = "search with an algorithm that sets it, as 'hyperband', "
            raise EvaluatorError(
                "an evaluator takes the child, and `decision` and `trial` by name if it wants them; "
                f"{getattr(evaluate, '__qualname__', evaluate)!s} also asks for {extra.name!r}: "
                f"{halving if extra.name in ('fidelity', 'checkpoint') else ''}give it a default, or bind it "
                "with functools.partial"
            )
    return others


def _yields(evaluate: Any) -> bool:
    if getattr(evaluate, "fidelities", None) is not None:
        return True  # it says itself how far it goes, as a Task does
    return inspect.isgeneratorfunction(evaluate) or inspect.isgeneratorfunction(
        getattr(type(evaluate), "__call__", None)  # noqa: B004 - it is callable; what matters is how
    )


def _drive(run: Generator[Any, None, Any], trial: RunningTrial) -> Any:
    last: Any = None
    try:
        while True:
            try:
                item = next(run)
            except StopIteration as stop:
                return last if stop.value is None else stop.value
            if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], numbers.Integral)):
                raise EvaluatorError(
                    f"an evaluator that yields, yields (step, metrics) with a whole step; it yielded {item!r}"
                )
            last = item[1]
            trial.report(int(item[0]), as_metrics(last))
            if trial.fidelity is not None and int(item[0]) >= trial.fidelity:
                return last
    finally:
        # Also when it is stopped early: its `finally` and `with` are done before the trial is over.
        run.close()


def _number(value: Any, shown: str) -> float:
    if not isinstance(value, str | bytes | Decision) and value is not None:
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            pass
    raise EvaluatorError(
        f"{RULE}; it returned {shown} ({type(value).__name__}): add a `return` with the metric to maximise"
    )


def _trace(error: BaseException) -> str:
    try:
        return "".join(tracebacks.format_exception(error))
    except BaseException:  # it may have attributes that raise
        return one_line(error)
