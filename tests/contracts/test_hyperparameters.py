from __future__ import annotations

import inspect
import json
import math
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from symnas.algorithms import DARTS, resolve
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.hyperparameters import (
    FLAG,
    POSITIVE,
    SHARE,
    WEIGHT,
    Check,
    anything,
    described,
    description,
    hyperparameter,
    number,
    one_of,
    optional,
    whole,
    with_hyperparameters,
)
from symnas.contracts.registry import BUILT_IN, find
from symnas.errors import AlgorithmError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "algorithms.md"


class Nothing(Algorithm):
    setup = propose = observe = None  # type: ignore[assignment]


@with_hyperparameters(source="Somebody 2020")
class Climb(Nothing):
    """Change one point of the best.

    Nobody 2019.
    """

    patience: int = hyperparameter(50, whole(1), "trials without a gain before a new start")
    rate: float = hyperparameter(0.5, SHARE, "how much changes", source="ours")
    move: str = hyperparameter("first", one_of("first", "best"), "where it goes")
    most: float | None = hyperparameter(None, optional(POSITIVE), "how far; None for any", source="")


@with_hyperparameters(source="Another 2021")
class Steep(Climb):
    """Climb on."""

    rate: float = 1.0
    noise: float = hyperparameter(0.0, WEIGHT, "what is added")


@with_hyperparameters(only=("noise", "patience"))
class Narrow(Steep):
    """Climb on where it is narrow."""

    move: str = "best"
    patience: int = 7


@with_hyperparameters()
class Narrower(Narrow):
    """Climb on where it is narrower still."""

    width: int = hyperparameter(3, whole(1), "of the path")


def test_a_declaration_makes_the_constructor_the_repr_and_the_hyperparameters() -> None:
    made = Climb(patience=3)
    assert repr(made) == "Climb(patience=3, rate=0.5, move='first', most=None)"
    assert made.fresh().hyperparameters == {"patience": 3, "rate": 0.5, "move": "first", "most": None}
    with pytest.raises(TypeError, match="positional"):
        Climb(3)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience is a whole number of at least 1; got 0"),
        ({"patience": True}, "patience is a whole number of at least 1; got True"),
        ({"patience": "many"}, "patience is a whole number of at least 1; got 'many'"),
        ({"rate": 1.5}, "rate is a number between 0 and 1; got 1.5"),
        ({"rate": math.nan}, "rate is a number between 0 and 1; got nan"),
        ({"move": "bset"}, r"move is one of 'first', 'best'; got 'bset' \(did you mean 'best'\?\)"),
        ({"most": 0}, "most is a number above 0, or None; got 0"),
        ({"most": math.inf}, "most is a number above 0, or None; got inf"),
        ({"noise": -1}, "noise is a number of at least 0; got -1"),
    ],
)
def test_values_that_are_not_allowed_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        Steep(**options)  # type: ignore[arg-type]


def test_a_subclass_says_other_defaults_and_no_more() -> None:
    told = {each.name: each for each in described(Steep)}
    assert list(told) == ["patience", "rate", "move", "most", "noise"]
    assert told["rate"] == (
        "rate",
        "float",
        1.0,
        "a number between 0 and 1",
        "how much changes",
        "Another 2021",
    )
    assert told["patience"].source == "Somebody 2020"
    assert (told["most"].source, told["noise"].source) == ("", "Another 2021")
    assert Climb().rate == 0.5


def test_a_subclass_leaves_open_what_it_names_in_its_order() -> None:
    assert repr(Narrow()) == "Narrow(noise=0.0, patience=7)"
    assert (Narrow().move, Narrow().rate) == ("best", 1.0)
    with pytest.raises(TypeError, match="move"):
        Narrow(move="first")
    with pytest.raises(AlgorithmError, match="has no option 'move'; its options are noise, patience"):
        resolve(Narrow, {"move": "first"})
    with pytest.raises(AlgorithmError, match="patience is a whole number"):
        Narrow(patience=-1)
    assert repr(Narrower(width=5)) == "Narrower(noise=0.0, patience=7, width=5)"
    assert repr(Steep()).startswith("Steep(patience=50, rate=1.0")


