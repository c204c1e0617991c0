"""Which files belong to a program: those of the target's project that its imports lead to, and no others."""

from __future__ import annotations

import linecache
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from symnas import program
from symnas.errors import AnnotationError

PART = "def part():\n    k = 1  # search: {1, 2}\n    return k\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that writes files below a folder; modules imported from there are forgotten."""

    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            # Other tests may have imported files of the same name.
            monkeypatch.delitem(sys.modules, name.split("/")[0].removesuffix(".py"), raising=False)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    yield make
    for name, module in sys.modules.copy().items():
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("from parts import part", "part()"),
        ("from parts import part as other", "other()"),
        ("import parts", "parts.part()"),
        ("import parts as p", "p.part()"),
        ("from parts import *", "part()"),
        ("from middle import part", "part()"),
        ("from middle import renamed", "renamed()"),
        ("from sub.deep import part", "part()"),
        ("import sub.deep", "sub.deep.part()"),
        ("from sub import deep", "deep.part()"),
        ("import sub", "sub.part()"),
    ],
)
def test_imports_are_followed_in_every_spelling(statement: str, call: str, write: Any) -> None:
    root = write(
        {
            "parts.py": PART,
            "middle.py": "from parts import (\n    part,\n    part as renamed,  # a comment\n)\n",
            "sub/__init__.py": "from .deep import part\n",
            "sub/deep.py": PART,
            "net.py": f"{statement}\n\ndef f():\n    a = {call}\n    return a\n\ndef g():\n"
            f"    {statement.replace('*', 'part')}\n    a = {call}\n    return a\n",
        }
    )
    for name in "fg":
        made = program(f"{root}/net.py:{name}")
        assert made.space.addresses == ("a.k",)
        assert [made.build({"a.k": k}) for k in (1, 2)] == [1, 2]


@pytest.mark.parametrize("use", ["WIDTH", "Plain.width", "Config().width", "make()", "make.__defaults__[0]"])
@pytest.mark.parametrize(
    "statement", ["from .config import *", "from . import config", "from .config import {}"]
)
def test_constants_class_bodies_and_defaults_of_other_files_are_points(
    statement: str, use: str, write: Any
) -> None:
    name = use.split(".")[0].split("(")[0]
    spelled = f"config.{use}" if "import config" in statement else use
    root = write(
        {
            "app/__init__.py": "",
            "app/config.py": "from dataclasses import dataclass\nWIDTH = 1  # search: {1, 2}\n"
            "@dataclass\nclass Config:\n    width: int = 1  # search: {1, 2}\n"
            "class Plain:\n    width: int = 1  # search: {1, 2}\n"
            "def make(\n    a=1,  # search: {1, 2}\n):\n    return a\n",
            "app/net.py": f"{statement.format(name)}\n\ndef f():\n    if {spelled} == 2:\n"
            "        x = 3  # search: {3, 4}\n        return x\n    return 0\n",
        }
    )
    made = program(f"{root}/app/net.py:f")
    if "__defaults__" in use:
        assert made.space.addresses == ()
        return
    width, x = made.space.addresses
    assert width in ("WIDTH", "Plain.width", "if.width", "if.a", "make.a"), width
    assert made.space.size == 3
    assert made.build({width: 2, x: 4}) == 4
    assert made.build({width: 1}) == 0
    assert sys.modules["app.config"].WIDTH == 1


def test_what_is_not_reached_is_not_read(write: Any) -> None:
    root = write(
        {
            "broken.py": "x = 8  # search: {8, 16\n",
            "unused.py": "class Unused:\n    k = 1  # search: {1, 2}\n",
            "net.py": "import broken\nfrom unused import Unused\n\n"
            "def f():\n    a = 1  # search: {1, 2}\n    return a\n",
        }
    )
    assert program(f"{root}/net.py:f").space.addresses == ("a",)
    (root / "net.py").write_text("import broken\n\ndef f():\n    return broken.x\n")
    with pytest.raises(AnnotationError, match=r"broken.py:1"):
        _ = program(f"{root}/net.py:f").space


