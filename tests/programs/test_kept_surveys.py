"""A kept survey is the same as a fresh one, and is found only while all that it follows from is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import symnas
import symnas.survey.survey
from symnas.cli import main
from symnas.programs import disk_cache, identity, kept_surveys

NET = """
from parts import width
import depths


class Net:
    scale = 2

    def __init__(self, classes=10, config=None):
        self.k = 3  # search: {1, 3, 5}
        for i in range(depths.MOST):
            self.w = width(i)
"""
FILES = {
    "net.py": NET,
    "parts.py": "BASE = 8\n\ndef width(i):\n    return BASE  # search: {BASE, 99}\n",
    "depths.py": "MOST = 2\n",
}
FILES["parts.py"] = "BASE = 8\n\ndef width(i):\n    w = 8  # search: {8, 16}\n    return w * BASE\n"


class Project:
    """Files of a project, imported anew after every change, as the next process would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.surveys = 0

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            # A file that is younger than this process may have been imported before it was changed.
            os.utime(file, (1e9, 1e9))

    def forget(self) -> None:
        for name, module in sys.modules.copy().items():
            if str(getattr(module, "__file__", None)).startswith(str(self.folder)):
                del sys.modules[name]

    def program(self, *args: Any, target: str = "net.py:Net", **kwargs: Any) -> symnas.Program:
        self.forget()
        place = f"{self.folder}/{target}" if ".py:" in target else target
        return symnas.program(place, *args, **kwargs)

    def misses(self, *args: Any, **kwargs: Any) -> bool:
        """Whether a program's space is surveyed."""
        before = self.surveys
        _ = self.program(*args, **kwargs).space
        return self.surveys > before


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    made.folder.mkdir()
    made.write(FILES)
    monkeypatch.syspath_prepend(str(made.folder))
    monkeypatch.setenv("SYMNAS_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(kept_surveys, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    real = symnas.survey.survey.survey

    def counted(*args: Any, **kwargs: Any) -> symnas.Space:
        made.surveys += 1
        return real(*args, **kwargs)

    monkeypatch.setattr(symnas.survey.survey, "survey", counted)
    yield made
    made.forget()


def entries() -> list[Path]:
    folder = disk_cache.folder()
    assert folder is not None
    return sorted(folder.glob("*"))


def test_a_kept_space_is_the_fresh_one(project: Project) -> None:
    fresh = project.program().space
    assert project.surveys == 1
    kept = project.program().space
    assert project.surveys == 1
    assert kept.to_json() == fresh.to_json()
    assert (kept.fingerprint, kept.requires, kept.default) == (
        fresh.fingerprint,
        fresh.requires,
        fresh.default,
    )


def test_every_kind_of_point_and_requirements_come_back(project: Project) -> None:
    project.write({"net.py": KINDS})
    fresh = project.program(target="net.py:net")
    told = fresh.space.to_json(), fresh.fingerprint
    kept = project.program(target="net.py:net")
    assert (kept.space.to_json(), kept.fingerprint) == told
    assert project.surveys == 1
    assert [kept.build(d) for d in kept.sample(5, 0)] == [fresh.build(d) for d in fresh.sample(5, 0)]


KINDS = """
def net():
    a = 1  # search: 1..8 require a > 0
    b = 0.5  # search: log 0.1..1.0
    c = [1, 2]  # search: 2 of {1, 2, 3}
    d = [1, 2, 3]  # search: order of {1, 2, 3}
    e = 4  # search: {4 @ 2, 5 @ 1}
    if a > 3 and e == 5:
        f = 1  # search: {1, 2}
    return a
"""

EDITS: dict[str, Mapping[str, str]] = {
    "target": {"net.py": NET.replace("{1, 3, 5}", "{1, 3}")},
    "comment above": {"net.py": "# moves the lines\n" + NET},
    "function of an imported module": {"parts.py": FILES["parts.py"].replace("return w", "return 1 + w")},
    "constant of an imported module": {"depths.py": "MOST = 3\n"},
    "constant beside a function": {"parts.py": FILES["parts.py"].replace("BASE = 8", "BASE = 9")},
    "class variable": {"net.py": NET.replace("scale = 2", "scale = 3")},
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_any_file_of_the_project_misses(project: Project, edit: str) -> None:
    assert project.misses()
    project.write(EDITS[edit])
    assert project.misses()
    project.write(FILES)
    assert not project.misses()


def test_files_are_followed_through_packages_and_imports_inside_functions(project: Project) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/net.py": "from .deep import most\nclass Net:\n    def __init__(self):\n"
        "        from pkg import late\n"
        "        for i in range(most() + late.MORE):\n            self.k = 3  # search: {1, 3}\n",
        "pkg/deep.py": "from . import deeper\ndef most():\n    return deeper.N\n",
        "pkg/deeper.py": "N = 1\n",
        "pkg/late.py": "MORE = 1\n",
    }
    project.write(files)
    assert [project.misses(target="pkg.net:Net") for _ in range(2)] == [True, False]
    for name in ("pkg/deeper.py", "pkg/late.py", "pkg/__init__.py"):
        project.write({name: files[name] + "\nOTHER = 1\n"})
        assert project.misses(target="pkg.net:Net"), name


def test_arguments_inputs_bounds_and_included_modules_are_told_apart(project: Project) -> None:
    asked: list[dict[str, Any]] = [
        {},
        {"classes": 3},
        {"classes": "3"},
        {"classes": 3.0},
        {"config": {"a": [1, (2, None)]}},
        {"config": {"a": [1, [2, None]]}},
        {"inputs": torch.zeros(1, 2)},
        {"inputs": torch.ones(1, 2)},
        {"inputs": torch.zeros(2, 1)},
        {"inputs": torch.zeros(1, 2, dtype=torch.float64)},
        {"inputs": {"x": torch.zeros(1, 2)}},
        {"max_runs": 77},
        {"include": ["parts"]},
    ]
    assert all(project.misses(**each) for each in asked)
    assert not any(project.misses(**each) for each in asked)


def test_variables_that_were_set_from_outside_count(project: Project) -> None:
    assert project.misses()
    program = project.program()
    sys.modules["depths"].__dict__["MOST"] = 1
    _ = program.space
    program = project.program()
    program.target.scale = 5
    _ = program.space
    assert project.surveys == 3


def test_a_configuration_counts_by_its_fields(project: Project) -> None:
    text = "import dataclasses\n@dataclasses.dataclass\nclass Config:\n    depth: int = 2\n"
    net = "def net(config):\n    for i in range(config.depth):\n        k = 3  # search: {1, 3}\n"
    project.write({"net.py": text + net})

    def points(depth: int) -> int:
        program = project.program(target="net.py:net")
        given = sys.modules[program.target.__module__].Config(depth)
        return len(symnas.program(program.target, given).space)

    assert [points(2), points(2), points(3)] == [2, 2, 3]
    assert project.surveys == 2


OUTSIDE = {
    "a file": "import json\ndef net():\n    return json.loads(open('n.json').read())",
    "a path": "from pathlib import Path\ndef net():\n    return Path('n.json').exists()",
    "the environment": "import os\ndef net():\n    return int(os.environ.get('N', 1))",
    "the environment by name": "from os import getenv\ndef net():\n    return getenv('N')",
    "the clock": "import time\ndef net():\n    return time.time()",
    "the clock by name": "from time import time as now\ndef net():\n    return now()",
    "the machine": "import torch\ndef net():\n    return torch.cuda.is_available()",
    "a helper": "import os\ndef net():\n    return helper()\ndef helper():\n    return os.listdir('.')",
    "a method": "class net:\n    def __init__(self):\n        self.read()\n"
    "    def read(self):\n        return open('n')",
    "an object": "import threading\nLOCK = threading.Lock()\ndef net():\n    return LOCK.locked()",
    "an import by a text": "import importlib\ndef net():\n    return importlib.import_module('parts')",
    "a local import": "def net():\n    import subprocess\n    return subprocess.run",
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_follows_from_more_than_code_and_values_has_no_identity(project: Project, case: str) -> None:
    project.write({"net.py": f"{OUTSIDE[case]}\nUSED = 1\n"})
    assert project.program(target="net.py:net").internals.identity() is None


INSIDE = {
    "names of built-ins": "def exists(x):\n    return x is not None\n"
    "def net(input=1, time=2):\n    return exists(input + time)",
    "reading elsewhere": "import os\ndef other():\n    return os.environ\ndef net():\n    return 1",
    "reading below": "import sys\ndef net():\n    return 1\n"
    "if __name__ == '__main__':\n    print(open(sys.argv[1]))",
    "tables": "def a(): return 1\ndef b(): return 2\n"
    "BLOCKS = {'a': a, 'b': b}\ndef net():\n    return BLOCKS['a']()",
    "modules": "from torch import nn\ndef net():\n"
    "    return nn.Sequential(nn.Linear(1, 1), nn.ReLU()).eval()",
    "constants": "import enum, re\nclass E(enum.Enum):\n    A = 1\n"
    "X, P = E.A, re.compile('a')\ndef net():\n    return X, P",
    "partials": "from functools import partial\nfrom torch import nn\n"
    "N = partial(nn.LayerNorm, eps=1e-6)\ndef net():\n    return N(3)",
}


@pytest.mark.parametrize("case", INSIDE)
def test_ordinary_code_has_an_identity(project: Project, case: str) -> None:
    project.write({"net.py": f"{INSIDE[case]}\n"})
    first, second = (project.program(target="net.py:net").internals.identity() for _ in range(2))
    assert first == second is not None


def test_programs_that_nothing_finds_again_have_none(project: Project) -> None:
    net = project.program().target
    assert symnas.program(net).internals.identity() is not None
    assert symnas.program(net, object()).internals.identity() is None
    assert symnas.program(net, config=torch.nn.Linear(1, 1)).internals.identity() is None
    assert symnas.program(net, inputs=lambda: torch.zeros(1)).internals.identity() is None
    assert symnas.program(lambda: net()).internals.identity() is None

    def local() -> None:
        net()

    assert symnas.program(local).internals.identity() is None


def test_a_file_that_may_have_changed_since_it_was_imported_is_not_trusted(project: Project) -> None:
    program = project.program()
    (project.folder / "depths.py").write_text("MOST = 7\n")
    assert program.internals.identity() is None


def test_versions_and_our_own_files_count(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {project.program().internals.identity()}
    for name, value in (("__version__", "99"), ("_own_files", lambda: "other")):
        monkeypatch.setattr(identity, name, value)
        seen.add(project.program().internals.identity())
    monkeypatch.setattr(torch, "__version__", "99.0")
    monkeypatch.setattr(sys, "version", "3.99")
    seen.add(project.program().internals.identity())
    assert len(seen) == 4
    assert None not in seen


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def flip(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"self.k", b"self.q", 1).replace(b'"k"', b'"q"', 1))


def other(file: Path) -> None:
    body = b'{"space": {"points": [{"kind": "oneof"}]}, "remarks": []}'
    file.write_bytes(disk_cache._digest(body).encode() + b"\n" + body)


def replaced_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, other, emptied, replaced_by_a_folder])
def test_damaged_entries_are_ignored(project: Project, damage: Callable[[Path], None]) -> None:
    fresh = project.program().space
    (file,) = entries()
    damage(file)
    assert project.program().space.to_json() == fresh.to_json()
    assert project.surveys == 2


