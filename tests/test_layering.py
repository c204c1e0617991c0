"""The import rule of the design, read from the folders: packages in layers, imports one way, no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

import symnas
import symnas.algorithms
import symnas.grammar
import symnas.spaces


@dataclass(frozen=True)
class Package:
    """What a package may do: import packages of lower layers, and torch when it is loaded, or not."""

    layer: int
    torch: bool = False


# The modules that lie in `symnas/` itself (errors, types, the version) are below all, the facade above all.
PACKAGES = {
    "tree": Package(1),
    "grammar": Package(1),
    "features": Package(1, torch=True),
    "cost": Package(1, torch=True),
    "contracts": Package(2),
    "frontend": Package(2),
    "interop": Package(2),
    "survey": Package(3),
    "export": Package(3, torch=True),
    "constraints": Package(3),
    "training": Package(3, torch=True),
    "construction": Package(3, torch=True),
    "algorithms": Package(3),
    "supernet": Package(4, torch=True),
    "relaxed": Package(4, torch=True),
    "oneshot": Package(5, torch=True),
    "programs": Package(5),
    "study": Package(6),
    "testing": Package(7),
    "cli": Package(7),
    "spaces": Package(9, torch=True),  # ready-made models import the front door alone, as users do
}
FACADE = 8
MOST_MODULES, MOST_AT_THE_ROOT = 25, 8

HOLD_A_CONTEXT = {"symnas.frontend.run", "symnas.study.trials.trial_context"}
# These run code of others under the global generators that it uses, and put back what was there.
HANDLE_GLOBAL_GENERATORS = {
    "symnas.training.random_state",
    "symnas.survey.randomness",
    "symnas.algorithms.adapters.pyglove.driver",
}
# Adapters import what they adapt when they are used, and are found by name.
MAY_IMPORT = {"optuna": "symnas.algorithms.adapters.optuna.", "pyglove": "symnas.interop.pyglove"}


def folders() -> dict[str, Path]:
    """Return the folder of every root package, wherever it is installed."""
    packages = (symnas, symnas.grammar, symnas.spaces, symnas.algorithms)
    return {package.__name__: Path(package.__path__[0]) for package in packages}


def modules() -> dict[str, ast.Module]:
    """Return the dotted name and the syntax tree of every module of the package."""
    found = {}
    for package, folder in folders().items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            found[name] = ast.parse(file.read_text(), str(file))
    return found


MODULES = modules()
FACADES = {name for name in MODULES if any(other.startswith(f"{name}.") for other in MODULES)}


def layer(name: str) -> int:
    """Return the layer of a module: 0 for those in `symnas/` itself, and the facade's for `symnas`."""
    _, _, rest = name.partition(".")
    package = rest.partition(".")[0]
    return FACADE if not package else PACKAGES[package].layer if package in PACKAGES else 0


