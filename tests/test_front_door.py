"""What users read names what users can import: facades, and what these list."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import walk_packages

import pytest

import symnas

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"symnas", *(found.name for found in walk_packages(symnas.__path__, "symnas.") if found.ispkg)}
# A path of ours, not followed by what makes it a file, a target (`module:Name`) or an entry point's group.
MENTION = re.compile(r"(?<![\w./\"-])symnas((?:\.[A-Za-z_]\w*)+)(?![\w:/-]|\.(?:db|json|toml|weights))")
IMPORT = re.compile(r"^\s*from (symnas[\w.]*) import \(?([^)\n#]+)", re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The page on the design speaks to those who change the inside, and the changelog of what was.
INSIDE = {"design.md", "house.md", "CHANGELOG.md"}


def is_public(path: str) -> bool:
    """Tell whether a dotted path goes through facades and what they list, and on to attributes of that."""
    facade, rest = "symnas", path.split(".")[1:]
    while rest and f"{facade}.{rest[0]}" in PACKAGES:
        facade = f"{facade}.{rest.pop(0)}"
    if not rest:
        return True
    module = importlib.import_module(facade)
    return rest[0] in getattr(module, "__all__", ()) or (facade == "symnas.spaces")


def hidden(text: str) -> Iterator[str]:
    """Yield the paths of a text that no facade lists."""
    for match in MENTION.finditer(text):
        if not is_public(match[0]):
            yield match[0]
    for match in IMPORT.finditer(text):
        for name in match[2].split(","):
            path = f"{match[1]}.{name.split(' as ')[0].strip()}"
            if name.strip() and not is_public(path):
                yield path


def messages(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of the errors and warnings that a module raises."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) or (
            isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Error", "warn"))
        ):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in INSIDE], ids=lambda page: page.name
)
def test_pages_name_facades_alone(page: Path) -> None:
    assert sorted(set(hidden(page.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("folder", ["examples", "spaces"])
def test_examples_and_models_import_facades_alone(folder: str) -> None:
    root = (
        ROOT / folder
        if (ROOT / folder).is_dir()
        else Path(importlib.import_module("symnas.spaces").__path__[0])
    )
    for file in root.rglob("*.py"):
        assert sorted(set(hidden(file.read_text(encoding="utf-8")))) == [], file


def test_messages_name_facades_alone() -> None:
    found = {}
    for file in Path(symnas.__path__[0]).rglob("*.py"):
        named = {path for text in messages(ast.parse(file.read_text())) for path in hidden(text)}
        if named:
            found[file.name] = named
    assert found == {}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("see `symnas.tree.space.Space`", ["symnas.tree.space.Space"]),
        ("from symnas.tree.space import Space", ["symnas.tree.space", "symnas.tree.space.Space"]),
        ("from symnas.tree import Space, Batch", []),
        ("symnas.search(...), symnas.Space.sample, symnas.algorithms.MCTS", []),
        ("symnas.tree.Spice", ["symnas.tree.Spice"]),
        ("runs/symnas.db and symnas.spaces.darts:Net", []),
    ],
)
def test_a_path_behind_the_doors_is_seen(text: str, seen: list[str]) -> None:
    assert list(hidden(text)) == seen
