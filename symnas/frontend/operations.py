"""The operations that instrumented code calls; each does what the plain code does where its frame is None.

`f` is the frame (one invocation of a function), `F`, `C`, `s` and `l` are the function, call, site and loop.

| operation | stands for, in Python | what it does in a run |
| --- | --- | --- |
| `f = frame(F, self)` | the first line of a function | opens the record of the invocation |
| `call(f, C, g, …)` | `g(…)`, where g may reach a point | addresses inside g begin with the call's path |
| `made(g, F)` | the innermost decorator of a `def` | remembers g, to give it its plain code back |
| `enter(f, s)` | the test of a choice that comes first | visits the point; the index to evaluate, or -1 |
| `taken(f, s)` | the tests after it | the same index again |
| `each(f, s)` | `for index in …` of a subset or an order | the indices chosen, in turn |
| `value(f, s)` | a range, a tie | the number; what the other point has |
| `count(f, s, xs)` | `for x in xs`, its turns annotated | as many of `xs` as were chosen |
| `length(f, s, xs)` | the same, the number of turns computed | `xs`, their number being the default |
| `settle(f, s, x, …)` | `x`, computed by the code | `x`, the default being the candidate it equals |
| `leave(f, s, x)` | around the whole choice | ends the visit; `x`, or what the run makes of it |
| `offered(f, s, i)` | the tests, under `evaluate_all` | whether candidate i is to be evaluated |
| `together(f, s, i, …)` | the choice, under `evaluate_all` | what the run makes of the candidates offered |
| `dynamic(f, s, "oneof", …)` | `oneof(KERNELS)` | visits a point whose domain is known only now |
| `defaulted(f, g, …)` | `oneof(…)` that is no point | its default, as outside a run |
| `missing(p)` | `p` of `def g(p=<a choice>)` | whether it was not passed |
| `known`, `recall`, `keep` | its default | evaluated once a run, remembered after that |
| `fields(f, F, g, self, …)` | a dataclass's constructor g | g, all that was left out having been chosen |
| `look(f, l, xs)` | `xs` in `for x in xs` | sees whether they are a chosen subset |
| `turns(f, l, xs)` | around that | counts the turns, which are part of addresses |
| `start(f, l)`, `again(f, l)` | before a `while`; first in its test | count its turns |
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from symnas._typing import Label
from symnas.errors import DecisionError, ProgramError
from symnas.frontend import choice_calls
from symnas.frontend.run import RUN, UNDECIDED, Frame, Visit, set_value
from symnas.frontend.sites import CallSite, Function, Loop, Site
from symnas.frontend.value_matching import same_choice
from symnas.tree.choices import label_key


class Missing:
    """Stands for a parameter's default while a program runs, and remembers it."""

    __slots__ = ("original",)

    def __init__(self, original: object) -> None:
        self.original = original


