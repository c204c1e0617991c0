from __future__ import annotations

import ast

import pytest
from tour import TOUR

from symnas.grammar import Annotation, ParsedModule, parse_module


def only(source: str) -> Annotation:
    parsed = parse_module(source, "m.py")
    assert parsed.errors == ()
    (found,) = parsed.annotations
    return found


def code_of(source: str) -> str:
    (error,) = parse_module(source, "m.py").errors
    return error.code


def pieces(parsed: ParsedModule) -> list[str]:
    assert parsed.errors == ()
    return [ast.unparse(found.node) for found in parsed.annotations]


def test_the_tour() -> None:
    parsed = parse_module(TOUR, "convnet.py")
    assert pieces(parsed) == ["32", "range(2)", "range(1)", "3", "nn.ReLU()", "True", "0.2"]
    assert [found.default for found in parsed.annotations] == [1, 2, 1, 1, 0, 0, 0.2]
    assert [found.role for found in parsed.annotations].count("turns") == 2
    assert [found.in_loop for found in parsed.annotations] == [False, False, True, True, True, True, False]
    assert {found.scope for found in parsed.annotations} == {("ConvNet", "__init__")}
    assert parsed.annotations[5].name == "pool"
    assert {str(found.location).split()[0] for found in parsed.annotations[:1]} == {"convnet.py:7:63"}


@pytest.mark.parametrize(
    ("source", "role", "scope"),
    [
        ("K = 3  # search: {1, 3}\n", "module constant", ()),
        ("if DEBUG:\n    K = 3  # search: {1, 3}\n", "module constant", ()),
        ("class A:\n    k = 3  # search: {1, 3}\n", "class attribute", ("A",)),
        ("@dataclass\nclass A:\n    k: int = 3  # search: {1, 3}\n", "dataclass field", ("A",)),
        (
            "@dataclasses.dataclass(frozen=True)\nclass A:\n    k: int = 3  # search: 1..6\n",
            "dataclass field",
            ("A",),
        ),
        (
            "@dataclass\nclass A:\n    k: int = field(default=3)  # search: {1, 3}\n",
            "dataclass field",
            ("A",),
        ),
        ("def f(a, k=3):  # search: {1, 3}\n    pass\n", "parameter", ("f",)),
        ("def f(a, *, k=3):  # search: {1, 3}\n    pass\n", "parameter", ("f",)),
        ("class A:\n    def f(self, k=3):  # search: {1, 3}\n        pass\n", "parameter", ("A", "f")),
        ("def f():\n    k = 3  # search: {1, 3}\n", "expression", ("f",)),
        ("def f():\n    for i in range(3):  # search: 1..4\n        pass\n", "turns", ("f",)),
        ("def f():\n    return [g() for i in range(3)]  # search: 1..4\n", "turns", ("f",)),
        ("async def f():\n    async for i in g(3):  # search: 1..4\n        pass\n", "expression", ("f",)),
    ],
)
def test_roles_and_scopes(source: str, role: str, scope: tuple[str, ...]) -> None:
    found = only(source)
    assert (found.role, found.scope) == (role, scope)


@pytest.mark.parametrize(
    ("line", "described"),
    [
        ("if True:  # search: {True, False} as pool\n    pass", "True"),
        ("if a:\n    pass\nelif True:  # search: {True, False}\n    pass", "True"),
        ("while True:  # search: {True, False}\n    pass", "True"),
        ("match mode('a'):  # search: {'a', 'b'}\n    case _:\n        pass", "'a'"),
        ("match m:\n    case 3 if flag(True):  # search: {True, False}\n        pass", "True"),
        ("x = 1 if True else 2  # search: {True, False}", "True"),
        ("return act(x)  # search: {act(x), x}", "act(x)"),
        ("return act(x)  # search: {act, gelu}", "act"),
        ("with scope(0.1) as s:  # search: 0.0..0.5\n    pass", "0.1"),
        ("f = lambda k=3: k  # search: {1, 3}", "3"),
        ("xs = [g(k) for k in (1, 3)]  # search: 2 of {1, 3, 5}", "(1, 3)"),
        ("if (n := 3) > m:  # search: {1, 3}\n    pass", "3"),
        ("self.a = self.b = 3  # search: {1, 3}", "3"),
        ("c *= 2  # search: {1, 2}", "2"),
        ("table = {'k': 3, 'j': 5}  # search: {3, 4}", "3"),
        ("table = {'k': 3, 'j': 3}  # search: k in {3, 4}", "3"),
        ("a, b = 3, 3  # search: b in {3, 4}", "3"),
        ("hidden = 4 * dim  # search: {dim, 4 * dim}", "4 * dim"),
        ("x[3] = 5  # search: {3, 5}", "5"),
        ("k: Literal[3] = 3  # search: {3, 5}", "3"),
        ("yield 3  # search: {3, 5}", "3"),
        ("assert f(3)  # search: {3, 5}", "3"),
        ("x = -3  # search: -5..0", "-3"),
        ("x = f(*[3])  # search: {3, 5}", "3"),
        ("k = 3; j = f()  # search: {1, 3}", "3"),
        ("return nn.Linear(d, e)  # search: {nn.Linear(d, e), nn.Identity()}", "nn.Linear(d, e)"),
        ("for e in (g, h):  # search: {(g, h), (h, g)}\n    pass", "(g, h)"),
    ],
)
def test_what_is_described(line: str, described: str) -> None:
    found = only("def f():\n    " + line.replace("\n", "\n    ") + "\n")
    assert ast.unparse(found.node) == described
    assert found.match == "candidate"