def test_failures_are_not_kept_and_quick_surveys_neither(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write({"net.py": "def net():\n    k = 1  # search: {1, 2}\n    raise ValueError\n"})
    for _ in range(2):
        with pytest.raises(symnas.SymnasError, match="ValueError"):
            _ = project.program(target="net.py:net").space
    monkeypatch.setattr(kept_surveys, "LEAST_SECONDS", 100.0)
    project.write(FILES)
    _ = project.program().space
    assert not disk_cache.folder() or not entries()


@pytest.mark.parametrize("word", ["off", "OFF", "0", " no "])
def test_it_can_be_switched_off(project: Project, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("SYMNAS_CACHE", word)
    assert disk_cache.folder() is None
    assert [project.misses(), project.misses()] == [True, True]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SYMNAS_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert disk_cache.folder() == tmp_path / ".cache" / "symnas"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert disk_cache.folder() == tmp_path / "xdg" / "symnas"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert disk_cache.folder() == tmp_path / "Library" / "Caches" / "symnas"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert disk_cache.folder() == tmp_path / "local" / "symnas" / "Cache"


def test_a_folder_that_cannot_be_written_is_no_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYMNAS_CACHE", str(tmp_path / "file" / "below"))
    assert len(project.program().space) == 3


def test_number_and_bytes_are_bounded_and_the_oldest_use_goes_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_cache, "MOST_FILES", 3)
    for number in range(3):
        disk_cache.write(f"k{number}", number)
    for number, file in enumerate(entries()):
        os.utime(file, (1e9 + number, 1e9 + number))
    assert disk_cache.read("k0") == 0
    disk_cache.write("k3", 3)
    assert [file.name for file in entries()] == ["k0.json", "k2.json", "k3.json"]
    monkeypatch.setattr(disk_cache, "MOST_BYTES", 400)
    disk_cache.write("k4", ["x" * 90])
    assert sum(file.stat().st_size for file in entries()) <= 400
    disk_cache.write("k5", ["x" * 900])
    assert disk_cache.read("k5") is None


def test_many_at_once_write_and_read_whole_entries(project: Project) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for turn in range(20):
            disk_cache.write("same", [number] * 500)
            found = disk_cache.read("same")
            if found is not None and len(set(found)) != 1:
                wrong.append((turn, found))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [file.name for file in entries()] == ["same.json"]


def test_remarks_are_kept_with_the_space(project: Project) -> None:
    text = "import dataclasses\n@dataclasses.dataclass\nclass Config:\n    k: int = 3  # search: {1, 3}\n"
    project.write(
        {"net.py": text + "def net(config):\n    m = 1  # search: {1, 2}\n    return config.k, m\n"}
    )
    told = []
    for _ in range(2):
        found = project.program(target="net.py:net")
        program = symnas.program(found.target, sys.modules[found.target.__module__].Config())
        with pytest.warns(UserWarning, match="fields had their values before") as caught:
            _ = program.space
        told.append((str(caught[0].message), caught[0].filename))
    assert told[0] == told[1]
    assert told[0][1] == __file__
    assert project.surveys == 1


def test_costs_are_kept_as_well(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    net = "from torch import nn\ndef net():\n    w = 2  # search: {2, 4}\n    return nn.Linear(w, w)\n"
    project.write({"net.py": net.replace("nn.Linear(w, w)", "nn.Sequential(nn.Linear(2, w))")})
    command = ["show", f"{project.folder}/net.py:net", "--input", "1x2", "--json"]
    first = CliRunner().invoke(main, command)
    project.forget()
    monkeypatch.setattr(symnas.Program, "profile", None)
    second = CliRunner().invoke(main, command)
    assert first.output == second.output
    assert json.loads(second.output)["costs"]["params"]["largest"] == 12


@pytest.mark.slow
def test_the_next_process_finds_it(project: Project, tmp_path: Path) -> None:
    code = (
        "import symnas.survey.survey as s, symnas, sys\n"
        "program = symnas.program('net.py:Net')\n"
        "print(program.space.fingerprint, 'symnas.survey.runner' in sys.modules)\n"
    )
    environment = {**os.environ, "SYMNAS_CACHE": str(tmp_path / "kept"), "PYTHONHASHSEED": "random"}
    monkey = "import symnas.programs.kept_surveys as k\nk.LEAST_SECONDS = 0\n"
    told = [
        subprocess.run(
            [sys.executable, "-c", monkey + code],
            cwd=project.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert told[0][0] == told[1][0]
    assert [surveyed for _, surveyed in told] == ["True", "False"]