class Hooks:
    """The single, stateless object through which instrumented code reaches the current run."""

    def frame(self, function: Function, owner: object = None) -> Frame | None:
        """Open an invocation, or return None outside a run."""
        run = RUN.get()
        return None if run is None else run.frame(function, owner)

    def call(self, frame: Frame | None, call: CallSite, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call something that may reach points."""
        if frame is None:
            return function(*args, **kwargs)
        return frame.run.call(frame, call, function, args, kwargs)

    def made(self, function: Any, record: Function) -> Any:
        """Note a function created during a run, so that its plain code can be restored afterwards."""
        run = RUN.get()
        if run is not None:
            run.made.append((function, record))
        return function

    # -- choices --------------------------------------------------------------------------------

    def enter(self, frame: Frame | None, site: Site) -> int:
        """Visit a choice: the index of the candidate to evaluate, or -1 for the code's own expression."""
        if frame is None:
            return site.plain_index
        assert site.prototype is not None
        visit = frame.run.visit(frame, site, site.prototype)
        if visit.value is UNDECIDED:
            return -1
        if visit.kind == "oneof":
            assert isinstance(visit.code, int)
            visit.branch = _branch(visit.labels[visit.code])
            return visit.code
        return 0

    def taken(self, frame: Frame | None, site: Site) -> int:
        """Return the index that `enter` returned for this visit."""
        if frame is None:
            return site.plain_index
        # Between the tests of a choice nothing else is evaluated, so its visit is the innermost open one.
        code = frame.open[-1].code
        return code if isinstance(code, int) else -1

    def each(self, frame: Frame, site: Site) -> Iterator[int]:  # noqa: ARG002
        """Yield the indices of the chosen candidates of a subset or an order."""
        visit = frame.open[-1]
        assert isinstance(visit.code, tuple)
        seen: dict[int, int] = {}
        for code in visit.code:
            again = seen.get(code, 0)
            seen[code] = again + 1
            visit.branch = _branch(visit.labels[code]) + (f"[{again}]" if again else "")
            yield code

    def value(self, frame: Frame, site: Site) -> Any:  # noqa: ARG002
        """Return the number of a range or the value of a tie."""
        value = frame.open[-1].value
        return list(value) if isinstance(value, tuple) else value

    def settle(self, frame: Frame | None, site: Site, value: Any, candidates: tuple[Any, ...]) -> Any:  # noqa: ARG002
        """Recognise the value that the code computed among the candidates, and make it the default."""
        if frame is None:
            return value
        # `leave` comes after, so the visit is still open while the code's own value is looked at.
        visit = frame.open[-1]
        if visit.kind in ("int", "float"):
            _adopt(visit, value, value)
        elif visit.kind == "oneof":
            index = _find(value, candidates)
            _adopt(visit, None if index is None else visit.labels[index], value)
        else:
            items = list(value)
            found = [_find(item, candidates) for item in items]
            known = None not in found
            labels = tuple(visit.labels[index] for index in found if index is not None)
            _adopt(visit, labels if known else UNDECIDED, value)
        return value

    def leave(self, frame: Frame | None, site: Site, result: Any) -> Any:
        """Finish a choice; returns what the expression evaluates to."""
        if frame is None:
            return result
        visit = frame.open.pop()
        if isinstance(visit.code, tuple):
            if type(result) is list and site.container != "list":
                result = tuple(result) if site.container == "tuple" else set(result)
            assert isinstance(visit.value, tuple)
            # A loop over this very object names its turns by the candidates (`look`); it is kept with its
            # labels, so that no other object gets its identity while the run lasts.
            frame.run.subsets[id(result)] = (result, visit.value)
        return frame.run.left(visit, result)

    def offered(self, frame: Frame | None, site: Site, index: int) -> bool:
        """Whether to evaluate a candidate (-1: the code's own expression), where several of one may be."""
        if frame is None:
            return index == site.plain_index
        visit = frame.unwind(site)
        assert visit is not None
        offers = frame.run.offers(visit)
        if offers is None:
            return index == (-1 if visit.value is UNDECIDED else visit.code)
        if index in offers:
            visit.branch = _branch(visit.labels[index])
        return index in offers

    def together(self, frame: Frame | None, site: Site, code: int, *values: Any) -> Any:
        """Return what a choice evaluates to, of the values of those candidates that were offered."""
        if frame is None:
            return values[code]
        visit = frame.unwind(site)
        assert visit is not None
        offers = frame.run.offers(visit)
        if offers is None:
            return values[code]
        return frame.run.together(visit, {index: values[index] for index in offers})

    def dynamic(self, frame: Frame | None, site: Site, kind: str, /, *args: Any, **kwargs: Any) -> Any:
        """Make a choice whose candidates or bounds are known only now."""
        if frame is None:
            return getattr(choice_calls, kind)(*args, **kwargs)
        prototype, candidates = choice_calls.describe(site.origin, kind, *args, **kwargs)
        visit = frame.run.visit(frame, site, prototype)
        code, offers = visit.code, frame.run.offers(visit)
        if visit.kind == "oneof" and offers is not None:
            return frame.run.together(
                visit, {index: choice_calls.made(candidates[index]) for index in offers}
            )
        if visit.kind == "oneof":
            assert isinstance(code, int)
            return choice_calls.made(candidates[code])
        if isinstance(code, tuple):
            return [choice_calls.made(candidates[index]) for index in code]
        return visit.value

    def defaulted(self, frame: Frame | None, function: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Make the default of a choice (`oneof(…)`) that is no point of the program."""
        # What looks like a call of choice from uncovered code would be refused during a run.
        token = RUN.set(None)
        try:
            return function(*args, **kwargs)
        finally:
            RUN.reset(token)

    # -- definitions ----------------------------------------------------------------------------

    def missing(self, value: object) -> bool:
        """Whether a parameter was not passed and its default holds a choice."""
        return type(value) is Missing

    def known(self, frame: Frame | None, function: Function, name: str) -> bool:
        """Whether the default has been evaluated in this run (or need not be, outside one)."""
        return frame is None or (function, name) in frame.run.definitions

    def recall(self, frame: Frame | None, function: Function, name: str, value: Missing) -> object:
        """Return the default evaluated earlier in this run, or the plain one."""
        return value.original if frame is None else frame.run.definitions[function, name]

    def keep(self, frame: Frame, function: Function, name: str, value: object) -> object:
        """Remember a default for the rest of the run: it is one per definition."""
        frame.run.definitions[function, name] = value
        return value

    def fields(
        self,
        frame: Frame | None,  # noqa: ARG002
        function: Function,  # noqa: ARG002
        original: Any,
        owner: Any,
        /,
        **values: Any,
    ) -> Any:
        """Call the constructor that Python generated for a class, with all of its parameters."""
        return original(owner, **values)

    # -- loops ----------------------------------------------------------------------------------

    def look(self, frame: Frame | None, loop: Loop, iterable: Any) -> Any:
        """See whether a loop goes over a chosen subset, so that its turns are named by the candidates."""
        if frame is not None:
            frame.labels.pop(loop, None)
            found = frame.run.subsets.get(id(iterable))
            if found is not None:
                frame.labels[loop] = found[1]  # type: ignore[assignment]
        return iterable

    def turns(self, frame: Frame | None, loop: Loop, iterable: Iterable[Any]) -> Iterable[Any]:
        """Count the turns of a loop."""
        if frame is None:
            return iterable
        return self._turns(frame, loop, frame.run.turned(frame, loop, iterable))

    def _turns(self, frame: Frame, loop: Loop, iterable: Iterable[Any]) -> Iterator[Any]:
        around = frame.turns_of(loop.around)
        named: object = frame.labels.pop(loop, None)
        labels = _distinct(named) if isinstance(named, tuple) else None
        key = (loop, around)
        frame.counts[key] = 0
        for turn, item in enumerate(iterable):
            _bound(frame, loop, turn)
            frame.turns[loop] = turn
            if labels is not None and turn < len(labels):
                frame.labels[loop] = labels[turn]
            frame.counts[key] = turn + 1
            yield item

    def count(self, frame: Frame, site: Site, iterable: Any) -> Any:
        """Return the iterable of a `for` with the chosen number of turns."""
        turns = frame.open[-1].value
        assert isinstance(turns, int)
        if isinstance(iterable, range):
            return range(iterable.start, iterable.start + turns * iterable.step, iterable.step)
        items = list(itertools.islice(iterable, turns))
        if len(items) < turns:
            raise ProgramError(
                f"{site.location}\na loop can turn at most as often as it has items: {turns} turns were "
                f"chosen of {len(items)}; lower the range, or loop over `range(…)`"
            )
        return items

    def length(self, frame: Frame | None, site: Site, iterable: Any) -> Any:
        """Take the code's own number of turns as the default."""
        if frame is not None:
            items = iterable if isinstance(iterable, range) else list(iterable)
            self.settle(frame, site, len(items), ())
            return items
        return iterable

    def start(self, frame: Frame | None, loop: Loop) -> None:
        """Begin a `while`."""
        if frame is not None:
            frame.turns[loop] = -1

    def again(self, frame: Frame | None, loop: Loop) -> bool:
        """Count a turn of a `while`; always true."""
        if frame is not None:
            turn = frame.turns.get(loop, -1) + 1
            frame.turns[loop] = turn
            frame.counts[loop, frame.turns_of(loop.around)] = turn
            _bound(frame, loop, turn)
        return True


HOOKS = Hooks()


def _bound(frame: Frame, loop: Loop, turn: int) -> None:
    """Refuse a loop that does not end; one without points below may turn longer, since it costs less."""
    limit = frame.run.max_turns * (1 if loop.counted else 100)
    if turn >= limit:
        chosen = {visit.address: visit.value for visit in frame.run.trace[:8]}
        raise ProgramError(
            f"{loop.file}:{loop.line}: a loop that depends on choices must end; this one turned {limit} "
            f"times, with {chosen} chosen before; look at what should end it, or bound it"
        )


def _branch(label: Label) -> str:
    return str(label)


def _distinct(labels: tuple[Label, ...]) -> list[Label]:
    """Tell repeated labels apart: the turn of a second a is `[a][1]`; the label has the inner brackets."""
    seen: dict[object, int] = {}
    named: list[Label] = []
    for label in labels:
        again = seen.get(label_key(label), 0)
        seen[label_key(label)] = again + 1
        named.append(f"{label}][{again}" if again else label)
    return named


def _find(value: object, candidates: tuple[Any, ...]) -> int | None:
    """Return the index of the candidate that a value is; what is not a literal comes as a lambda."""
    for index, candidate in enumerate(candidates):
        thunk = type(candidate) is FunctionType and candidate.__name__ == "<lambda>"
        if same_choice(candidate() if thunk else candidate, value):
            return index
    return None


def _adopt(visit: Visit, value: Any, given: object) -> None:
    """Make a value the visit's; UNDECIDED where what the code computed, `given`, is no candidate."""
    try:
        if value is UNDECIDED or (value is None and None not in visit.labels):
            raise DecisionError("no candidate")
        set_value(visit, value)
    except DecisionError:
        listed = ", ".join(candidate.text for candidate in visit.site.candidates)
        domain = f"{{{listed}}}" if listed else visit.prototype.domain
        raise ProgramError(
            f"{visit.site.location}\nwhat the code computes there is the default, so it must be a value of "
            f"the choice; it computed {given!r}, and the choice is {domain}; add it, or change the code"
        ) from None
