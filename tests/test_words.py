"""One word, one meaning: words that the glossary retired stay away from code, messages and pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import symnas
import symnas.algorithms
import symnas.grammar
import symnas.spaces

ROOT = Path(__file__).resolve().parent.parent
RETIRED = {
    r"Births?|births?|birth_of": "KeyedModule, parameter keys",
    r"[Ss]uperposed": "superposition",
    r"Boards?": "SwitchedModel",
    r"[Cc]rew": "executor",
    r"[Ll]edger": "study state",
    r"LockOwner|Owners?": "LockHolder",
    r"Arrivals?|arrivals?": "visit",
    r"Callees|fixpoint": "call resolution, reaching names",
    r"Picked": "invocation",
    r"Drawer": "ScalarSampler",
    r"Unseen": "WithoutReplacement",
    r"DecisionTree|decision_tree": "search tree",
    r"WeightsKeeper": "KeptWeights",
    r"note_of": "ProgramLocator, locate",
    r"dear|dearer|dearest": "expensive",
    r"thinking|thinks": "proposal time",
    r"knobs?": "hyperparameter",
    r"idle candidates?": "zero candidate",
}
PATTERN = re.compile("|".join(rf"(?P<r{place}>\b(?:{words})\b)" for place, words in enumerate(RETIRED)))
# Old names are data there: the table of what moved, stores from before, and the history.
DATA = {"_moved.py", "before_the_move", "results", "CHANGELOG.md", "test_words.py"}


def files() -> list[Path]:
    """Return every file of ours that is read by people."""
    packages = (symnas, symnas.grammar, symnas.spaces, symnas.algorithms)
    found = [file for package in packages for file in Path(package.__path__[0]).rglob("*.py")]
    for folder in ("tests", "benchmarks", "examples", "docs"):
        found += [file for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".md"}]
    found += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return [file for file in found if not DATA & set(file.parts) and "models" not in file.parts]


def retired(text: str) -> list[tuple[int, str, str]]:
    """Return the line, the word and what is said in its place, for every retired word of a text."""
    words = list(RETIRED.values())
    return [
        (text.count("\n", 0, match.start()) + 1, match[0], words[int((match.lastgroup or "r0")[1:])])
        for match in PATTERN.finditer(text)
    ]


def test_retired_words_are_not_used() -> None:
    found = {
        f"{file.name}:{line}: {word}": better
        for file in files()
        for line, word, better in retired(file.read_text(encoding="utf-8"))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [("a dear trial", "dear"), ("\nclass Crew:", "Crew"), ("search", None), ("dearth", None)],
)
def test_a_retired_word_is_seen(text: str, word: str | None) -> None:
    assert [found for _, found, _ in retired(text)] == ([word] if word else [])
