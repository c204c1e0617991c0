"""Programs of many files: what is built, written out and pickled computes what the user's own classes do."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from projects import PROJECTS

from symnas import Program, program
from symnas.errors import ProgramError
from symnas.export.source import source_files
from symnas.export.torch_graph import graph
from symnas.frontend import execution
from symnas.frontend.run import Run

X = torch.ones(1, 4)
PACKAGES = {"cycle": "import each other", "same_names": "'Block' means one thing in a and another in b"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that writes files and returns the program of a target in them; its modules are forgotten."""

    def make(target: str, files: dict[str, str], **options: Any) -> Program[Any]:
        for name, text in files.items():
            # Other tests may have imported files of the same name.
            monkeypatch.delitem(sys.modules, name.split("/")[0].removesuffix(".py"), raising=False)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return program(f"{tmp_path}/{target}", **{"inputs": X, **options})

    yield make
    for name, module in sys.modules.copy().items():
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def computed(made: Program[Any], decision: Any) -> tuple[dict[str, Any], torch.Tensor]:
    """Run the user's own classes under a decision, choices made as they are met: weights and output."""
    run = Run(decision)
    with execution.running(made.internals.source_set, run), torch.no_grad():
        model = execution.call_target(made.internals, made.internals.source_set)
        run.paths = {id(part): execution.bracketed(path) for path, part in model.named_modules()}
        run.forward, run.position = True, None
        return model.state_dict(), model(X)


def exported(made: Program[Any], decision: Any, folder: Path) -> Any:
    """Write a child's source, import it under a name of its own, and return its target."""
    name = f"out_{abs(hash((folder, decision)))}"
    made.export(folder / name, decision)
    sys.path.insert(0, str(folder))
    try:
        return getattr(importlib.import_module(name), made.target.__qualname__)
    finally:
        sys.path.remove(str(folder))


@pytest.mark.parametrize("name", PROJECTS)
def test_build_source_and_graph_compute_what_the_users_classes_do(
    name: str, project: Any, tmp_path: Path
) -> None:
    made = project(*PROJECTS[name])
    for index, decision in enumerate([made.space.default, *made.space.sample(3, 0)]):
        weights, output = computed(made, decision)
        child = made.build(decision)
        again = exported(made, decision, tmp_path)()
        for model in (child, again):
            model.load_state_dict(weights, strict=True)
            assert torch.equal(model(X), output)
        files = source_files(made, decision)
        assert not any("search:" in text or "symnas" in text for text in files.files.values())
        assert PACKAGES.get(name, "") in files.why_several
        assert bool(files.why_several) is (name in PACKAGES)
        if index == 0:
            assert torch.equal(pickle.loads(pickle.dumps(child))(X), output)
            assert torch.allclose(graph(child, (X,)).module()(X), output)


@pytest.mark.parametrize("name", ["factory", "same_names"])
def test_supernets_hold_children_of_many_files(name: str, project: Any) -> None:
    made = project(*PROJECTS[name])
    supernet = made.supernet()
    for decision in made.space.sample(3, 3):
        supernet.activate(decision)
        with torch.no_grad():
            assert torch.allclose(supernet(X), supernet.extract(decision)(X), atol=1e-6)


def test_texts_of_several_files_read_well(project: Any) -> None:
    made = project(*PROJECTS["siblings"])
    assert made.source() == (
        "import torch\nfrom torch import nn\n\n\n# From parts.\n\n"
        "class Block(nn.Module):\n    def __init__(self, w):\n        super().__init__()\n"
        "        self.fc = nn.Linear(w, w)\n        self.act = nn.ReLU()\n\n"
        "    def forward(self, x):\n        return x + self.act(self.fc(x))\n\n\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a = Block(4)\n        self.b = Block(4)\n\n"
        "    def forward(self, x):\n        return self.b(self.a(x))\n"
    )