def test_installed_packages_are_told_and_followed_only_by_name(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(
        {
            "site-packages/lib_of_others/__init__.py": "from .blocks import part\n",
            "site-packages/lib_of_others/blocks.py": PART,
            "net.py": "from lib_of_others import part\n\ndef f():\n    a = part()\n    return a\n",
        }
    )
    monkeypatch.syspath_prepend(str(root / "site-packages"))
    made = program(f"{root}/net.py:f")
    with pytest.warns(
        UserWarning, match=r"lib_of_others.blocks \(.*blocks.py\) has 1 annotation; .*include="
    ):
        assert made.space.addresses == ()
    made = program(f"{root}/net.py:f", include=["lib_of_others.blocks"])
    assert made.space.addresses == ("a.k",)


def test_a_package_is_followed_and_its_neighbours_are_told(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(
        {
            "neighbour_of_app.py": PART,
            "app/__init__.py": "",
            "app/deep/__init__.py": "",
            "app/deep/net.py": "from ..parts import part\nimport neighbour_of_app\n\n"
            "def f():\n    a = part()\n"
            "    b = neighbour_of_app.part()\n    return a + b\n",
            "app/parts.py": PART,
        }
    )
    monkeypatch.syspath_prepend(str(root))
    made = program("app.deep.net:f")
    with pytest.warns(UserWarning, match="neighbour_of_app"):
        assert made.space.addresses == ("a.k",)


def test_an_attribute_of_the_name_of_a_neighbour_is_not_told(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(
        {
            "neighbour_of_name.py": PART,
            "app/__init__.py": "",
            "app/net.py": "from neighbour_of_name import part\n\nclass Net:\n    def __init__(self):\n"
            "        self.part = 1  # search: {1, 2}\n        self.part += 1\n",
        }
    )
    monkeypatch.syspath_prepend(root)
    assert program(f"{root / 'app/net.py'}:Net").space.size == 2


def test_files_of_packages_are_loaded_as_parts_of_them(write: Any) -> None:
    root = write(
        {
            "shelf/__init__.py": "",
            "shelf/net.py": "from .parts import part\nfrom . import parts\n\n"
            "def f():\n    a = part()\n    return a\n",
            "shelf/parts.py": PART,
            "loose/net.py": "from .parts import part\n\ndef f():\n    a = part()\n    return a\n",
            "loose/parts.py": PART,
            "shelf/alone.py": "def f():\n    a = 1  # search: {1, 2}\n    return a\n",
        }
    )
    before = list(sys.path)
    made = program(f"{root}/shelf/net.py:f")
    assert (made.target.__module__, made.space.addresses) == ("shelf.net", ("a.k",))
    assert program(f"{root}/loose/net.py:f").space.addresses == ("a.k",)
    # What imports nothing of its package is loaded by itself.
    assert program(f"{root}/shelf/alone.py:f").target.__module__ == "alone"
    assert sys.path == before
    again = pickle.loads(pickle.dumps(made))
    assert again.space.addresses == ("a.k",)
    (root / "shelf/net.py").write_text("from .parts import part\n\ndef f():\n    b = part()\n    return b\n")
    assert program(f"{root}/shelf/net.py:f").space.addresses == ("b.k",)


def test_cells_of_one_session_are_one_project(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {
        "<ipython-input-1-a>": "from dataclasses import dataclass\n",
        "<ipython-input-2-b>": "@dataclass\nclass Config:\n    width: int = 8  # search: {8, 16}\n",
        "<ipython-input-3-c>": "DEPTH = 2  # search: 1..3\n",
        "<ipython-input-4-d>": "DEPTH = 1  # search: 1..2\nlr = 0.1\n",
        "<ipython-input-5-e>": "TWICE = 2 * DEPTH\ndef f():\n    return Config().width * TWICE // 2\n",
        "<ipython-input-6-f>": "lr = 0.2\n",
    }
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    for name, text in cells.items():
        monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(keepends=True), name))
        exec(compile(text, name, "exec"), vars(module))
    made = program(module.f)
    assert set(made.space.addresses) == {"return.width", "DEPTH"}
    assert made.space.size == 4
    assert made.build({"return.width": 16, "DEPTH": 2}) == 32
    text = made.source({"return.width": 16, "DEPTH": 2})
    names: dict[str, Any] = {"__name__": "elsewhere"}
    monkeypatch.setitem(sys.modules, "elsewhere", ModuleType("elsewhere"))
    exec(text, names)
    assert names["f"]() == 32
    assert "DEPTH = 1" not in text
