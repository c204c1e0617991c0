"""What gets installed is what lies in the folders, whether symnas is a checkout or a wheel."""

from __future__ import annotations

import importlib
import tomllib
from importlib.metadata import entry_points, metadata, requires
from pathlib import Path
from pkgutil import walk_packages

import pytest
from packaging.requirements import Requirement

import symnas

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ["symnas", *(found.name for found in walk_packages(symnas.__path__, "symnas.") if found.ispkg)]
CHECKOUT = pytest.mark.skipif(not (ROOT / "grammar").is_dir(), reason="tests an installed wheel")


@CHECKOUT
def test_every_folder_with_code_is_packaged() -> None:
    find_packages = pytest.importorskip("setuptools").find_packages
    rule = PROJECT["tool"]["setuptools"]["packages"]["find"]
    packaged = set(find_packages(str(ROOT / rule["where"][0]), include=rule["include"]))
    folders = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for root in ("symnas", "symnas/grammar", "symnas/spaces", "symnas/algorithms")
        for file in (ROOT / root).rglob("*.py")
    }
    assert folders == packaged == set(PACKAGES)


@CHECKOUT
@pytest.mark.parametrize("name", ["algorithms", "grammar", "spaces"])
def test_the_folders_at_the_root_are_packages(name: str) -> None:
    assert (ROOT / "symnas" / name).resolve() == ROOT / name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_its_modules(package: str) -> None:
    installed = Path(importlib.import_module(package).__path__[0])
    checkout = ROOT.joinpath(*package.split("."))
    assert (installed / "__init__.py").is_file()
    if checkout.is_dir():
        assert installed.resolve() == checkout.resolve()


def test_data_files_are_shipped() -> None:
    assert (Path(symnas.__path__[0]) / "py.typed").is_file()
    grammar = Path(importlib.import_module("symnas.grammar").__path__[0])
    assert list(grammar.glob("*.lark"))


def test_entry_points_resolve() -> None:
    (script,) = [found for found in entry_points(group="console_scripts") if found.name == "symnas"]
    assert callable(script.load())
    for found in entry_points(group="symnas.algorithms"):
        assert isinstance(found.load(), type)


def test_the_version_is_said_once() -> None:
    assert metadata("symnas")["Version"] == symnas.__version__ == PROJECT["project"]["version"]


def test_constraints_lie_in_the_ranges() -> None:
    constraints = ROOT / "constraints.txt"
    if not constraints.exists():
        pytest.skip("constraints.txt is not part of an installation")
    lines = [line for line in constraints.read_text().splitlines() if line and not line.startswith("#")]
    pins = {Requirement(line).name.lower(): line.partition("==")[2] for line in lines}
    assert all(version and "+" not in version for version in pins.values())
    for text in requires("symnas") or ():
        required = Requirement(text)
        if required.name != "symnas":
            assert required.specifier.contains(pins[required.name.lower()]), text
