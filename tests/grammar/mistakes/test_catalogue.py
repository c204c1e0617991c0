from __future__ import annotations

import pickle

import pytest

from symnas.errors import AnnotationError
from symnas.grammar import check_source, parse_annotation
from symnas.grammar.mistakes import catalogue

TEXTS = [(entry, text) for entry in catalogue.FORM + catalogue.MEANING for text in entry.examples]
SOURCES = [(entry, text) for entry in catalogue.ATTACHMENT + catalogue.WARNINGS for text in entry.examples]


def test_there_are_many_kinds_each_with_its_own_message() -> None:
    assert len(catalogue.ALL) >= 25
    assert len({entry.code for entry in catalogue.ALL}) == len(catalogue.ALL)
    assert len({entry.message for entry in catalogue.ALL}) == len(catalogue.ALL)
    assert all(entry.examples for entry in catalogue.ALL)


@pytest.mark.parametrize(("entry", "text"), TEXTS, ids=[f"{e.code}:{t}" for e, t in TEXTS])
def test_every_malformed_text_gets_its_own_message(entry: catalogue.Mistake, text: str) -> None:
    with pytest.raises(AnnotationError, match=r"^<annotation>:1:\d+  ") as caught:
        parse_annotation(text)
    assert caught.value.code == entry.code
    assert "{" not in entry.message or "{given}" not in caught.value.message


@pytest.mark.parametrize(
    ("entry", "text"), SOURCES, ids=[f"{e.code}:{i}" for i, (e, _) in enumerate(SOURCES)]
)
def test_every_malformed_source_gets_its_own_message(entry: catalogue.Mistake, text: str) -> None:
    report = check_source(text, "model.py")
    assert [notice.code for notice in report.errors + report.warnings] == [entry.code]
    assert report.ok == (entry in catalogue.WARNINGS)


@pytest.mark.parametrize("text", [text for entry in catalogue.FORM for text in entry.examples])
def test_a_malformed_text_is_refused_inside_a_file_too(text: str) -> None:
    report = check_source(f"k = 3  # search: {text}\n", "model.py")
    assert len(report.errors) == 1


def test_the_caret_stands_under_what_is_wrong() -> None:
    report = check_source("def f():\n    k = 3   # search: {1, 5, 7}\n", "convnet.py")
    assert str(report.errors[0]) == (
        "convnet.py:2:23      k = 3   # search: {1, 5, 7}\n"
        "                                       ^^^^^^^^^\n"
        "the value in the code, 3, is the default, so it must be among the candidates: {1, 3, 5, 7}?"
    )


def test_the_caret_is_right_on_a_continuation_line_and_after_wide_characters() -> None:
    source = 'é = "é"; k = f(3)  # search: {f(3),\n#          g(1 2)}\n'
    (error,) = check_source(source, "m.py").errors
    assert error.code == "bad-candidate"
    assert (error.location.line, error.location.column) == (2, 11)
    assert error.location.text[error.location.column : error.location.end] == "g(1 2)"


def test_all_mistakes_of_a_file_are_reported_in_the_order_of_the_text() -> None:
    source = (
        "a = 1  # search: {2, 3}\nb = 2  # search: 1...5\nc = 3  # search: {1, 3}\nd = 4  # search: [4]\n"
    )
    report = check_source(source, "m.py")
    assert [(e.location.line, e.code) for e in report.errors] == [
        (1, "default-not-a-candidate"),
        (2, "three-dots"),
        (4, "square-brackets"),
    ]
    assert [found.describes for found in report.findings] == ["3"]


def test_errors_pickle() -> None:
    with pytest.raises(AnnotationError, match="two dots, not three") as caught:
        parse_annotation("1...6")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.code == "three-dots"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{1, 2} sharde", "did you mean 'shared'"),
        ("1, 2, 3", r"write \{1, 2, 3\}"),
        ("[1, 2]", r"write \{1, 2\}"),
        ("6..1", r"write 1\.\.6"),
        ("4 of {a, b}", "4 are asked of 2"),
        ("log 0..10", "above zero, and 0 does not"),
        ("k = {1, 2}", "named with `in`, not with `=`"),
    ],
)
def test_the_remedy_is_particular(text: str, says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        parse_annotation(text)


def test_the_names_of_a_known_call_are_offered() -> None:
    source = "from torch import nn\nc = nn.Conv2d(d, e, 3, 1)  # search: {1, 3, 5}\n"
    (error,) = check_source(source, "m.py").errors
    assert "`kernel_size in {1, 3, 5}` or `stride in {1, 3, 5}`" in error.message
