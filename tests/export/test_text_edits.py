from __future__ import annotations

import ast

import pytest

from symnas.export.text_edits import Edit, SourceText, bracketed, free_name

TEXT = '''"""Größe."""
x = 3  # search: {1, 3}
y = f(  # kept
    "ä", 5,  # noqa: E501  # as published  # search: {5, 7}
)
# search: {1,
#          2}
z = 1  # not a search: comment
s = "# search: {1, 2}"
w = [
    2,  # search: {2, 3} as w  # noqa
]
'''


def test_annotation_comments_go_and_everything_else_stays():
    assert SourceText(TEXT).render((0, len(TEXT))) == (
        '"""Größe."""\nx = 3\ny = f(  # kept\n    "ä", 5,  # noqa: E501  # as published\n)\n'
        'z = 1  # not a search: comment\ns = "# search: {1, 2}"\nw = [\n    2,  # noqa\n]\n'
    )


def test_positions_are_characters_though_nodes_count_bytes():
    source = SourceText('größe = ("ä", 12)\n')
    tree = ast.parse(source.text)
    number = tree.body[0].value.elts[1]
    start, end = source.span(number)
    assert source.text[start:end] == "12"
    assert source.render((0, len(source.text)), [Edit(start, end, "13")]) == 'größe = ("ä", 13)\n'


def test_positions_of_a_source_that_begins_further_down():
    source = SourceText("x = 1\ny = 2  # search: {2, 3}\n", first_line=40)
    node = ast.parse(source.text).body[1].value
    ast.increment_lineno(node, 39)
    start, end = source.span(node)
    assert source.render((0, len(source.text)), [Edit(start, end, "3")]) == "x = 1\ny = 3\n"


def test_outer_edits_win_and_insertions_stand_around_them():
    source = SourceText("f(g(x), y)\n")
    call = ast.parse(source.text).body[0].value
    outer, inner = source.span(call.args[0]), source.span(call.args[0].args[0])
    edits = [
        Edit(*inner, "lost"),
        Edit(*outer, "h"),
        Edit(outer[0], outer[0], "<"),
        Edit(outer[1], outer[1], ">"),
    ]
    assert source.render((0, len(source.text)), edits) == "f(<h>, y)\n"


def test_decorators_belong_to_a_definition():
    source = SourceText("@ first\n@second(1)\ndef f():\n    pass\n")
    start, end = source.span(ast.parse(source.text).body[0])
    assert source.text[start:end] == source.text[:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", "a"), ("a.b(1)[2]", "a.b(1)[2]"), ("-1", "(-1)"), ("a + b", "(a + b)"), ("(1, 2)", "(1, 2)"),
     ("a if b else c", "(a if b else c)"), ("lambda: 0", "(lambda: 0)"), ("[1]", "[1]")],
)  # fmt: skip
def test_brackets_where_an_expression_needs_them(text, expected):
    assert bracketed(text) == expected


def test_names_are_never_taken_twice():
    taken = {"Block", "Block_3"}
    assert [free_name("Block", taken) for _ in range(3)] == ["Block_2", "Block_4", "Block_5"]


@pytest.mark.parametrize("character", ["\x0c", "\x0b", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_the_syntax_tree(character: str, end: str) -> None:
    text = f'"""a{character}b"""{end}x = "{character}"  # {character}{end}{end}y = 2{end}'
    source = SourceText(text)
    assert "".join(source.lines) == text
    for statement in ast.parse(text).body:
        start, stop = source.span(statement)
        assert text[start:stop] == text.split(end)[statement.lineno - 1].split("  #")[0]


@pytest.mark.parametrize("character", ["\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_standalone_source_of_a_file_with_other_ends_of_lines(character: str, tmp_path) -> None:
    from symnas.programs.program import program

    file = tmp_path / "net.py"
    lines = [
        f'X = "a{character}b"', "def used():", "    return X", "def net():", f"    # a{character}b",
        "    w = 8  # search: {8, 16}", f'    return [w, used(), "{character}"]', "",
    ]  # fmt: skip
    file.write_text("\n".join(lines), encoding="utf-8")
    namespace: dict = {}
    exec(program(f"{file}:net").source({"w": 16}), namespace)
    assert namespace["net"]() == [16, f"a{character}b", character]
