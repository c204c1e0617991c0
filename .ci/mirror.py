#!/usr/bin/env python3
"""Make `.typecheck/`, a tree of links that mirrors the installed package, for tools that read sources.

The package's folders lie at the root of the repository under other names than they are imported by.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / ".typecheck"


def packages() -> dict[str, Path]:
    """Return the dotted name and the folder of every package that pyproject.toml installs."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return {name: ROOT / folder(name, setup["package-dir"]) for name in setup["packages"]}


def folder(name: str, known: dict[str, str]) -> Path:
    """Return the folder of a package, which lies in its parent's where it is not listed itself."""
    if name in known:
        return Path(known[name])
    parent, _, stem = name.rpartition(".")
    return folder(parent, known) / stem


def mirror() -> list[Path]:
    """Link every source file to the place where an installation has it; return the folders made."""
    shutil.rmtree(TREE, ignore_errors=True)
    folders = []
    for name, source in packages().items():
        folder = TREE.joinpath(*name.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        folders.append(folder)
        for file in source.iterdir():
            if file.suffix in {".py", ".pyi", ".typed", ".lark"}:
                (folder / file.name).symlink_to(file)
    return folders


if __name__ == "__main__":
    mirror()