def test_what_makes_no_one_text_says_so_and_is_a_package(project: Any, tmp_path: Path) -> None:
    made = project(*PROJECTS["same_names"])
    with pytest.raises(
        ProgramError, match=r"no text of one file: 'Block' means one thing in a.*program.export"
    ):
        made.source()
    assert list(made.files()) == ["__init__.py", "net.py", "a.py", "b.py"]
    assert made.export(tmp_path / "winner") == tmp_path / "winner"
    assert (tmp_path / "winner" / "__init__.py").read_text().startswith("from .net import Net\n")


def test_relative_imports_of_other_files_become_absolute_where_the_package_is_on_the_path(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/heads.py": "from torch import nn\n\n\ndef head(w):\n    return nn.Linear(w, 2)\n",
        "shop/net.py": "from torch import nn\n\nfrom .heads import head\nfrom . import heads as h\n\n\n"
        "def net():\n    w = 8  # search: {4, 8}\n"
        "    return nn.Sequential(nn.Linear(4, w), head(w), h.nn.ReLU())\n",
    }
    made = project("shop/net.py:net", files)
    # Nothing else finds a package that was loaded by its path: what the model needs of it is written out.
    assert "def head(w):" in made.source()
    assert "import head" not in made.source()
    monkeypatch.syspath_prepend(str(tmp_path))
    text = made.source({"w": 4})
    assert "from shop.heads import head\nfrom shop import heads as h\n" in text
    assert "w = 4\n" in text


def test_children_of_a_package_are_unpickled_in_another_process(project: Any, tmp_path: Path) -> None:
    made = project(*PROJECTS["same_names"])
    child = made.build(made.space.sample(1, 1)[0])
    path = tmp_path / "child.pickle"
    path.write_bytes(pickle.dumps((child, child(X))))
    code = (
        "import pickle, sys, torch\n"
        "child, out = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert torch.equal(child(torch.ones(1, 4)), out)\n"
        "import inspect; assert 'class Net' in inspect.getsource(type(child))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=True, cwd="/")


def test_generated_packages_leave_nothing_behind(project: Any) -> None:
    import gc

    made = project(*PROJECTS["same_names"])
    child = made.build()
    name = type(child).__module__.partition(".")[0]
    assert type(made.build()) is type(child)
    del child
    gc.collect()
    assert not [module for module in sys.modules if module.startswith(name)]


def test_a_script_takes_what_it_needs_of_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        "SIZE = 1  # search: {1, 2}\n\n\ndef block():\n    k = 3  # search: {3, 4}\n    return k * SIZE\n\n\n"
        "def unused():\n    pass\n"
    )
    (tmp_path / "script.py").write_text(
        "from parts import block, unused\nimport symnas\n\n"
        "def net():\n    return [block() for i in range(2)]\n\n"
        "if __name__ == '__main__':\n"
        "    made = symnas.program(net)\n"
        "    assert made.space.size == 8\n"
        "    text = made.source({'SIZE': 2, 'i[1].return.k': 4})\n"
        "    assert 'def block' in text and 'unused' not in text and 'import symnas' not in text, text\n"
        "    names = {'__name__': 'x'}\n"
        "    exec(text, names)\n"
        "    assert names['net']() == [6, 8] == made.build({'SIZE': 2, 'i[1].return.k': 4})\n"
    )
    subprocess.run([sys.executable, "-W", "error", str(tmp_path / "script.py")], check=True)


def test_what_a_run_executes_anew_is_not_the_users(project: Any) -> None:
    made = project(*PROJECTS["registry"])
    table = sys.modules["pkg.registry"].TABLE
    before = dict(table)
    made.build({"name": "wide"})
    assert table == before
    made = project(*PROJECTS["dotted"])
    heads = sys.modules["lib.heads"]
    made.build({"WIDTH": 4})
    assert sys.modules["lib.heads"] is heads is sys.modules["lib"].heads
    assert heads.WIDTH == 8