def imports(tree: ast.AST, names: Iterable[str] = MODULES, *, loading: bool = False) -> Iterator[str]:
    """Yield the modules that a tree imports, deferred and for types too unless only `loading` counts."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in inner if name in names]
            yield from known if len(known) == len(inner) else [*known, node.module or ""]
        elif loading and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif not (loading and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from imports(node, names, loading=loading)


Graph = Mapping[str, set[str]]


def graph(sources: Mapping[str, ast.Module]) -> Graph:
    """Return which modules each module imports, in whatever way."""
    return {
        name: {found for found in imports(tree, sources) if found in sources and found != name}
        for name, tree in sources.items()
    }


def circles(edges: Graph) -> list[list[str]]:
    """Return the groups of nodes that reach each other (Kosaraju's two passes), each sorted."""
    order: list[str] = []
    seen: set[str] = set()
    for start in edges:
        stack = [(start, iter(sorted(edges[start])))] if start not in seen else []
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            ahead = next((other for other in rest if other not in seen), None)
            if ahead is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(ahead)
                stack.append((ahead, iter(sorted(edges[ahead]))))
    backward: dict[str, set[str]] = {node: set() for node in edges}
    for node, others in edges.items():
        for other in others:
            backward[other].add(node)
    groups, placed = [], set()
    for start in reversed(order):
        group, ahead_of = [], [start]
        while ahead_of:
            node = ahead_of.pop()
            if node not in placed:
                placed.add(node)
                group.append(node)
                ahead_of += sorted(backward[node])
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


def packages(edges: Graph, facades: Iterable[str]) -> Graph:
    """Return which packages each package imports; every folder is one, and facades are left aside."""
    known = set(facades)
    found: dict[str, set[str]] = {}
    for name, others in edges.items():
        mine = name.rpartition(".")[0]
        for other in others if name not in known else ():
            theirs = other if other in known else other.rpartition(".")[0]
            found.setdefault(theirs, set())
            if theirs != mine:
                found.setdefault(mine, set()).add(theirs)
    return found


def upward(name: str, others: Iterable[str]) -> list[str]:
    """Return the imports of a module that its layer forbids."""
    if name == "symnas":
        return []
    package = name.split(".")[1]
    found = []
    for other in others:
        own = other.split(".")[1:2] == [package] and package in PACKAGES
        if not own and layer(other) >= layer(name) and not layer(name) == layer(other) == 0:
            found.append(f"{name} (layer {layer(name)}) imports {other} (layer {layer(other)})")
        if package == "spaces" and not own and other != "symnas":
            found.append(f"{name} imports {other}, and models import the front door alone")
    return found


EDGES = graph(MODULES)


def planted(name: str, text: str) -> Graph:
    """Return which modules each module would import if one of them had another text."""
    return {**EDGES, name: {found for found in imports(ast.parse(text)) if found in MODULES} - {name}}


def test_every_package_has_a_layer() -> None:
    found = {name.split(".")[1] for name in FACADES if name != "symnas"}
    assert found == set(PACKAGES), "every package has one line in PACKAGES, and every line a package"


def test_no_circle_among_modules() -> None:
    assert circles(EDGES) == []


def test_no_circle_among_packages() -> None:
    assert circles(packages(EDGES, FACADES)) == []


def test_imports_run_one_way() -> None:
    assert [found for name in sorted(EDGES) for found in upward(name, sorted(EDGES[name]))] == []


PLANTED = {
    "deferred": "def f():\n    from symnas.tree import space",
    "for types": "if TYPE_CHECKING:\n    from symnas.tree.space import Space",
    "at load": "import symnas.tree.space",
}


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
def test_a_planted_circle_is_seen(text: str) -> None:
    lower = "symnas.tree.point"
    assert lower in EDGES["symnas.tree.space"]
    group = next(group for group in circles(planted(lower, text)) if lower in group)
    assert "symnas.tree.space" in group


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
def test_a_planted_circle_of_packages_is_seen(text: str) -> None:
    lower = "symnas.grammar.mistakes.mistake"
    text = text.replace("symnas.tree", "symnas.grammar").replace("space", "module")
    found = circles(packages(planted(lower, text), FACADES))
    assert any({"symnas.grammar", "symnas.grammar.mistakes"} <= set(group) for group in found)


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
def test_a_planted_upward_import_is_seen(text: str) -> None:
    higher = text.replace("symnas.tree", "symnas.study").replace("space", "driver")
    for name in ("symnas.tree.point", "symnas.errors", "symnas.algorithms.random", "symnas.programs.program"):
        assert upward(name, planted(name, higher)[name])
    beside, model = "symnas.tree.point", "symnas.spaces.darts"
    assert upward(beside, planted(beside, "from symnas.grammar import module")[beside])
    assert upward(model, planted(model, "from symnas.tree.space import Space")[model])


def test_no_folder_holds_too_many_modules() -> None:
    counts = {
        f"{package}.{folder.relative_to(root)}": len(list(folder.glob("*.py")))
        for package, root in folders().items()
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir()))
    }
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}
    root = [file for file in folders()["symnas"].iterdir() if file.is_file()]
    assert len(root) <= MOST_AT_THE_ROOT


@pytest.mark.parametrize("name", sorted(FACADES))
def test_a_facade_says_what_it_is_and_imports_nothing_eagerly(name: str) -> None:
    assert ast.get_docstring(MODULES[name])
    assert set(imports(MODULES[name], loading=True)) <= {
        *("__future__", "typing", "sys", "types", "importlib"),
        *("symnas._lazy", "symnas._moved", "symnas._version"),
    }


@pytest.mark.parametrize("name", sorted(FACADES))
def test_every_public_name_resolves(name: str) -> None:
    facade = import_module(name)
    public = getattr(facade, "__all__", [])
    assert len(public) == len(set(public))
    assert set(public) <= set(dir(facade))
    for each in public:
        assert getattr(facade, each) is not None
    # Importing a module sets it as an attribute of its package, in place of a public thing of the same name.
    own = {each for each in public if f"{name}.{each}" in MODULES and f"{name}.{each}" not in FACADES}
    assert own <= ({"errors"} if name == "symnas" else set())
    typed = {
        alias.name
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }
    assert set(public) <= typed, "type checkers see what the facade imports for them"


def heavy(name: str, tree: ast.Module) -> list[str]:
    """Return what a module imports when it is loaded though its package may not."""
    roots = {imported.split(".")[0] for imported in imports(tree, loading=True)}
    package = [*name.split("."), ""][1]
    never = {"sklearn", "onnx", "matplotlib", "pandas", "gpytorch", "botorch"}
    if package not in PACKAGES or not PACKAGES[package].torch:
        never.add("torch")
    for root, home in MAY_IMPORT.items():
        if not name.startswith((home, f"symnas.algorithms.adapters.{root}")):
            never.add(root)
    return sorted(roots & never)


def test_only_packages_that_must_know_torch_import_it() -> None:
    assert {name: found for name, tree in MODULES.items() if (found := heavy(name, tree))} == {}


