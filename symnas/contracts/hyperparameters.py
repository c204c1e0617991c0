"""Hyperparameters of an algorithm, each written once: name, type, default, check, meaning and source.

    @with_hyperparameters(source="Real et al. 2019")
    class RegularizedEvolution(Algorithm):
        \"\"\"Tournament selection and one mutation per child; the oldest member dies.\"\"\"

        population: int = hyperparameter(100, whole(1), "how many members live at a time")
        tournament: int = hyperparameter(25, whole(1), "how many of them compete to be a parent")

From these lines come the constructor, by keyword, and its checks, the `Args:` of the docstring, the listing
of `symnas algorithms NAME`, and the tables of the documentation. A subclass that has other defaults says just
these, `population: int = 50`. What several hyperparameters must fulfil together is checked in
`__post_init__`, after `super().__post_init__()`.

An algorithm with a constructor of its own is described as well (`described`), from its signature and the
`Args:` of its docstring.
"""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from typing import Any, NamedTuple, TypeVar, dataclass_transform

from symnas.errors import AlgorithmError, nearest

T = TypeVar("T")
C = TypeVar("C", bound=type)

DECLARED = "symnas.hyperparameter"
"""Where a dataclass field keeps its `Declared`."""
ORDER = "__hyperparameters__"
"""Where a class keeps the order of its hyperparameters."""
WIDTH = 110
_ARGUMENT = re.compile(r"(?P<name>\w+): (?P<text>.*)")


# ---------------------------------------------------------------- checks


@dataclass(frozen=True, slots=True)
class Check:
    """What a hyperparameter may be, as a test and in words.

    Args:
        allowed: what completes "it is …", as "a whole number of at least 1".
        accepts: whether a value is allowed; values may come from a command line, so any type may come.
        words: the allowed ones, where there are so few that the nearest can be named.
        aliases: which of them is meant by words that are used elsewhere.
    """

    allowed: str
    accepts: Callable[[Any], bool]
    words: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, name: str, value: object) -> None:
        """Refuse a value that is not allowed.

        Raises:
            AlgorithmError: the name, what is allowed, and what was given.
        """
        if not self.accepts(value):
            near = nearest(self.aliases.get(str(value), str(value)), self.words)
            raise AlgorithmError(f"{name} is {self.allowed}; got {value!r}{near}")


def whole(low: int) -> Check:
    """Allow whole numbers of at least `low`."""
    return Check(
        f"a whole number of at least {low}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= low,
    )


