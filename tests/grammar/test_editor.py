"""The TextMate grammar colours what the language reads, and the hook of pre-commit stops mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import symnas.grammar
from symnas.grammar import parse_module

ROOT = Path(__file__).resolve().parents[2]
EDITOR = ROOT / "docs" / "editor"
pytestmark = pytest.mark.skipif(not EDITOR.exists(), reason="the pages are not part of an installation")


def grammar() -> dict[str, Any]:
    return json.loads((EDITOR / "annotations.tmLanguage.json").read_text())


def rules(patterns: list[dict[str, Any]], known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for pattern in patterns:
        rule = known[pattern["include"][1:]] if "include" in pattern else pattern
        if "match" in rule or "begin" in rule:
            yield rule
        else:
            yield from rules(rule["patterns"], known)


def scopes(line: str) -> list[tuple[str, str]]:
    """What an editor does with a line: the first of the earliest matches, in a rule until its end."""
    read = grammar()
    known, stack, at = read["repository"], [(read["patterns"], None)], 0
    found: list[tuple[str, str]] = []
    line = line.rstrip("\n")
    while at < len(line):
        patterns, end = stack[-1]
        best: tuple[re.Match[str], dict[str, Any] | None] | None = None
        if end is not None and (over := re.compile(end).search(line, at)):
            best = over, None
        for rule in rules(patterns, known):
            match = re.compile(rule.get("match", rule.get("begin"))).search(line, at)
            if match and (best is None or match.start() < best[0].start()):
                best = match, rule
        if best is None:
            break
        match, rule = best
        if rule is None:
            stack.pop()
        else:
            for number, scope in (rule.get("captures") or rule.get("beginCaptures") or {}).items():
                if match.group(int(number)) is not None:
                    found.append((match.group(int(number)), scope["name"]))
            if "match" in rule and "name" in rule:
                found.append((match.group(), rule["name"]))
            if "begin" in rule:
                stack.append((rule["patterns"], rule["end"]))
        at = match.end() if rule is None or match.end() > at else at + 1
        if rule is None and match.end() == len(line):
            break
    return found


TABLE = [
    ("k = 3  # search: {1, 3, 5}", {"search:": "keyword", "{": "punctuation", "3": "constant.numeric"}),
    (
        'm = "a"  # search: {"a", "it\'s", None}',
        {'"a"': "string", '"it\'s"': "string", "None": "constant.language"},
    ),
    (
        "a = f  # noqa  # search: {relu: nn.ReLU() @ 0.7, g: g @ .3}",
        {"relu": "entity.name.label", "@": "keyword.operator", "ReLU": "entity.name.function"},
    ),
    ("d = [1, 2]  # search: each in 1..6", {"each": "keyword.other", "in": "keyword.other"}),
    ("d = [1, 2]  # search: [1] in 1..6", {"1": "constant.numeric", "in": "keyword.other"}),
    ("d = 3  # search: 1..6", {"..": "keyword.operator", "6": "constant.numeric"}),
    ("u = 64  # search: 16..256 step 16", {"step": "keyword.other"}),
    ("c = 64  # search: 16..256 x 2", {"x": "keyword.other", "256": "constant.numeric"}),
    ("l = 0.01  # search: log 1e-4..1e-1", {"log": "keyword.other", "1e-4": "constant.numeric"}),
    (
        "s = [a]  # search: 2 of {a, b} with repeats ordered",
        {"of": "keyword.other", "with repeats": "keyword.other", "ordered": "keyword.other"},
    ),
    ("s = [a]  # search: 1..3 of {a, b}", {"of": "keyword.other", "..": "keyword.operator"}),
    ("o = [a]  # search: order of {a, b}", {"order": "keyword.other", "of": "keyword.other"}),
    (
        "t = 16  # search: same as stage[1].width",
        {"same": "keyword.other", "as": "keyword.other", "stage[1].width": "variable.other.address"},
    ),
    (
        "for i in range(4):  # search: 1..6 as depth shared",
        {"as": "keyword.other", "depth": "entity.name", "shared": "keyword.other"},
    ),
    (
        "a, b = 8, 16  # search: b in {8, 16} require a <= b",
        {"in": "keyword.other", "require": "keyword.other", "<=": "keyword.operator"},
    ),
    ("d = 2  # search: 1...6", {"...": "invalid"}),
    ("d = 2  # Search: {1, 2}", {"Search:": "invalid"}),
    ("d = 2  # search : {1, 2}", {"search :": "invalid"}),
    ("d = 2  # search: {1, 2}  # fmt: skip", {"search:": "keyword", "2": "constant.numeric"}),
]
MISSPELT = {"three-dots", "near-miss"}


@pytest.mark.parametrize(("line", "wanted"), TABLE, ids=[line for line, _ in TABLE])
def test_the_parts_of_an_annotation_have_their_colours(line: str, wanted: dict[str, str]) -> None:
    found = scopes(line)
    for text, scope in wanted.items():
        assert any(part == text and name.startswith(scope) for part, name in found), (text, found)


@pytest.mark.parametrize(
    "line", ["k = 3  # research: {1}", "# the search: x", 'k = "a"  # noqa', "k = 1  # fmt: skip"]
)
def test_other_comments_keep_theirs(line: str) -> None:
    assert scopes(line) == []


def test_what_follows_an_annotation_is_a_comment_again() -> None:
    assert not any("skip" in part for part, _ in scopes("d = 2  # search: {1, 2}  # fmt: skip"))


def test_every_keyword_of_the_language_has_a_colour() -> None:
    text = (Path(symnas.grammar.__file__).parent / "annotation.lark").read_text()
    terminals = re.findall(r"^_?[A-Z_]+\.\d+: /(.*)/$", text, re.M)
    escapes = re.compile(r"\\.|\[[^\]]*\]|\{[^}]*\}|\(\?[=!:]")
    words = {word for body in terminals for word in re.findall(r"\b[a-z]+\b", escapes.sub(" ", body))}
    assert {
        "log",
        "step",
        "x",
        "of",
        "order",
        "same",
        "with",
        "repeats",
        "shared",
        "require",
        "as",
        "in",
    } <= words
    coloured = {
        word for line, _ in TABLE for part, name in scopes(line) if "keyword" in name for word in part.split()
    }
    assert words - coloured == set()


def test_the_language_reads_the_table_as_it_is_coloured() -> None:
    for line, wanted in TABLE:
        parsed = parse_module(line.replace(":  #", ": pass  #") + "\n", "m.py")
        misspelt = [e.code for e in parsed.errors if e.code in MISSPELT]
        assert bool(misspelt) == ("invalid" in wanted.values()), (line, [e.code for e in parsed.errors])


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from symnas.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def hook() -> list[str]:
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    return re.search(r"^  entry: symnas (.*)$", text, re.M).group(1).split()  # type: ignore[union-attr]


def test_the_hook_stops_a_mistake_where_the_problem_matcher_finds_it(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("k = 3  # search: {1, 3}\n")
    (tmp_path / "bad.py").write_text("k = 3  # search: {1, 5}\n")
    assert run(*hook(), "good.py", cwd=tmp_path).returncode == 0
    found = run(*hook(), "good.py", "bad.py", cwd=tmp_path)
    assert found.returncode == 1
    matcher = json.loads((EDITOR / "package.json").read_text())["contributes"]["problemMatchers"][0]
    lines = found.stdout.splitlines()
    place = [
        re.match(pattern["regexp"], line) for pattern, line in zip(matcher["pattern"], lines, strict=False)
    ]
    assert all(place)
    assert place[0].groups()[:3] == ("bad.py", "1", "18")
    assert "must be among the candidates" in place[2].group(1)
    # The page says the same matcher.
    page = (ROOT / "docs" / "editor.md").read_text()
    (task,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.S))
    assert task["tasks"][0]["problemMatcher"]["pattern"] == matcher["pattern"]


def test_json_says_where_a_mistake_begins_and_ends(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("k = 3  # search: {1, 5}\nn = 1  # serach: {1, 3}\n")
    found = run("check", "--json", "bad.py", cwd=tmp_path)
    (entry,) = json.loads(found.stdout)
    (mistake,) = entry["mistakes"]
    place = ("file", "line", "column", "end_line", "end_column", "severity")
    assert [mistake[key] for key in place] == ["bad.py", 1, 18, 1, 24, "error"]
    assert mistake["message"].endswith(mistake["hint"])
    assert mistake["hint"]
    assert [advice["severity"] for advice in entry["advice"]] == ["warning"]