def test_a_heavy_import_is_seen() -> None:
    torch, optuna = ast.parse("import torch.nn"), ast.parse("def f(): pass\nfrom optuna import samplers")
    assert heavy("symnas.tree.point", torch) == heavy("symnas.errors", torch) == ["torch"]
    assert heavy("symnas.supernet.supernet", torch) == []
    assert heavy("symnas.study.search", optuna) == ["optuna"]
    assert heavy("symnas.algorithms.adapters.optuna.space", optuna) == []


def mutable_state(tree: ast.Module) -> list[str]:
    """Return the module-level names that are mutable by their looks, and every use of `global`."""
    found = [f"global {', '.join(node.names)}" for node in ast.walk(tree) if isinstance(node, ast.Global)]
    constants = set()
    for node in tree.body:
        value = getattr(node, "value", None)
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AnnAssign) or value is None:
            continue
        holder = isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
        called = isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in {
            "dict", "list", "set", "defaultdict", "OrderedDict", "Counter", "deque", "WeakKeyDictionary",
            "WeakValueDictionary", "default_rng", "Random", "ContextVar", "local",
        }  # fmt: skip
        for target in targets:
            if isinstance(target, ast.Name) and target.id != "__all__" and (holder or called):
                constants.add(target.id)
                if called or target.id.strip("_").lower() == target.id.strip("_"):
                    found.append(target.id)
    return found + changed_constants(tree, constants)


def changed_constants(tree: ast.Module, constants: set[str]) -> list[str]:
    """Return the constants that some function of the module changes in place."""
    changers = {"append", "extend", "insert", "update", "setdefault", "pop", "add", "remove", "clear"}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            holder = node.value
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in changers
        ):
            holder = node.func.value
        else:
            continue
        if isinstance(holder, ast.Name) and holder.id in constants:
            found.append(holder.id)
    return found


def test_no_module_level_mutable_state() -> None:
    states = {name: mutable_state(tree) for name, tree in MODULES.items()}
    for name in HOLD_A_CONTEXT:
        tree = MODULES[name]
        states[name] = [x for x in states[name] if "ContextVar" not in ast.unparse(assigned(tree, x))]
    assert {name: state for name, state in states.items() if state} == {}


def assigned(tree: ast.Module, name: str) -> ast.expr:
    """Return what a module-level name is assigned."""
    for node in tree.body:
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and name in ast.unparse(node).split("=")[0]
            and node.value
        ):
            return node.value
    return ast.Constant(None)


@pytest.mark.parametrize(
    "text",
    [
        "cache = {}",
        "CACHE: dict = dict()",
        "rng = np.random.default_rng()",
        "TABLE = {}\ndef f():\n    TABLE[1] = 2",
        "def f():\n    global x\n    x = 1",
    ],
)
def test_the_state_rule_sees_state(text: str) -> None:
    assert mutable_state(ast.parse(text))


def global_generators(tree: ast.Module) -> list[str]:
    """Return the calls of a module that draw from generators which everybody shares."""
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        each
        for each in called
        if (
            each.startswith(("np.random.", "numpy.random."))
            and each.rpartition(".")[2][0].islower()  # those with a capital make a generator of their own
            and not each.endswith("default_rng")
        )
        or (each.startswith("random.") and each != "random.Random")
    ]


def test_no_global_random_generator() -> None:
    found = {name: global_generators(tree) for name, tree in MODULES.items()}
    assert {name for name, calls in found.items() if calls} <= HANDLE_GLOBAL_GENERATORS
    assert global_generators(ast.parse("np.random.rand(3); random.random()")) == [
        "np.random.rand",
        "random.random",
    ]
    assert global_generators(ast.parse("np.random.default_rng(1); random.Random(1)")) == []


def fresh(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'sqlalchemy', 'lark', 'pyglove', 'rich', 'click'}"
    assert fresh(f"import sys, symnas; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_the_way_to_a_search_loads_no_algorithm_and_reads_no_annotation() -> None:
    loaded = fresh("import sys, symnas; symnas.search; print(*sys.modules)").split()
    ours = {name.split(".")[1] for name in loaded if name.startswith("symnas.")}
    assert "study" in ours
    assert not ours & {"algorithms", "programs", "survey", "supernet", "oneshot", "relaxed", "training"}
    assert not {"torch", "sqlalchemy", "lark", "pyglove", "rich", "click"} & set(loaded)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'symnas' has no attribute 'serch'"):
        symnas.serch  # noqa: B018


def test_the_page_on_the_house_is_what_the_packages_say() -> None:
    script = Path(__file__).resolve().parent.parent / ".ci" / "house"
    if not script.exists():
        pytest.skip("the script is not part of an installation")
    loader = SourceFileLoader("house", str(script))
    house = module_from_spec(spec_from_loader("house", loader))
    loader.exec_module(house)
    page = house.PAGE.read_text(encoding="utf-8")
    assert house.written(page) == page, "run .ci/house"
    assert house.picture() == house.PICTURE.read_text(encoding="utf-8"), "run .ci/house"
