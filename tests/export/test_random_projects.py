"""The law of files: definitions split over files are the program that one file with all of them is."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from random_projects import definitions, in_one, in_several

from symnas import Program, program
from symnas.errors import BuildError, ProgramError
from symnas.export import generated_package
from symnas.export.source import source_files


def loaded(folder: Path, files: dict[str, str], target: str) -> Program[Any]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    made = program(f"{folder}/{target}:main")
    _ = made.space
    return made


def forget(folder: Path) -> None:
    for name, module in sys.modules.copy().items():
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def check(seed: int, folder: Path) -> bool:
    """Compare a random program in one file and in several; False if it gives two points one address."""
    rng = random.Random(seed)
    made = definitions(rng, rng.randint(3, 8))
    package = rng.choice(["", "pack"])
    try:
        one = loaded(folder / "one", in_one(made), "net.py")
    except (ProgramError, BuildError) as error:
        if "reached twice" in str(error):
            return False
        raise
    forget(folder)
    several = loaded(folder / "several", in_several(rng, made, package), f"{package}/net.py".lstrip("/"))
    # Points of constants come in the order in which imports execute the files.
    assert sorted(several.space.addresses) == sorted(one.space.addresses)
    assert several.space.size == one.space.size
    for decision in several.space.sample(2, 0):
        wanted = one.build(dict(decision))
        assert several.build(decision) == wanted
        found = source_files(several, decision)
        if found.why_several:
            made_again = generated_package.load(found.files, found.module).main
        else:
            sys.modules["elsewhere"] = ModuleType("elsewhere")
            names: dict[str, Any] = {"__name__": "elsewhere"}
            exec(*found.files.values(), names)
            made_again = names["main"]
        assert made_again() == wanted
    forget(folder)
    return True


def test_splitting_definitions_over_files_changes_nothing(tmp_path: Path) -> None:
    assert sum(check(seed, tmp_path / str(seed)) for seed in range(8)) > 4


@pytest.mark.slow
def test_splitting_many_definitions_over_files_changes_nothing(tmp_path: Path) -> None:
    assert sum(check(seed, tmp_path / str(seed)) for seed in range(8, 300)) > 200
