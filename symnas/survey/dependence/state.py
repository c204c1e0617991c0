"""A running function under the dependence tracker: the conditions around it, and the names that it reads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from symnas.survey.dependence.conditions import Condition, Path
from symnas.survey.dependence.heap import REST, Record, is_atom, is_sequence
from symnas.survey.dependence.scopes import BREAK, CONTINUE, RETURN

if TYPE_CHECKING:
    from symnas.survey.dependence.frame import Frame
    from symnas.survey.dependence.tracker import Tracker

Pair = tuple[Any, int]


class Conditions:
    """A running function: where it is (`path`), and the conditions around it (`pc`)."""

    def __init__(self, tracker: Tracker, path: Path, pc: Condition | None) -> None:
        self.rt = tracker
        self.path = path
        self.pc = pc
        self.base = pc
        self.site = 0
        self.parent: Frame | None = None
        self.namespace: dict[str, Any] = {}
        self.args: list[int] = []
        self.result = 0
        self.has_result = False
        self.direct = False
        self.call_made: Any = None
        self.gone = 0
        self.stack: list[Any] = []
        self.holding: list[Pair] = []
        self.noted: list[int] = []
        self.kept_labels = 0
        self.classes: list[dict[str, int]] = []
        self.generated: Record | None = None

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
        self.rt.seen |= labels
        around = self.pc
        if after is not None:
            around = Condition(around, after.key, after.labels, after.outcome, 0, after.effect_key)
        key = self.rt.note(key, labels, outcome, around, number, reaches)
        self.pc = Condition(self.pc, key, labels, outcome, kinds, effect_key or key)

    def drop(self, until: Condition | None, keep: int) -> int:
        """Leave the conditions met since `until`, but those whose early exits still matter; return labels."""
        met: list[Condition] = []
        node = self.pc
        while node is not None and node is not until:
            met.append(node)
            node = node.parent
        self.pc, total = until, 0
        for item in reversed(met):
            if item.kinds & keep:
                kept = Condition(self.pc, item.key, item.labels, item.outcome, item.kinds, item.effect_key)
                kept.effects = item.effects
                self.pc = kept
            else:
                total |= item.labels
                self.rt.settle(item, item.labels)
        return total

    def since_base(self) -> int:
        """Return the labels of the conditions met since the function was entered."""
        total, node = 0, self.pc
        while node is not None and node is not self.base:
            total |= node.labels
            node = node.parent
        return total

    def truth(self, pair: Pair) -> tuple[bool, int]:
        """Return an object's truth and what it depends on."""
        value, labels = pair
        if is_atom(value):
            return bool(value), labels
        result, extra = self.natively(lambda: bool(value), labels)
        if is_sequence(value) or isinstance(value, (dict, set)):
            return result, labels | extra | self.rt.heap.shape(value)
        kind = type(value)
        if hasattr(kind, "__bool__") or hasattr(kind, "__len__"):
            labels |= self.rt.heap.deep(value)
        return result, labels | extra

    def test(self, site: int, pair: Pair, kinds: int) -> bool:
        """Decide an `if`."""
        self.site = site
        result, labels = self.truth(pair)
        if labels:
            self.push((site, self.path), labels, result, site, kinds)
        return result

    def join(self, saved: Condition | None) -> int:
        """End an `if`: return the labels of what was assigned in it."""
        return self.drop(saved, RETURN | BREAK | CONTINUE)

    def etest(self, site: int, pair: Pair) -> bool:
        """Decide a condition inside an expression."""
        self.site = site
        result, labels = self.truth(pair)
        self.stack.append((self.pc, pair))
        if labels:
            self.push((site, self.path), labels, result, site, 0)
        return result

    def elast(self) -> Pair:
        """Return the operand that decided `and` or `or`."""
        pair: Pair = self.stack[-1][1]
        return pair

    def ejoin(self, pair: Pair) -> Pair:
        """End a condition inside an expression."""
        saved, _ = self.stack.pop()
        return pair[0], pair[1] | self.drop(saved, 0)

    def filt(self, site: int, pair: Pair) -> bool:
        """Decide a comprehension's `if`; it holds until the next turn."""
        return self.test(site, pair, 0)

    # -- native code ---------------------------------------------------------------------------

    def natively(self, run: Callable[[], Any], labels: int) -> tuple[Any, int]:
        """Run what may call back into rewritten code; return the result and the labels collected there."""
        rt = self.rt
        saved = rt.collected, rt.native, rt.native_entries, rt.top, rt.pending
        rt.collected, rt.native, rt.native_entries, rt.pending = 0, labels, 0, None
        rt.top = self  # type: ignore[assignment]
        rt.seen |= labels
        try:
            result = run()
            return result, rt.collected
        finally:
            rt.collected, rt.native, rt.native_entries, rt.top, rt.pending = saved

    # -- names ---------------------------------------------------------------------------------

    def k(self, value: Any) -> Pair:
        """Take a constant."""
        return value, 0

    def g(self, name: str, value: Any) -> Pair:
        """Read a global name."""
        labels = self.rt.global_labels
        return value, labels.get((id(self.namespace), name), 0) if labels else 0

    def c(self, name: str, value: Any) -> Pair:
        """Read a name inside a class body."""
        held = self.classes[-1] if self.classes else {}
        return (value, held[name]) if name in held else self.g(name, value)

    def gset(self, name: str, labels: int) -> int:
        """Note the labels of a global name."""
        self._global(name, labels, strong=True)
        return labels

    def gweak(self, name: str, labels: int) -> None:
        """Let a global name depend on more labels."""
        self._global(name, labels, strong=False)

    def _global(self, name: str, labels: int, *, strong: bool) -> None:
        key = (id(self.namespace), name)
        held = self.rt.global_labels
        total = self.rt.global_labels.get(key, 0)
        within = self._around()
        held[key] = (labels | within) if strong else labels | total
        if within:
            self.rt.touch(_GlobalRecord(held, key), REST, self.pc)

    def _around(self) -> int:
        total, node = 0, self.pc
        while node is not None:
            total |= node.labels
            node = node.parent
        return total

    def cset(self, name: str, labels: int) -> int:
        """Note the labels of a name in a class body."""
        self.classes[-1][name] = labels
        return labels

    def cweak(self, name: str, labels: int) -> None:
        """Let a name in a class body depend on more labels."""
        self.classes[-1][name] = self.classes[-1].get(name, 0) | labels

    def keep(self, pair: Pair) -> Any:
        """Return the value and put the labels aside."""
        self.kept_labels = pair[1]
        return pair[0]

    def kept(self) -> int:
        """Return the labels put aside."""
        return self.kept_labels

    def begin(self) -> None:
        """Start to collect labels for an expression kept in its form."""
        self.stack.append(self.rt.collected)
        self.rt.collected = 0

    def v(self, pair: Pair) -> Any:
        """Return the value; its labels are collected."""
        labels = pair[1] if is_atom(pair[0]) else pair[1] | self.rt.heap.deep(pair[0])
        self.rt.collected |= labels
        self.rt.seen |= labels
        return pair[0]

    def fin(self, _: None, value: Any) -> Pair:
        """End such an expression."""
        labels = self.rt.collected
        self.rt.collected = self.stack.pop()
        return value, labels

    def sup(self, value: Any) -> Pair:
        """Take `super()` as it is."""
        return value, 0

    def visible(self, value: Any) -> Pair:
        """Hide the tracker's own names from `locals()` and the like."""
        if isinstance(value, dict):
            return {k: v for k, v in value.items() if not str(k).startswith("_tk")}, self.rt.heap.everything
        return [k for k in value if not str(k).startswith("_tk")], self.rt.heap.everything

    def hold(self, pair: Pair) -> Pair:
        """Put an operand of a comparison chain aside."""
        self.holding.append(pair)
        return pair

    def held(self) -> Pair:
        """Return it."""
        return self.holding.pop()


class _GlobalRecord:
    """Lets a global name be changed under a condition like a field of an object."""

    def __init__(self, held: dict[tuple[int, str], int], key: tuple[int, str]) -> None:
        self.held = held
        self.place = key
        self.key = None

    def add(self, _: Any, labels: int) -> None:
        """Let the name depend on more labels."""
        self.held[self.place] = self.held.get(self.place, 0) | labels
