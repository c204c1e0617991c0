"""From a finished run to the record that source is written from: what was chosen and called where."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from symnas._typing import Value
from symnas.export.invocations import Chosen, Invocation, Turns
from symnas.export.text_edits import bracketed
from symnas.export.variants import CONSTRUCTORS
from symnas.frontend.run import ARGUMENTS, Frame, Position, Run, Visit
from symnas.frontend.sites import CallSite, Function


class RecordingRun(Run):
    """A run that also remembers which object each call site called."""

    def __init__(self, values: Mapping[str, Value] | None = None, *, strict: bool = True) -> None:
        super().__init__(values, strict=strict)
        self.callees: dict[Position, object] = {}
        self.turns: dict[Position, Turns] = {}
        self.results: dict[Visit, object] = {}

    def called(
        self, frame: Frame, call: CallSite, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Make the call, remembering its callee."""
        # Turns are taken now, while `visit.branch` is the candidate that is being evaluated.
        assert self.position is not None
        self.callees[self.position] = function
        self.turns[self.position] = self._call_turns(self.position)
        return super().called(frame, call, function, args, kwargs)

    @contextlib.contextmanager
    def within(self, path: str, target: Any) -> Iterator[None]:
        """Remember what makes an argument."""
        with super().within(path, target):
            assert self.position is not None
            self.callees[self.position], self.turns[self.position] = target, ()
            yield

    def left(self, visit: Visit, result: object) -> object:
        """Remember what a choice known only at run time evaluated to."""
        if visit.site.dynamic is not None:
            self.results[visit] = result
        return super().left(visit, result)

    def _call_turns(self, position: Position) -> Turns:
        visit = position.visit
        if visit is None:
            return position.turns
        return _below(visit, visit.branch) + position.turns[len(visit.turns) :]


def turns_of(visit: Visit) -> Turns:
    """Return the turns of a visit, with the occurrences of the repeated candidates that it is inside."""
    if visit.parent is None:
        return visit.turns
    # turns = loops around the parent, (occurrence of the candidate,) loops inside of it, outermost first
    return _below(visit.parent, visit.parent_branch) + visit.turns[len(visit.parent.turns) :]


def _below(parent: Visit, branch: str) -> Turns:
    """Return the turns that everything inside one occurrence of a candidate begins with."""
    if parent.kind not in ("manyof", "permutation"):
        return turns_of(parent)
    # Labels of repeated candidates end in their occurrence: a second `conv` is `conv[1]`.
    again = 0
    if branch not in map(str, parent.labels):
        again = int(branch[branch.rindex("[") + 1 : -1])
    return (*turns_of(parent), again)


def invocations(run: RecordingRun, module: Function, others: Sequence[Function] = ()) -> Invocation:
    """Return the invocation of the target's module, with everything that the run did beneath it.

    Args:
        run: a finished run.
        module: the module's own body.
        others: the bodies of further modules, which are invocations beneath it; functions of what is neither
            are left out.
    """
    root = Invocation(module)
    roots = {id(module): root, **{id(other): Invocation(other) for other in others}}
    by_file = {found.function.file: found for found in reversed(roots.values())}
    own = {id(function) for body in (module, *others) for function in _all(body)}
    made: dict[Frame, Invocation] = {}
    # In the order in which they were entered, so that who called has been made when it is asked for. Frames
    # of other modules are left out; what they called is unplaced.
    for frame in run.frames:
        if id(frame.function) not in own:
            continue
        if id(frame.function) in roots:
            # A module is executed once, wherever an import of it stands.
            made[frame] = roots[id(frame.function)]
            continue
        invocation = made[frame] = _invocation(frame)
        position = frame.position
        above = made.get(position.frame) if position is not None else None
        if position is not None and position.frame.function is ARGUMENTS:
            above = root  # the calls that make arguments are written behind the module's own statements
        if position is None or above is None:
            root.unplaced.append(invocation)
        elif _is_direct(callee := run.callees.get(position), frame):
            invocation.bound = isinstance(callee, partial)
            above.calls.setdefault(position.call, {}).setdefault(run.turns[position], []).append(invocation)
        else:
            above.unplaced.append(invocation)
    for visit in run.trace:
        # Choices of class bodies and module statements are the module's own.
        function = visit.site.function
        holder = by_file.get(visit.site.location.file) if visit.site.definition else made.get(visit.frame)
        if holder is not None and function is not None and id(function) in own:
            holder.chosen.setdefault(visit.site, {})[turns_of(visit)] = _chosen(run, visit)
    root.unplaced += [found for found in roots.values() if found is not root]
    return root


def _all(function: Function) -> list[Function]:
    return [function, *(inner for child in function.children for inner in _all(child))]


def _invocation(frame: Frame) -> Invocation:
    function, owner = frame.function, frame.owner
    if function.generated and function.name == "__new__" and isinstance(owner, type):
        # What a named tuple is called with comes before it: each call is of an instance of its own.
        return Invocation(function, object(), owner)
    return Invocation(function, owner, type(owner))


def _is_direct(callee: object, frame: Frame) -> bool:
    """Whether a call site called this very function or class, not something that called it later."""
    name = frame.function.name
    callee = callee.func if isinstance(callee, partial) else callee
    # `Block(…)` enters `Block.__init__`, or that of a base class, for an object that is a `Block`.
    if name in CONSTRUCTORS and isinstance(callee, type):
        return frame.owner is callee or type(frame.owner) is callee
    plain = getattr(callee, "__func__", callee)
    code = getattr(plain, "__code__", None)
    place = frame.function.file, frame.function.line
    return code is not None and code.co_name == name and (code.co_filename, code.co_firstlineno) == place


def _chosen(run: RecordingRun, visit: Visit) -> Chosen:
    site, value, code = visit.site, visit.value, visit.code
    kind = visit.kind
    if kind == "tied":
        return Chosen(number=value) if _is_number(value) else Chosen(text=repr(value))  # type: ignore[arg-type]
    if kind in ("int", "float"):
        return Chosen(number=value)  # type: ignore[arg-type]
    codes = code if isinstance(code, tuple) else (code,)
    if site.dynamic is None:
        return Chosen(branches=codes)
    # Candidates that only the run knew: the value itself where a literal can spell it, else the n-th of the
    # expression that gave them.
    literal = _literal(run.results.get(visit))
    if literal is not None:
        return Chosen(text=literal)
    given = site.dynamic.argument("candidates") or site.dynamic.arguments[0][1]
    texts = [f"{bracketed(ast.unparse(given))}[{index}]" for index in codes]
    return Chosen(text=texts[0] if kind == "oneof" else f"[{', '.join(texts)}]")


def _literal(value: object) -> str | None:
    """Return the source text of a value that a literal can spell."""
    text = repr(value)
    try:
        return text if ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError):
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
