from __future__ import annotations

import argparse
import ast
import inspect
from pathlib import Path

import pytest

from symnas.grammar import check_source, format_domain, parse_module


def found_in(source: str) -> list[tuple[str, str]]:
    parsed = parse_module(source, "m.py")
    assert [str(error) for error in parsed.errors] == []
    return [(ast.unparse(found.node), format_domain(found.domain)) for found in parsed.annotations]


@pytest.mark.parametrize(
    "source",
    [
        "k = 3  # search: {1, 3}\n",
        "k = 3  #search: {1, 3}\n",
        "k = 3  # noqa: E501  # search: {1, 3}\n",
        "k = 3  # type: ignore[assignment]  # search: {1, 3}\n",
        "k = 3  # search: {1, 3}  # noqa\n",
        "# search: {1, 3}\nk = 3\n",
        "# search: {1, 3}\n# an ordinary comment\n\nk = 3\n",
        "k = 3  # search: {1,\n       #          3}\n",
        "k = 3  # search: {1,\n#          3}\n",
        "k = 3  # search: {1,\n\n\n#          3}\ndef f(): pass\n",
        "k = 3  # search:\n#    {1, 3}\n",
        "# search: {1,\n#          3}\nk = 3\n",
        "k = (\n    3\n)  # search: {1, 3}\n",
        "k = (  # search: {1, 3}\n    3\n)\n",
        "k = (\n    # search: {1, 3}\n    3\n)\n",
        "k = \\\n    3  # search: {1, 3}\n",
        "k = 3  # search: {1, 3}",
        "k = 3\t# search: {1, 3}\r\n",
        "\x0c\nj = '\u2028'\nk = 3  # search: {1, 3}\n",
    ],
)
def test_where_a_comment_may_stand(source: str) -> None:
    assert found_in(source) == [("3", "{1, 3}")]


@pytest.mark.parametrize(
    "source",
    [
        'text = "# search: {1, 3}"\n',
        '"""\nk = 3  # search: {1, 3}\n"""\n',
        "# k = 3  # search: {1, 3}\n",
        "k = 3  # research: on going\n",
        "k = 3  # searching for {x}\n",
    ],
)
def test_what_is_no_annotation(source: str) -> None:
    report = check_source(source, "m.py")
    assert (report.findings, report.errors, report.warnings) == ((), (), ())


def test_hashes_inside_strings_belong_to_the_candidates() -> None:
    assert found_in("k = '#'  # search: {'#', '# x'}\n") == [("'#'", "{'#', '# x'}")]


@pytest.mark.parametrize(
    "source",
    [
        "k = 3\n# search: {1, 3}\n",
        "def f():\n    k = 3\n    # search: {1, 3}\nk = 3\n",
        "if a:\n    k = 3\n    # search: {1, 3}\nelse:\n    k = 3\n",
    ],
)
def test_an_annotation_with_nothing_behind_it_is_a_mistake(source: str) -> None:
    assert [error.code for error in check_source(source, "m.py").errors] == ["nothing-follows"]


def test_a_comment_never_attached_is_never_ignored() -> None:
    for line in ("else:", "try:", "pass", "import os", "global k", "del k", "x.y", "f()"):
        head = {"else:": "if a:\n    b()\n"}.get(line, "")
        tail = {"else:": "    c()\n", "try:": "    c()\nfinally:\n    d()\n"}.get(line, "")
        report = check_source(f"{head}{line}  # search: {{1, 3}}\n{tail}", "m.py")
        assert [error.code for error in report.errors] == ["no-match"], line


def test_a_deeper_comment_that_continues_nothing_is_pointed_at() -> None:
    (error,) = check_source("k = 3  # search: {1, 3}\n#    chosen by hand\n", "m.py").errors
    assert (error.code, error.location.line) == ("unknown-clause", 2)


def test_several_annotations_on_one_statement() -> None:
    source = "# search: kernel_size in {3, 5}\n# search: padding in {1, 2}\n"
    source += "c = f(kernel_size=3, padding=1)  # search: {f, g}\n"
    assert [code for code, _ in found_in(source)] == ["f", "3", "1"]