def test_the_docstring_tells_every_hyperparameter() -> None:
    assert inspect.getdoc(Climb) == (
        "Change one point of the best.\n\nNobody 2019.\n\nArgs:\n"
        "    patience (a whole number of at least 1): trials without a gain before a new start.\n"
        "    rate (a number between 0 and 1): how much changes.\n"
        "    move (one of 'first', 'best'): where it goes.\n"
        "    most (a number above 0, or None): how far; None for any."
    )
    assert description(Climb) == "Change one point of the best.\n\nNobody 2019."
    assert "    noise (a number of at least 0): what is added." in (Narrow.__doc__ or "")
    assert "rate" not in (Narrow.__doc__ or "")


def test_checks_say_what_they_allow() -> None:
    for check, allowed, yes, no in [
        (whole(0), "a whole number of at least 0", (0, 5), (-1, 0.0, False, "0", None)),
        (number(above=0, at_most=1), "a number above 0 and at most 1", (0.1, 1), (0, 1.1, True)),
        (number(at_least=1), "a number of at least 1", (1, 1e9), (0.99, math.inf, math.nan)),
        (FLAG, "True or False", (True, False), (0, 1, "true", None)),
        (optional(one_of("a")), "one of 'a', or None", ("a", None), ("b", 1)),
        (anything("whatever"), "whatever", (None, object()), ()),
    ]:
        assert isinstance(check, Check)
        assert check.allowed == allowed
        assert all(map(check.accepts, yes))
        assert not any(map(check.accepts, no))


def test_a_plain_dataclass_over_declarations_keeps_their_checks() -> None:
    @dataclass(kw_only=True, eq=False, repr=False)
    class Mine(DARTS):
        epochs: int = 3
        tilt: float = 0.5

    made = Mine(batch_size=8)
    assert (made.epochs, made.batch_size, made.hyperparameters["tilt"]) == (3, 8, 0.5)
    with pytest.raises(AlgorithmError, match="epochs is a whole number of at least 1; got 0"):
        Mine(epochs=0)


def test_a_constructor_of_ones_own_is_described_by_its_docstring() -> None:
    class Own(Nothing):
        """Wait.

        Args:
            patience: trials without a gain
                before a new start.
        """

        def __init__(self, *, patience: int = 3, plain=None) -> None:  # type: ignore[no-untyped-def]
            self.patience, self.plain = patience, plain

    assert described(Own) == (
        ("patience", "int", 3, "", "trials without a gain before a new start", ""),
        ("plain", "", None, "", "", ""),
    )


def test_the_declarations_on_the_page_of_algorithms_make_a_class() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("### Declaring hyperparameters")[2]
    (listing, *_) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    made: dict[str, Any] = {"Algorithm": Nothing, "__name__": __name__}
    exec("from __future__ import annotations\n" + listing, made)
    cls = made["HillClimb"]
    assert repr(cls(move="best")) == "HillClimb(patience=50, share=0.1, move='best')"
    assert [each.source for each in described(cls)] == ["Somebody 2020", "", "Somebody 2020"]


@pytest.mark.slow
def test_the_api_pages_show_declarations_as_arguments() -> None:
    griffe = pytest.importorskip("griffe")
    extensions = griffe.load_extensions(str(ROOT / ".ci" / "griffe_hyperparameters.py"))
    loaded = griffe.load("symnas.algorithms.policy_gradient.enas", extensions=extensions)
    for name in ("ENAS", "ENASMacro"):
        shown, cls = loaded[name], getattr(import_module("symnas.algorithms"), name)
        assert [each.name for each in shown.parameters][1:] == list(cls.hyperparameter_defaults())
        assert shown.docstring.value == inspect.getdoc(cls)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_built_in_algorithms_are_described_in_full(name: str) -> None:
    cls = find(name)
    for each in described(cls):
        assert each.type
        assert each.allowed
        assert each.meaning
        assert not each.meaning.endswith(".")
    assert len(description(cls)) > len(cls.__name__)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_options_that_a_store_kept_make_the_same_algorithm(name: str) -> None:
    made = resolve(name)
    again = resolve(name, json.loads(json.dumps(dict(made.hyperparameters))))
    assert repr(again) == repr(made)
