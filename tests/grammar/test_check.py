from __future__ import annotations

import json

from symnas.grammar import check_source

SOURCE = """
def build(width):
    k = 3  # search: {1, 3} as kernel
    layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.GELU()}
    for i in range(3):  # search: 1..4 require i < 3
        layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.GELU()}
    layers += [nn.Tanh()]  # search: {nn.Tanh(), nn.GELU()}
    # search: require params < 1e6
    return width  # search: 1...3
"""


def test_the_report_lists_everything() -> None:
    report = check_source(SOURCE, "m.py")
    assert [(f.line, f.describes, f.domain, f.default, f.name) for f in report.findings] == [
        (3, "3", "{1, 3}", "3", "kernel"),
        (4, "nn.ReLU()", "{nn.ReLU(), nn.GELU()}", "ReLU", None),
        (5, "range(3)", "1..4", "3", None),
        (6, "nn.ReLU()", "{nn.ReLU(), nn.GELU()}", "ReLU", None),
        (7, "nn.Tanh()", "{nn.Tanh(), nn.GELU()}", "Tanh", None),
    ]
    assert report.findings[2].requires == ("i < 3",)
    assert report.requirements == ((8, "params < 1e6"),)
    assert [notice.code for notice in report.errors] == ["three-dots"]
    assert not report.ok


def test_a_name_is_recommended_where_siblings_would_be_numbered() -> None:
    (advice,) = check_source(SOURCE, "m.py").advice
    assert (advice.code, advice.location.line) == ("numbered-name", 7)
    assert "the one described in line 4" in advice.message
    assert "as layers_2" in advice.message
    named = SOURCE.replace("nn.GELU()}\n    # search", "nn.GELU()} as last\n    # search")
    assert check_source(named, "m.py").advice == ()


def test_places_of_arguments_are_names_of_their_own() -> None:
    source = "net = f(g(0.1), g(0.2), p=0.3)  # search: p in 0.0..0.5\nother = f(0.3)  # search: 0.0..0.5\n"
    assert check_source(source, "m.py").advice == ()


def test_the_report_is_json() -> None:
    plain = json.loads(json.dumps(check_source(SOURCE, "m.py").to_json()))
    assert plain["ok"] is False
    assert plain["errors"][0]["line"] == 9
    assert plain["annotations"][2]["requires"] == ["i < 3"]
    assert plain["requirements"] == [{"line": 8, "condition": "params < 1e6"}]


def test_an_empty_file_is_fine() -> None:
    report = check_source("", "m.py")
    assert report.ok
    assert report.findings == ()