@pytest.mark.parametrize(
    "comment",
    [
        "# Search: {1, 3}",
        "# SEARCH: {1, 3}",
        "# search {1, 3}",
        "# search : {1, 3}",
        "# search= {1, 3}",
        "#  search: 1..6",
        "#\tsearch : 1..6",
        "#: search: {a, b}",
        "## search: {1, 3}",
        "## Search: {1, 3}",
        "### search: log 1..6",
        "# !search: 2 of {a, b}",
        "# the width, search: {1, 3}",
        "# the width; Search: {1, 3}",
        "# noqa: E501, search: {1, 3}",
        "# the width  ## search: {1, 3}",
        "# the width  # search : k in {1, 3}",
        "# type: int  # SEARCH: 1..6",
        "# search: note  # Search: {1, 3}",
    ],
)
def test_near_misses_are_mistakes_of_the_file(comment: str) -> None:
    codes = [notice.code for notice in check_source(f"k = 3  {comment}\n", "m.py").errors]
    assert codes[:1] == ["near-miss"] or (comment.startswith("# search: note") and len(codes) == 1)
    above = check_source(f"{comment}\nk = 3\n", "m.py")
    assert not above.ok


def test_words_like_ours_are_warned_of() -> None:
    for comment in ("# serach: {1, 3}", "# seach: 1..6", "#: saerch {1, 3}"):
        report = check_source(f"k = 3  {comment}\n", "m.py")
        assert [notice.code for notice in report.warnings] == ["misspelt"], comment
        assert report.ok


@pytest.mark.parametrize(
    "before",
    [
        "# the width",
        "# the width (of the stem)",
        "# width = 8 is what the paper has",
        "# noqa: E501  # type: ignore[assignment]",
        "# NOQA: E501",
        "# NOQA",
        "# type: int",
        "# TODO(me) try more",
        "# TODO x",
        "# fmt: skip  # noqa  # pylint: disable=invalid-name",
        "# see https://example.org/#top",
        "# 8, as in the paper",
        "# a = 5",
        "# FIXME: {'a': 1}",
    ],
)
def test_whatever_stands_before_an_annotation_behind_code_is_a_remark(before: str) -> None:
    assert found_in(f"k = 3  {before}  # search: {{1, 3}}\n") == [("3", "{1, 3}")]
    report = check_source(f"k = 3  {before}  # search: [1, 3]\n", "m.py")
    assert [error.code for error in report.errors] == ["square-brackets"]


@pytest.mark.parametrize(
    "before",
    [
        "# the width",
        "# noqa: E501  # type: ignore",
        "# TODO x",
        "# width",
        "# note: mine",
        "# NOQA",
        "# type:ignore",
    ],
)
def test_a_remark_may_stand_before_an_annotation_above_a_statement(before: str) -> None:
    assert found_in(f"{before}  # search: {{1, 3}}\nk = 3\n") == [("3", "{1, 3}")]


@pytest.mark.parametrize(
    "code",
    [
        "# k = 3",
        "# k: int = 3",
        "# k += 3",
        "# self.fc = nn.Linear(4, 4)",
        "# self.parts['a'] = nn.Linear(4,",
        "# f(3)",
        "# f(3,",
        "# return x + h",
        "# for i in range(3):",
        "# if x:",
        "# else:",
        "# def f(x=3):",
        "# class Net(nn.Module):",
        "# k = 3  # the width",
        "#k = 3",
        "# # k = 3",
        "#",
        "# #",
    ],
)
def test_an_annotation_of_code_that_was_commented_out_is_out_as_well(code: str) -> None:
    for mark in ("# search: {1, 3}", "# Search: {1, 3}"):
        report = check_source(f"j = 1\n{code}  {mark}\nk = 3\n", "m.py")
        assert (report.findings, report.errors) == ((), ())


def test_a_byte_order_mark_and_odd_escapes_are_read_in_silence() -> None:
    assert found_in("\ufeffk = 3  # search: {1, 3}\n") == [("3", "{1, 3}")]
    assert found_in("k = '\\d'  # search: {'\\d', '\\w'}\n") == [("'\\\\d'", "{'\\d', '\\w'}")]


def test_every_line_of_a_large_source_may_carry_a_comment() -> None:
    """Whatever the line, the comment is attached or refused by name, and nothing else goes wrong."""
    source = Path(inspect.getsourcefile(argparse) or "").read_text(encoding="utf-8").splitlines()
    for domain in ("{1, 'a', None}", "1..6", "nargs in {None, 1}", "2 of {a, b}", "same as k"):
        annotated = "\n".join(
            f"{line}  # search: {domain}" if line.strip() and not line.endswith("\\") else line
            for line in source
        )
        parsed = parse_module(annotated, "argparse.py", first_line=7)
        assert "python-syntax" not in {error.code for error in parsed.errors}
        assert len(parsed.errors) + len(parsed.annotations) > 500
