"""Which choices a program's control flow depends on: labels beside values, and conditions with labels.

`rewrite` rewrites code so that it reports to a `Tracker`. A label is a bit; labels flow from a labelled
value to whatever is computed from it, through variables, attributes, items, calls and closures, and through
control flow: what a branch assigns depends on its condition. Every condition that was met with labels is
noted together with the conditions around it, so that a place in the run carries the conditions under which
it is reached.

The law: if two runs agree on all labels of the conditions around a place, both reach it or neither does.

Rewritten code calls the tracker `_tk`, and the frame that it opens `_tk_f` (whose table is in `frame`):

| operation      | Python construct          | meaning                                                    |
|----------------|---------------------------|------------------------------------------------------------|
| module         | a                         | open the frame of a module's own statements                |
| enter          | def f(): pass             | open the frame of a function, with its parameters' labels  |
| leave          | lambda: a                 | close the frame of a lambda and return its value           |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from symnas.survey.dependence.frame import Frame
from symnas.survey.dependence.heap import Heap
from symnas.survey.dependence.state import Call, TrackerState

Meta = tuple[str, tuple[str, ...], tuple[str, ...], int]
"""Of a function: its name, its positional and its keyword-only parameters, its place."""


class Tracker:
    """Opens the frames of rewritten code.

    Attributes:
        state: what has been reported.
    """

    def __init__(self) -> None:
        self.state = TrackerState()

    def module(self, namespace: dict[str, Any]) -> Frame:
        """Open the frame of a module's own statements."""
        state, caller = self.state, self.state.top
        name = str(namespace.get("__name__"))
        path = state.paths.child(caller.path, "module", name)
        frame = Frame(state, path, caller.pc, name, caller)
        state.top = frame.at
        return frame

    def enter(self, meta: Meta, values: tuple[Any, ...], extra: Any, keywords: Any) -> Frame:
        """Open the frame of a function; its parameters' labels come from the call, if that was tracked.

        Args:
            meta: what the text says of the function.
            values: the parameters' values, in order.
            extra: the value of `*args`, or None.
            keywords: the value of `**kwargs`, or None.
        """
        state, below = self.state, sys._getframe(1)
        # `state.pending` was put there by `calls._direct`. It is for the frame whose code it names, and for
        # one.
        caller, call = state.top, state.pending
        state.pending = None
        if call is not None and call.code is not below.f_code:
            call = None  # something in between, such as a metaclass, was entered first
        name, positional, keyword_only, place = meta
        if call is None:
            # Native code may call a function many times from one place (`map`, `sorted`), so calls are
            # counted.
            state.native_entries += 1
            path = state.paths.child(caller.path, caller.site, "native", state.native_entries, name)
        else:
            path = state.paths.child(caller.path, caller.site, name, call.tag)
        frame = Frame(state, path, caller.pc, str(below.f_globals.get("__name__")), caller, call)
        if call is None:
            if state.native:
                # Whether native code calls it at all depends on what that was given; so does all that it
                # does.
                frame.at.push(("native", path), state.native, name, place, 0)
            # What it returns depends on that condition, too: `since_base` shall include it.
            frame.at.base = caller.pc
            # Which defaults were used is not known either.
            labels = state.native | state.any_defaults
            frame.args = [labels] * len(values)
            if name == "__post_init__":
                # Of a dataclass the generated constructor is native; see `Call.new`.
                state.heap.record(values[0], ("new", path))
        else:
            if call.new is not None:
                state.heap.record(values[0], call.new)
            frame.args = _bound(call, positional, keyword_only, state.defaults, extra, keywords, state.heap)
        state.top = frame.at
        return frame

    def leave(self, frame: Frame, *steps: Any) -> Any:
        """Close the frame of a lambda and return its value, the last of the steps."""
        value = frame.ret(steps[-1])
        frame.exit()
        return value


def _bound(
    call: Call,
    positional: tuple[str, ...],
    keyword_only: tuple[str, ...],
    defaults: Mapping[int, tuple[int, ...]],
    extra: Any,
    keywords: Any,
    heap: Heap,
) -> list[int]:
    """Spread the labels of a call's arguments over the parameters of the function that it entered.

    Returns:
        The labels of all parameters in the order of `rewrite_expressions.parameter_names`.
    """
    given, count = call.positional, len(positional)
    # Which default belongs to which parameter is not kept: a parameter that was not given has those of all.
    fallback = 0
    for labels in defaults.get(id(call.function), ()):
        fallback |= labels
    result = [
        (given[i] if i < len(given) else call.keywords.get(name, fallback)) | call.extra
        for i, name in enumerate(positional)
    ]
    if extra is not None:
        if extra and any(given[count:]):
            heap.record(extra).items.update(enumerate(given[count:]))
        result.append(call.extra)
    result += [call.keywords.get(name, fallback) | call.extra for name in keyword_only]
    if keywords is not None:
        held = {name: call.keywords.get(name, 0) for name in keywords}
        if any(held.values()):
            heap.record(keywords).items.update(held)
        result.append(call.extra)
    return result