def test_types_of_literals_are_compared() -> None:
    assert code_of("k = True  # search: {1, 2}\n") == "default-not-a-candidate"
    assert code_of("k = 1.0  # search: {1, 2}\n") == "default-not-a-candidate"
    assert only("k = 1  # search: {True, 1, 1.0}\n").default == 1


@pytest.mark.parametrize(
    ("line", "turns"),
    [("range(3)", 3), ("range(1, 4)", 3), ("range(0, 10, 5)", 2), ("range(4, 0, -1)", 4)],
)
def test_a_loops_default_is_its_number_of_turns(line: str, turns: int) -> None:
    found = only(f"for i in {line}:  # search: 1..6\n    f(i)\n")
    assert (found.role, found.default, ast.unparse(found.node)) == ("turns", turns, line)


def test_turns_that_only_the_run_can_tell() -> None:
    found = only("for i in range(n):  # search: 1..6\n    f(i)\n")
    assert (found.role, found.match, found.default) == ("turns", "value", None)
    named = only("for i in range(n):  # search: i in 1..6\n    f(i)\n")
    assert (named.role, named.match, named.target) == ("turns", "value", "i")


def test_choices_inside_the_code_set_their_own_default() -> None:
    found = only("op = nn.Conv2d(c, c, 5)  # search: {nn.Identity(), nn.Conv2d(c, c, {1, 3, 5})}\n")
    assert found.default == 1
    ((nested_node, domain),) = found.domain.candidates[1].nested  # type: ignore[union-attr]
    assert found.domain.candidates[1].nested[0].default == 2  # type: ignore[union-attr]
    assert isinstance(nested_node, ast.expr)
    assert len(domain.candidates) == 3


def test_a_tie_describes_the_lines_value() -> None:
    for line in ("k = 3  # {}", "self.k = g(x)  # {}", "return k  # {}", "if flag:  # {}\n        pass"):
        found = only("def f():\n    " + line.format("search: same as j") + "\n")
        assert (found.match, found.default) == ("value", None)
    assert only("for i in range(3):  # search: same as n\n    g(i)\n").role == "turns"


def test_subsets_and_orders_keep_the_order_of_the_code() -> None:
    assert only("ops = [c, a]  # search: 2 of {a, b, c}\n").default == (2, 0)
    assert only("ops = (a, a)  # search: 1..3 of {a, b} with repeats\n").default == (0, 0)
    assert only("ops = []  # search: 0..2 of {a, b}\n").default == ()
    assert only("ops = [b, a]  # search: order of {a, b}\n").default == (1, 0)


def test_on_several_lines_the_comments_own_line_decides() -> None:
    source = """net = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1),  # search: kernel_size in {1, 3}
    nn.ReLU(),  # search: {nn.ReLU(), nn.GELU()}
    # search: {nn.ReLU(), nn.SiLU()}
    nn.ReLU(),
    nn.Dropout(0.1),
)  # search: 0.0..0.5
"""
    parsed = parse_module("from torch import nn\n" + source, "m.py")
    assert pieces(parsed) == ["3", "nn.ReLU()", "nn.ReLU()", "0.1"]
    assert [found.node.lineno for found in parsed.annotations] == [3, 4, 6, 7]


def test_parameters_on_lines_of_their_own() -> None:
    source = "def f(\n    a=3,  # search: {1, 3}\n    b=3,  # search: {3, 5}\n):\n    pass\n"
    parsed = parse_module(source, "m.py")
    assert [(found.parameter, found.default) for found in parsed.annotations] == [("a", 1), ("b", 0)]


def test_signatures_of_the_file_itself_and_of_packages_settle_positions() -> None:
    own = "class Block:\n    def __init__(self, c, k): ...\nb = Block(3, 3)  # search: k in {1, 3}\n"
    found = only(own)
    assert (found.node.col_offset, found.target) == (13, "k")
    unknown = "b = mystery(c, 3)  # search: k in {1, 3}\n"
    assert ast.unparse(only(unknown).node) == "3"
    assert code_of("b = mystery(3, 3)  # search: k in {1, 3}\n") == "unknown-target"


def test_a_name_may_lead_into_a_value() -> None:
    assert (
        ast.unparse(only("layers += [nn.ReLU()]  # search: layers in {nn.ReLU(), nn.GELU()}\n").node)
        == "nn.ReLU()"
    )
    assert only("k = f(x)  # search: k in {1, 3}\n").match == "value"
    assert code_of("k = 5  # search: k in {1, 3}\n") == "default-not-a-candidate"


