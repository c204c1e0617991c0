"""Whether a decision meets a program's `require` clauses, found out before anything real is built.

A clause may speak of variables in scope where it stands, of points by their address or its last segment,
and of `params`, `flops` and `memory`. The child is built on `meta` for it, and run there where a clause
asks for what only a run can tell. A clause that the run never reaches, or that speaks of an inactive point,
does not apply.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from symnas.constraints.clauses import Clause, Verdict, evaluate
from symnas.errors import BuildError, RequirementError
from symnas.frontend.run import Run, Visit
from symnas.grammar.attachment.annotation import COSTS

if TYPE_CHECKING:
    from symnas.constraints.budgets import Budget, Learnt
    from symnas.tree.admission import AdmittedSampler
    from symnas.tree.space import Batch, Decision, Space

Met = list[tuple[Clause, Mapping[str, Any]]]
"""Clauses that a run came past, each with the variables in scope there."""


class Checkable(Protocol):
    """The part of a program's inside that clauses need."""

    def example(self, device: str | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the example inputs as positional and keyword arguments."""

    @property
    def local_requires(self) -> Collection[str]:
        """Texts of those clauses that `build_checked` meets with variables in scope."""

    @property
    def values_told(self) -> bool:
        """Whether the space keeps to all clauses over chosen values."""

    def build_checked(self, decision: Decision) -> tuple[Any, Any] | None:
        """Build the child, and tell which clauses were met; None where no clause is met on the way."""


class Conditional(Protocol):
    """A program whose clauses can be checked."""

    @property
    def space(self) -> Space:
        """The space of its decisions; `space.requires` holds clauses over decisions and costs."""

    @property
    def inputs(self) -> Any:
        """Example inputs of the child's forward pass as they were given, or None."""

    @property
    def internals(self) -> Checkable:
        """What finds clauses and builds."""

    def build(self, decision: Decision | Mapping[str, Any] | None = None) -> Any:
        """Build the child on the current default device."""


# Draws of the space as it is, before budgets are learnt.
PLAIN = 60
# Draws of what is learnt to meet them, made at a time.
BLOCK = 64

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


class CheckedRun(Run):
    """A run under a decision that notes the clauses it comes past, and the variables in scope there."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values, strict=True)
        self.met: Met = []

    def left(self, visit: Visit, result: object) -> object:
        """Note the clauses of the annotation at a point, with the chosen value under the assigned name."""
        site = visit.site
        if site.requires:
            scope = dict(sys._getframe(2).f_locals)  # left <- Hooks.leave <- the user's function
            statement = site.annotation.statement if site.annotation is not None else None
            if isinstance(statement, ast.Assign) and statement.value is site.node:
                scope |= {target.id: result for target in statement.targets if isinstance(target, ast.Name)}
            clauses = [Clause(text, site.origin) for text in site.requires]
            self.met += [(clause, scope | _as_it_is(clause, scope)) for clause in clauses]
        return super().left(visit, result)


def _as_it_is(clause: Clause, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a clause refers to, as it is now: a list may grow until the clause is judged."""
    found: dict[str, Any] = {}
    for node in clause.references:
        # What cannot be looked up is told when the clause is judged.
        with contextlib.suppress(Exception):
            value = evaluate(node, scope)
            found[ast.unparse(node)] = value.copy() if isinstance(value, (list, dict, set)) else value
    return found


@dataclass(frozen=True)
class Violation:
    """A clause that a decision breaks."""

    clause: Clause
    verdict: Verdict

    def __str__(self) -> str:
        """Render as `params < 1e6: params = 1,250,000, off by 25%`."""
        off = f", off by {self.verdict.gap:.3g} times its bound" if 1e-9 < self.verdict.gap != 1.0 else ""
        place = f" ({self.clause.origin})" if self.clause.origin else ""
        return f"require {self.clause.text}{place}: {self.verdict.detail}{off}"


def check(
    program: Conditional, decision: Decision, inputs: Sequence[Any] | None = None
) -> tuple[Violation, ...]:
    """Return the clauses that a decision breaks, judged without building anything real.

    Args:
        program: whose clauses.
        decision: a decision of its space.
        inputs: example inputs, where the program has none of its own and a clause speaks of FLOPs or memory.

    Raises:
        RequirementError: a clause needs a name that has no value, or example inputs that are missing.
    """
    # Cheapest first: clauses over the decision's own values need no child, those over variables and costs
    # one on `meta`, and of the costs FLOPs and memory a run of it.
    own = decision_scope(decision)
    stated = [Clause(text) for text in program.space.requires]
    local = set(program.internals.local_requires)
    # Those that stand at a choice speak of variables there, which only a run knows.
    cheap = [(c, own) for c in stated if not c.costs and c.text not in local]
    broken = [*_judged(cheap, decision)]
    if broken:
        return tuple(broken)  # the decision alone is enough; nothing need be built
    met: Met = []
    unseen: list[tuple[Clause, dict[str, Any]]] = []

    def build() -> object:
        made = program.internals.build_checked(decision)
        if made is None:
            unseen[:] = [(c, own) for c in stated if c.text in local and set(c.names) <= set(own)]
            return program.build(decision)
        child, met[:] = made
        return child

    needed = {cost for clause in stated for cost in clause.costs}
    costs = _costs(build, met, needed, _given(program, inputs))
    # A clause that the run came past is judged there, with its variables, and not a second time without them.
    on_the_way = {clause.text for clause, _ in met}
    everything = [(c, own | costs) for c in stated if c.costs and c.text not in on_the_way]
    everything += [(clause, own | dict(scope) | costs) for clause, scope in met]
    everything += [(clause, scope) for clause, scope in unseen if not clause.costs]
    return tuple(_judged(everything, decision))


def needs_runs(program: Conditional) -> bool:
    """Tell whether clauses have to be asked of decisions that the space admits."""
    requires = program.space.requires
    return bool(requires) and not (
        program.internals.values_told and not any(Clause(text).costs for text in requires)
    )


def demand(program: Conditional, decision: Decision) -> None:
    """Let a decision that meets every clause pass.

    Raises:
        RequirementError: it breaks one; the message has the clause and by how much it misses.
    """
    if not program.space.requires:
        return
    broken = check(program, decision)
    if broken:
        raise RequirementError(f"the decision breaks {'; '.join(map(str, broken))}")


def is_feasible(program: Conditional, decision: Decision, inputs: Sequence[Any] | None = None) -> bool:
    """Tell whether a decision meets every clause."""
    return not check(program, decision, inputs)


def sample(
    program: Conditional,
    n: int,
    rng: np.random.Generator,
    *,
    tries: int = 1000,
    inputs: Sequence[Any] | None = None,
) -> Batch:
    """Draw decisions that meet every clause, by drawing from the space and dropping those that do not.

    Args:
        program: whose space and clauses.
        n: how many.
        rng: the generator to draw with.
        tries: most draws per decision that is wanted.
        inputs: example inputs, as for `check`.

    Raises:
        RequirementError: the bound was reached; the message has the closest decision and its distance.
    """
    # Rejection sampling: the distribution is that of the space, conditioned on the clauses. One decision at
    # a time, so that the first rows of a larger sample are the smaller one. Where budgets refuse nearly all,
    # draws are from what is learnt to meet them, of which few are refused.
    kept: list[Decision] = []
    closest: tuple[float, Decision, tuple[Violation, ...]] | None = None
    tried = 0
    within: _WithinBudgets | None = None
    while len(kept) < n and tried < n * tries:
        tried += 1
        if tried == PLAIN and len(kept) * 10 < tried:
            within = _within_budgets(program, inputs)
        decision, sure = (program.space.sample(1, rng)[0], False) if within is None else within.draw(rng)
        broken = () if sure else check(program, decision, inputs)
        if not broken:
            kept.append(decision)
            continue
        if within is not None and within.sampler is None:
            # As far as is learnt nothing meets them, and this is the nearest: the rest need not be built.
            tried = n * tries
        gap = sum(violation.verdict.gap for violation in broken)
        if closest is None or gap < closest[0]:
            closest = gap, decision, broken
    if len(kept) < n:
        raise _unsatisfied(n, len(kept), tried, closest)
    return program.space.batch(kept)


class _WithinBudgets:
    """Draws of what is learnt to meet budgets."""

    def __init__(
        self, learnt: Learnt, budgets: Sequence[Budget], sampler: AdmittedSampler | None, alone: bool
    ) -> None:
        self.learnt = learnt
        self.budgets = budgets
        self.sampler = sampler
        self.alone = alone

        self.ahead: list[tuple[Decision, bool]] = []

    def draw(self, rng: np.random.Generator) -> tuple[Decision, bool]:
        """Draw a decision, and tell whether it is known to meet all clauses: no child need be made."""
        if self.sampler is None:
            return self.learnt.closest(self.budgets, rng), False
        if not self.ahead:
            # As many at a time, however many are wanted in all.
            drawn = self.learnt.space.drawn_by(BLOCK, rng, self.sampler)
            known = self.learnt.meets(drawn, self.budgets) & self.alone
            self.ahead = [*zip(drawn, known.tolist(), strict=True)][::-1]
        return self.ahead.pop()


def _within_budgets(program: Conditional, inputs: Sequence[Any] | None) -> _WithinBudgets | None:
    """Return draws of what is learnt to meet the budgets; None where there are none, or nothing is learnt."""
    from symnas.constraints.budgets import Learnt, budgets_of, wholly

    clauses = [clause for clause in map(Clause, program.space.requires) if clause.costs]
    budgets = budgets_of(clauses)
    if not budgets:
        return None
    costs = {budget.cost for budget in budgets}

    def count(decision: Decision) -> dict[str, dict[str, float]]:
        def build() -> object:
            made = program.internals.build_checked(decision)
            return program.build(decision) if made is None else made[0]

        return _parts(build, costs, _given(program, inputs))

    try:
        learnt = Learnt(program.space, count, sorted(costs))
    except BuildError:
        return None  # some children cannot be built: rejection tells which
    sampler = learnt.sampler(budgets)
    if sampler is None and not learnt.exact:
        return None
    alone = wholly(clauses, budgets) and program.internals.values_told
    return _WithinBudgets(learnt, budgets, sampler, alone)


def _parts(build: Callable[[], Any], costs: set[str], inputs: Inputs | None) -> dict[str, dict[str, float]]:
    """Return what the parts of a child cost: every parameter, or every module without those inside it."""
    from symnas.cost.profiling import on_meta, profile

    found: dict[str, dict[str, float]] = {}
    if "params" in costs:
        model = on_meta(build)
        found["params"] = {name: float(p.numel()) for name, p in model.named_parameters()}
    if "flops" in costs and inputs is not None:
        counted = profile(build, *inputs)
        flops = {path: float(module.flops or 0) for path, module in counted.modules.items()}
        own = dict(flops)
        for path, value in flops.items():
            if path:
                own[path.rpartition(".")[0]] = own.get(path.rpartition(".")[0], 0.0) - value
        found["flops"] = own
    return found


def _given(program: Conditional, inputs: Sequence[Any] | None) -> Inputs | None:
    if inputs is not None:
        return tuple(inputs), {}
    return program.internals.example() if program.inputs is not None else None


def decision_scope(decision: Decision) -> dict[str, Any]:
    """Return the values that a clause may name: addresses, and last segments of one active point."""
    scope: dict[str, Any] = dict(decision.flat())
    by_name: dict[str, list[Any]] = {}
    for address, value in decision.flat().items():
        by_name.setdefault(_last(address), []).append(value)
    # A whole address wins over the last segment of another one.
    return {name: values[0] for name, values in by_name.items() if len(values) == 1} | scope


def _last(address: str) -> str:
    return re.split(r"[.:]", address)[-1]


def _judged(clauses: Sequence[tuple[Clause, Mapping[str, Any]]], decision: Decision) -> Iterator[Violation]:
    for clause, scope in clauses:
        if _speaks_of_inactive(clause, scope, decision):
            continue
        verdict = clause.judge(scope)
        if not verdict.holds:
            yield Violation(clause, verdict)


def _speaks_of_inactive(clause: Clause, scope: Mapping[str, Any], decision: Decision) -> bool:
    missing = [name for name in clause.names if name not in scope and name not in COSTS]
    if not missing:
        return False
    active = {_last(address) for address in decision.flat()}
    known = {_last(address) for address in decision.space.addresses}
    return any(name in known and name not in active for name in missing)


def _costs(
    build: Callable[[], object], met: Met, needed: set[str], inputs: Inputs | None
) -> dict[str, int | None]:
    """Count what the clauses speak of: nothing, parameters alone, or all that a run can tell."""
    from symnas.cost.profiling import count_parameters, on_meta, profile

    # Only a run tells which clauses with variables it comes past, and those may speak of costs as well.
    if not needed:
        on_meta(build)
        needed = {cost for clause, _ in met for cost in clause.costs}
    if not needed:
        return {}
    # Parameters need no run, unless they are lazy and get their shapes from the first input.
    if needed == {"params"}:
        try:
            return {"params": count_parameters(build)}
        except BuildError:
            if inputs is None:
                raise
    if inputs is None:
        raise RequirementError(
            f"`require` over {' and '.join(sorted(needed - {'params'}))} needs example inputs; give them "
            "as symnas.program(..., inputs=(torch.zeros(1, 3, 32, 32),))"
        )
    counted = profile(build, *inputs)
    return {"params": counted.params, "flops": counted.flops, "memory": counted.memory}


def _unsatisfied(
    wanted: int,
    found: int,
    tried: int,
    closest: tuple[float, Decision, tuple[Violation, ...]] | None,
) -> RequirementError:
    said = ""
    if closest is not None:
        _, decision, broken = closest
        said = "; the closest breaks " + "; ".join(map(str, broken)) + f"\n  {dict(decision.flat())}"
    return RequirementError(
        f"{wanted} decision(s) that meet the requirements were wanted, {tried:,} tries found {found}{said}\n"
        "loosen the requirement, widen the space, or allow more tries"
    )