def number(*, above: float | None = None, at_least: float | None = None, at_most: float = math.inf) -> Check:
    """Allow finite numbers within bounds, of which the upper one is allowed itself.

    Args:
        above: an excluded lower bound.
        at_least: a lower bound that is allowed itself; one of the two is given.
        at_most: the upper bound.
    """
    low = above if at_least is None else at_least
    assert low is not None, "a number has a lower bound"
    if at_most == math.inf:
        text = f"a number of at least {low:g}" if above is None else f"a number above {low:g}"
    elif above is None:
        text = f"a number between {low:g} and {at_most:g}"
    else:
        text = f"a number above {low:g} and at most {at_most:g}"

    def accepts(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        reached = value >= low if above is None else value > low
        return reached and value <= at_most and value < math.inf

    return Check(text, accepts)


def one_of(*words: str) -> Check:
    """Allow some words."""
    return Check(f"one of {', '.join(map(repr, words))}", lambda value: value in words, words)


def optional(check: Check) -> Check:
    """Allow None besides what another check allows."""
    return Check(
        f"{check.allowed}, or None", lambda value: value is None or check.accepts(value), check.words
    )


def anything(text: str) -> Check:
    """Allow everything: what is wrong with a value is found in `__post_init__`.

    Args:
        text: what is allowed, in words.
    """
    return Check(text, lambda _: True)


FLAG = Check("True or False", lambda value: isinstance(value, bool))
SHARE = number(at_least=0, at_most=1)
POSITIVE = number(above=0)
WEIGHT = number(at_least=0)


# ---------------------------------------------------------------- declaring


class Declared(NamedTuple):
    """What a declaration says besides name, type and default.

    Attributes:
        check: what is allowed.
        meaning: what it is, without a full stop at the end.
        source: the paper or code that the default is from; None for what the class says.
    """

    check: Check
    meaning: str
    source: str | None


def hyperparameter(default: T, check: Check, meaning: str, *, source: str | None = None) -> T:
    """Declare a hyperparameter in the body of a class.

    Args:
        default: its default, plain data.
        check: what is allowed.
        meaning: what it is, without a full stop at the end.
        source: the paper or code that the default is from, "" for none; None for what the class says.
    """
    made: Any = _field(default, Declared(check, meaning, source))
    return made  # type: ignore[no-any-return]  # type checkers see a plain default


@dataclass_transform(kw_only_default=True, eq_default=False)
def with_hyperparameters(*, source: str = "", only: Sequence[str] = ()) -> Callable[[C], C]:
    """Return a decorator that makes a class's constructor, by keyword, and the `Args:` of its docstring.

    Args:
        source: the paper or code that defaults are from which say nothing else, "" for none.
        only: the hyperparameters that a subclass leaves open, in order. What it inherits besides keeps its
            default and is none any more. Empty leaves all open.
    """

    def decorate(cls: C) -> C:
        inherited, own = _declarations(cls), vars(cls).get("__annotations__", {})
        # Annotated in this body: a declaration, or a plain default for one that is inherited.
        for name in [name for name in own if name in vars(cls)]:
            value = vars(cls)[name]
            told = value.metadata.get(DECLARED) if isinstance(value, Field) else inherited.get(name)
            if told is not None:
                redeclared = not isinstance(value, Field)
                mine = source if redeclared or told.source is None else told.source
                default = value if redeclared else value.default
                setattr(cls, name, _field(default, told._replace(source=mine)))
        if only:
            _close(cls, {*inherited, *own} - {*only})
        # Algorithms are compared by identity, and `Algorithm` writes their `repr`.
        dataclass(kw_only=True, eq=False, repr=False)(cls)  # changes the class in place
        _sort(cls, only or getattr(cls, ORDER, ()))
        if cls.__doc__:
            cls.__doc__ = f"{inspect.cleandoc(cls.__doc__)}\n\n{_arguments(cls)}".rstrip()
        return cls

    return decorate


def _field(default: object, told: Declared) -> Any:
    return field(default=default, metadata={DECLARED: told})


def _close(cls: type, names: Iterable[str]) -> None:
    """Take names out of the constructor before it is made; each keeps the default that the class has."""
    for name in names:
        value = getattr(cls, name)
        default = value.default if isinstance(value, Field) else value
        cls.__annotations__.setdefault(name, "Any")
        setattr(cls, name, field(default=default, init=False))


def _sort(cls: type, order: Sequence[str]) -> None:
    """Put the arguments of a constructor in an order, those that it does not name last."""
    constructor: Any = vars(cls)["__init__"]
    signature = inspect.signature(constructor)
    own, *arguments = signature.parameters.values()
    place = {name: number for number, name in enumerate(order)}
    arguments.sort(key=lambda argument: place.get(argument.name, len(place)))
    # Only what is told of it: all arguments are keywords, whose order means nothing to a call.
    constructor.__signature__ = signature.replace(parameters=[own, *arguments])
    setattr(cls, ORDER, tuple(argument.name for argument in arguments))


def _declarations(cls: type) -> dict[str, Declared]:
    """Return the declarations of a class and its bases by name, the nearest of each."""
    # Bases first, so that the nearest declaration of a name is the last.
    return {
        name: each.metadata[DECLARED]
        for base in reversed(cls.__mro__)
        for name, each in vars(base).get("__dataclass_fields__", {}).items()
        if DECLARED in each.metadata
    }


def check_hyperparameters(algorithm: object) -> None:
    """Hold every declared hyperparameter of an instance against its check.

    Raises:
        AlgorithmError: one has a value that is not allowed; the message names it.
    """
    for name, told in _declarations(type(algorithm)).items():
        told.check(name, getattr(algorithm, name))


# ---------------------------------------------------------------- describing


class Hyperparameter(NamedTuple):
    """All that is known of a hyperparameter.

    Attributes:
        name: by which it is given.
        type: as it is annotated.
        default: what it is where nothing is given.
        allowed: which values it takes, in words; "" where the class does not say.
        meaning: what it is, without a full stop at the end.
        source: the paper or code that the default is from; "" for none.
    """

    name: str
    type: str
    default: Any
    allowed: str
    meaning: str
    source: str


def described(cls: type) -> tuple[Hyperparameter, ...]:
    """Return the hyperparameters of a class of algorithms, in order.

    Those that are not declared, but arguments of a constructor, are described by its signature and by the
    `Args:` of the class's docstring.

    Args:
        cls: the class.
    """
    told, texts = _declarations(cls), _texts(cls)
    found = []
    for name, argument in inspect.signature(cls).parameters.items():
        kind = "" if argument.annotation is argument.empty else inspect.formatannotation(argument.annotation)
        if name in told:
            allowed, meaning, source = told[name].check.allowed, told[name].meaning, told[name].source
        else:
            allowed, meaning, source = "", texts.get(name, "").removesuffix("."), ""
        found.append(Hyperparameter(name, kind.strip("'"), argument.default, allowed, meaning, source or ""))
    return tuple(found)


def description(cls: type) -> str:
    """Return what the docstring of a class says, without its `Args:`."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\nArgs:\n")[0].strip()


def _arguments(cls: type) -> str:
    """Return the section `Args:` of a class whose hyperparameters are declared."""
    lines = []
    for each in described(cls):
        text = f"{each.name} ({each.allowed}): {each.meaning}."
        lines.append(textwrap.fill(text, WIDTH - 8, initial_indent=" " * 4, subsequent_indent=" " * 8))
    return "\n".join(["Args:", *lines]) if lines else ""


def _texts(cls: type) -> dict[str, str]:
    """Read what the docstrings of a class and its bases say of each constructor argument."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        name = ""
        for line in inspect.cleandoc(base.__doc__ or "").partition("\nArgs:\n")[2].splitlines():
            if line and not line.startswith(" "):
                break
            # Names are indented by four, what goes on by more, so that `name: text` matches at the fifth
            # place alone.
            found = _ARGUMENT.fullmatch(line[4:])
            if found:
                name = found["name"]
                texts[name] = found["text"]
            elif name and line.strip():
                texts[name] += " " + line.strip()
    return texts
