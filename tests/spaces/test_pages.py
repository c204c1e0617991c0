"""Every space is a file that stands alone, is free of mistakes, and stands on the pages that list them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import symnas.spaces
from symnas.cli.app import main

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(Path(symnas.spaces.__path__[0]).glob("[!_]*.py"))
ALLOWED = {"torch", *sys.stdlib_module_names}


def table() -> dict[str, list[str]]:
    """Return the cells of the page's table by the file that the first one names."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "spaces.md").read_text("utf-8").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            found.setdefault(cells[0].strip(" `").partition(":")[0], []).extend(cells)
    return found


def test_every_space_has_a_row_and_every_row_is_a_space() -> None:
    rows = table()
    assert set(rows) == {path.stem for path in FILES}
    assert all(len(cells) % 7 == 0 and all(cells) for cells in rows.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_name_on_the_pages_is_defined_in_its_file(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    names = [name.strip(" `") for name in table()[path.stem][0].partition(":")[2].split(",")]
    assert set(names) <= defined
    for name in names:
        assert f"`{name}`" in symnas.spaces.__doc__ or f"`{path.stem}:{name}`" in symnas.spaces.__doc__


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_space_needs_torch_alone_and_markers_at_most(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= {
                "torch",
                *sys.stdlib_module_names,
            }
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module).partition(".")[0]
            assert module in ALLOWED or (
                node.module == "symnas" and {alias.name for alias in node.names} <= {"oneof", "manyof"}
            )


def test_the_files_are_free_of_mistakes() -> None:
    result = CliRunner().invoke(main, ["check", *map(str, FILES)])
    assert result.exit_code == 0, result.output
    assert f"0 mistakes in {len(FILES)} files" in result.output


def test_readers_find_the_page() -> None:
    assert "Spaces: spaces.md" in (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "(docs/spaces.md)" in (ROOT / "README.md").read_text("utf-8")
