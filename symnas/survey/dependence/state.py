"""The state of the dependence tracker: what one run has shown, what is remembered, and who is running.

Labels are sets of choices, one bit each in a Python integer. They reach a value in three ways:

- *data*: a result has the labels of its operands, a variable those of what was assigned to it;
- *control*: what is assigned under a condition has the condition's labels. In a branch that ran this is known
  when the branch ends (`Activation.drop`);
- *absence*: what the branch that did **not** run would have changed depends on the condition just as much.
  Local variables are known from the text (`rewrite.Pass.join` names those that either branch assigns).
  Fields of objects are not: they are learnt from runs that took the other branch (`touch`, `settle`), and
  the runs before those are done again.

The first two are the explicit and implicit flows of Denning and Denning (1977). The third is what purely
dynamic analyses cannot see in one run (Austin and Flanagan, "Efficient purely-dynamic information flow
analysis", 2009); here there are many runs, of which each branch is taken in some.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from symnas.survey.dependence.conditions import Changed, Condition, Path, Paths, Place, outwards
from symnas.survey.dependence.heap import Heap, is_atom, is_mapping, is_sequence

Pair = tuple[Any, int]
"""A value and its labels."""
Named = dict[str, Pair]
"""Keyword arguments."""
Handler = Callable[["Activation", int, Pair, list[Pair], Named], Pair]
"""Stands for a function: gets who calls, the place, the callee, and the arguments as pairs."""


@dataclass(frozen=True)
class ConditionRecord:
    """A condition met in a run: which one, what it depends on, its outcome, and what lies around it."""

    key: Hashable
    labels: int
    outcome: Hashable
    around: Condition | None
    place: Place | None
    may: bool
    """Whether points may depend on the outcome."""


@dataclass(frozen=True)
class Call:
    """Labels handed from a call to the function that it enters."""

    code: object
    positional: tuple[int, ...]
    keywords: dict[str, int]
    function: object
    extra: int
    """What the number of arguments depends on."""
    tag: Hashable = None
    """Which function it was, where that was chosen."""
    new: Hashable = None
    """The key of the object that the call makes, where it enters a constructor."""


class GlobalName(NamedTuple):
    """A name of a module; modules are told apart by name, since their dictionaries may be made anew."""

    module: str
    name: str


class Global:
    """A global name, which is changed under a condition like a field of an object."""

    def __init__(self, labels: dict[GlobalName, int], key: GlobalName) -> None:
        self.labels = labels
        self.key = key

    def add(self, _: Any, labels: int) -> None:
        """Let the name depend on more labels."""
        self.labels[self.key] = self.labels.get(self.key, 0) | labels


class Watch(Protocol):
    """A `try` or `with` that runs: whatever is computed in it may raise, and so decide what is reached."""

    at: Activation
    base: Condition | None
    saved: int
    """What had been computed before it began."""
    open: bool
    watches: bool
    """Whether an exception may end there."""

    @property
    def key(self) -> Hashable:
        """Which statement it is, the same in every run."""

    def close(self) -> None:
        """Stop watching for exceptions."""


class TrackerState:
    """What rewritten code has reported.

    Paths, places and effects are kept from run to run; everything else begins anew with `begin`.

    Attributes:
        intrinsics: functions that are not called but handled, by identity. operations: runs the operations
        of choice points: `(activation, place, name, hooks, args, keywords)`. places: places in the text by
        number. paths: numbers of places in the execution. known_effects: for each condition, the fields of
        objects that code under it changed in some run, both by
            keys that are the same in every run.
        grown: effects that were seen for the first time since someone last looked: the condition, the object,
            and whether the condition had been left before in the same run.
        left: conditions that were left, with labels, in this run.
        heap: labels inside objects.
        conditions: what was met with labels, in order.
        global_labels: labels of global names.
        defaults: labels of the defaults of parameters, by function.
        any_defaults: the labels of all of them.
        pending: the labels of the call that is about to enter rewritten code.
        returned: the labels of what such a call returned.
        collected: labels of what rewritten code returned to native code that called it, or of the parts of an
            expression that is kept in its form.
        native: labels of what the running native code was given.
        native_entries: how often it has called back.
        seen: labels of everything computed inside the innermost `try`.
        attempts: the `try` and `with` statements that run, outermost first.
        counts: how often each condition was met in this run.
        codes: code objects of rewritten functions.
        made: what tells functions of one text apart.
        alive: objects that are kept so that no identity comes up twice.
        top: who is running.
    """

    def __init__(self) -> None:
        self.intrinsics: dict[int, Handler] = {}
        self.operations: Callable[..., Pair] = lambda *_: (None, 0)
        # All up to `begin` outlives a run: numbers of paths and keys of effects mean the same in the next
        # one.
        self.places: dict[int, Place] = {}
        self.paths = Paths()
        self.known_effects: dict[Hashable, set[tuple[Hashable, Any]]] = {}
        self.grown: list[tuple[Hashable, Hashable, bool]] = []
        self.begin()

    def begin(self) -> None:
        """Forget the last run; paths and effects are kept."""
        self.heap = Heap()
        self.left: set[Hashable] = set()
        self.conditions: list[ConditionRecord] = []
        self.global_labels: dict[GlobalName, int] = {}
        self.defaults: dict[int, tuple[int, ...]] = {}
        self.any_defaults = 0
        self.pending: Call | None = None
        self.returned: tuple[Call | None, int] | None = None
        self.collected = 0
        self.native = 0
        self.native_entries = 0
        self.seen = 0
        self.attempts: list[Watch] = []
        self.counts: dict[Hashable, int] = {}
        self.alive: list[object] = []
        self.codes: set[object] = set()
        self.made: dict[int, Hashable] = {}
        self.top = Activation(self, self.paths.root, None)

    def label(self, number: int) -> int:
        """Return the bit of a label, known to this run from now on."""
        self.heap.everything |= 1 << number
        return 1 << number

    def context(self, place: Hashable = None) -> tuple[Condition, ...]:
        """Return the conditions around the code that runs now, outermost first.

        Inside a `try`, everything computed so far may have raised: that it did not is a condition of its own,
        known by the place that was reached.
        """
        # Conditions without labels are markers of `loops.Attempt` and decide nothing.
        found = [condition for condition in outwards(self.top.pc) if condition.labels][::-1]
        # `seen` is what was computed since the innermost `try` began, `saved` what had been computed in the
        # one around it before: so an outer `try` gets the labels of all that ran in it, the inner ones
        # included.
        labels = self.seen
        for attempt in reversed(self.attempts):
            if labels:
                key = ("reach", attempt.key, place)
                self.conditions.append(ConditionRecord(key, labels, True, attempt.base, None, True))
                found.append(Condition(None, key, labels, True, 0, None))
            labels |= attempt.saved
        return tuple(found)

    def note(
        self,
        key: Hashable,
        labels: int,
        outcome: Hashable,
        around: Condition | None,
        number: int | None,
        reaches: bool = True,
    ) -> Hashable:
        """Record a condition; the same key met again in a run is told apart by a count.

        `reaches` is False where it is known that no point depends on this outcome.
        """
        count = self.counts[key] = self.counts.get(key, 0) + 1
        if count > 1:
            key = (key, count)
        place = None if number is None else self.places.get(number)
        may = reaches and (place is None or place.may)
        self.conditions.append(ConditionRecord(key, labels, outcome, around, place, may))
        return key

    def touch(self, record: Changed, field: Any, condition: Condition | None) -> None:
        """Note that code under these conditions changed a field of an object."""
        # Every condition around had to hold for the change to happen, not only the innermost.
        while condition is not None:
            if condition.effects is None:
                condition.effects = {}
            condition.effects[(id(record), field)] = record
            condition = condition.parent

    def settle(self, condition: Condition, labels: int) -> None:
        """Leave a condition: what was changed under it, in this run or another, depends on it.

        Effects are remembered by keys of objects, not by the objects, which the next run makes anew. A
        condition whose account grows is put into `grown`: runs before this one did not know (see `effects`).
        """
        known = self.known_effects.get(condition.effect_key)
        before = condition.effect_key in self.left
        if labels:
            self.left.add(condition.effect_key)
        if condition.effects:
            # This run: the field may hold something else where the condition comes out otherwise.
            for (_, field), record in condition.effects.items():
                record.add(field, labels)
                # Other runs: only objects that are made at the same place on the same path are known again.
                if record.key is not None:
                    if known is None:
                        known = self.known_effects[condition.effect_key] = set()
                    if (record.key, field) not in known:
                        known.add((record.key, field))
                        self.grown.append((condition.effect_key, record.key, before))
        if known:
            # Absence: the branch that other runs took, and this one did not, would have changed these.
            for key, field in known:
                if isinstance(key, GlobalName):
                    self.global_labels[key] = self.global_labels.get(key, 0) | labels
                elif (found := self.heap.by_key.get(key)) is not None:
                    found.add(field, labels)


class Activation:
    """A function that runs: how it was reached, and the conditions around the code that it runs.

    Attributes:
        path: the number of the calls and turns that led here.
        pc: the innermost condition.
        base: the innermost condition when it was entered.
        site: the place in the text where it is.
        caller: who called it, or who resumed it where it is a generator.
        ended: labels of the comprehensions' loops that have ended since someone last took them.
    """

    __slots__ = ("base", "caller", "ended", "path", "pc", "site", "state")

    def __init__(self, state: TrackerState, path: Path, pc: Condition | None) -> None:
        self.state = state
        self.path = path
        self.pc = pc
        self.base = pc
        self.site = 0
        self.caller: Activation | None = None
        self.ended = 0

    def key(self, site: Hashable) -> Hashable:
        """Return a key for an object made here, the same in every run."""
        return (site, self.path)

    # -- conditions ----------------------------------------------------------------------------

    def push(
        self,
        key: Hashable,
        labels: int,
        outcome: Hashable,
        number: int | None,
        kinds: int,
        effect_key: Hashable = None,
        after: Condition | None = None,
        reaches: bool = True,
    ) -> None:
        """Go under a condition; `after` is one that must have held for it to be met at all."""
        self.state.seen |= labels
        # `after` stands in the record alone. In the chain of conditions it would pile up, one turn on
        # another, in a loop of many turns; the record has it so that the survey can find what must hold for
        # this one to be met.
        around = self.pc
        if after is not None:
            around = Condition(around, after.key, after.labels, after.outcome, 0, after.effect_key)
        key = self.state.note(key, labels, outcome, around, number, reaches)
        self.pc = Condition(self.pc, key, labels, outcome, kinds, effect_key or key)

    def drop(self, until: Condition | None, keep: int) -> int:
        """Leave the conditions met since `until`, but those whose early exits still matter; return labels.

        The labels are those of the conditions left, for what was assigned under them. Behind
        `if a: return` all the rest of a function runs only if `a` did not hold, so that condition is kept.
        """
        met = list(outwards(self.pc, until))
        self.pc, total = until, 0
        # Outermost first, so that each of those that stay is linked to the one around it.
        for condition in reversed(met):
            if condition.kinds & keep:
                self.pc = condition.under(self.pc)
            else:
                total |= condition.labels
                self.state.settle(condition, condition.labels)
        return total

    def restack(self, base: Condition | None, conditions: Iterable[Condition]) -> None:
        """Be under `base` and, inside of it, these conditions (innermost first)."""
        self.pc = base
        for condition in reversed([*conditions]):
            self.pc = condition.under(self.pc)

    def since_base(self) -> int:
        """Return the labels of the conditions met since the function was entered."""
        total, condition = 0, self.pc
        while condition is not None and condition is not self.base:
            total |= condition.labels
            condition = condition.parent
        return total

    def around(self) -> int:
        """Return the labels of all conditions around, those of the callers included."""
        total = 0
        for condition in outwards(self.pc):
            total |= condition.labels
        return total

    def truth(self, pair: Pair) -> tuple[bool, int]:
        """Return an object's truth and what it depends on."""
        value, labels = pair
        if is_atom(value):
            return bool(value), labels
        result, extra = self.natively(lambda: bool(value), labels)
        # Native containers are true unless they are empty: how many items there are decides, not what they
        # are.
        if is_sequence(value) or is_mapping(value) or isinstance(value, (dict, set)):
            return result, labels | extra | self.state.heap.shape(value)
        kind = type(value)
        if hasattr(kind, "__bool__") or hasattr(kind, "__len__"):
            # An object without these methods is always true, so only which object it is matters.
            labels |= self.state.heap.deep(value)
        return result, labels | extra

    # -- native code ---------------------------------------------------------------------------

    def natively(self, run: Callable[[], Any], labels: int) -> tuple[Any, int]:
        """Run what may call back into rewritten code; return the result and the labels collected there.

        What native code does with what it was given is not seen. So rewritten functions that it calls are
        taken to be called under `labels`, all that went in, and whatever they return goes into what comes
        out.
        """
        state = self.state
        saved = state.collected, state.native, state.native_entries, state.top, state.pending
        # A call made by native code is none that the tracker has announced, so nothing is pending in it.
        state.collected, state.native, state.native_entries, state.pending = 0, labels, 0, None
        state.top = self
        state.seen |= labels
        try:
            result = run()
            return result, state.collected
        finally:
            state.collected, state.native, state.native_entries, state.top, state.pending = saved