def test_requirements_alone_belong_to_their_statement() -> None:
    source = "# search: require params < 1e6\nclass A:\n    def f(self):  # search: require a < b require c\n"
    source += "        pass\n"
    parsed = parse_module(source, "m.py")
    assert parsed.errors == ()
    first, second = parsed.requirements
    assert isinstance(first.statement, ast.ClassDef)
    assert isinstance(second.statement, ast.FunctionDef)
    assert (second.expressions, second.scope) == (("a < b", "c"), ("A",))


def test_above_a_decorator_the_whole_header_is_meant() -> None:
    source = "# search: {1, 3}\n@wraps\ndef f(k=3):\n    pass\n"
    assert only(source).role == "parameter"
    assert only("@rate(0.1)  # search: 0.0..0.5\ndef f(k=3):\n    pass\n").role == "module constant"


def test_lines_of_a_piece_count_from_where_it_stands() -> None:
    source = "class A:\n    k = 3  # search: {1,\n    #          3}\n    j = 3  # search: {1}\n"
    parsed = parse_module(source, "m.py", first_line=100)
    (found,) = parsed.annotations
    assert (found.node.lineno, found.location.line) == (101, 101)
    assert [c.expr.lineno for c in found.domain.candidates] == [101, 102]  # type: ignore[union-attr]
    assert parsed.errors[0].location.line == 103


def test_a_file_that_python_cannot_read_is_one_mistake() -> None:
    parsed = parse_module("def f(:\n    pass\n", "m.py", first_line=10)
    assert [error.code for error in parsed.errors] == ["python-syntax"]
    assert parsed.errors[0].location.line == 10


def test_overlapping_annotations_are_refused() -> None:
    assert code_of("# search: {1, 3}\nk = 3  # search: {3, 5}\n") == "described-twice"
    assert code_of("# search: {f(3), g()}\nk = f(3)  # search: {1, 3}\n") == "described-inside"


@pytest.mark.parametrize("value", ["1 if last else 8", "heads and 8 or 1", "(8, 1)[last]"])
def test_a_name_means_the_whole_value_where_several_parts_of_it_fit(value: str) -> None:
    assert code_of(f"def f(last):\n    heads = {value}  # search: {{1, 8}}\n") == "several-matches"
    found = only(f"def f(last):\n    heads = {value}  # search: heads in {{1, 8}}\n")
    assert ast.unparse(found.node) == value
    assert found.default is None


def test_a_function_may_return_any_candidate_and_a_class_only_its_own() -> None:
    found = only("op = block(c)  # search: {Conv(c), Pool(c)}\n")
    assert (ast.unparse(found.node), found.default) == ("block(c)", None)
    for value in ("Skip(c)", "nn.Identity()"):
        assert code_of(f"op = {value}  # search: {{Conv(c), Pool(c)}}\n") == "default-not-a-candidate"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("c = f(n=3,  # search: 1..4\n      m=2,  # search: 1..4\n      k=4)\n", ["3", "2"]),
        ("c = f(\n    3,  # search: {1, 3}\n    5,\n)\n", ["3"]),
        ("c = f(\n    n=3,\n    m=2,\n    k=4,  # search: 1..4\n)\n", ["4"]),
        ("c = f(n=3,\n      m=4)  # search: 1..4\n", ["4"]),
        ("c = f(\n    # search: 1..4\n    n=3,\n    m=4,\n)\n", ["3"]),
        ("c = f(n=3, m=g(\n    a=2,  # search: {1, 2}\n    b=2,\n))\n", ["2"]),
        ("c = f(x, y,\n      3,  # search: {1, 3}\n      4)\n", ["3"]),
        ("c = f(n=-3,  # search: -4..4\n      m=2)\n", ["-3"]),
        ("return f(\n    p=0.1,  # search: 0.0..0.5\n    q=0.2,\n)\n", ["0.1"]),
    ],
)
def test_in_a_call_over_several_lines_the_one_literal_of_the_line_is_meant(
    source: str, expected: list[str]
) -> None:
    parsed = parse_module(source, "m.py")
    assert pieces(parsed) == expected
    line = next(n for n, text in enumerate(source.splitlines(), 1) if "search" in text)
    assert parsed.annotations[0].node.lineno in (line, line + 1)


@pytest.mark.parametrize(
    "source",
    [
        "c = f(3, 5)  # search: {1, 3}\n",
        "c = f(16, 3,  # search: {1, 3}\n      5)\n",
        "c = f(n=3, m=4,  # search: 1..4\n      k=2)\n",
        "c = f(n=3, m='a',  # search: 1..4\n      k=2)\n",
        "c = f(n=3, m=4,\n      k=x)  # search: 1..4\n",
        "c = g(f(3, 5),  # search: {1, 3}\n      x)\n",
    ],
)
def test_several_literals_of_the_line_are_still_asked_about(source: str) -> None:
    assert code_of(source) in ("literal-among-arguments", "several-matches")
