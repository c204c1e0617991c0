"""The import rule of the design, read from the source: lower layers never import higher ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import symnas
import symnas.algorithms
import symnas.grammar
import symnas.spaces

LAYERS = ["errors", "tree", "grammar", "program", "compile", "estimators", "search", "cli"]
HOMES = {
    "errors": "errors",
    "tree": """activity algorithm batch chain compatibility counting covering decision
        drawing editing encoding enumeration fidelity layout mutation neighbours nodes outcome outline
        pareto patterns point pyglove_bridge
        random_spaces ranges relaxation relaxed_algorithm render sampling serial space statistics
        statistics_view subsets uniform""",
    "grammar": "",
    "program": """addressing assembly builder callees choices compiled coverage exploration instrument
        likeness operations program protocols reach recall references runtime sites source_files survey
        survey_runner swapping tracking tracking_*""",
    "compile": """all_evaluated axes births calibration clauses contractions dispatch feature_rules features
        flops generated graph kernels layouts partial_channels parts profile recording relaxed
        relaxed_check relaxed_costs relaxed_depth relaxed_folding relaxed_forward relaxed_mixing
        relaxed_points relaxed_sizes relaxed_sizes_found relaxed_step requirements residual
        shared_tensors slice_optimizer slices slicing splicing superposed supernet
        supernet_state switching trace variants visibility writing""",
    "estimators": """batches bilevel blame content held_out isolation perturbation relaxed_epochs
        relaxed_training shared_checks shared_policies shared_recipes shared_run shared_schedules
        shared_weights task training""",
    "search": """carry checkpoints crew driver evaluation fingerprint fitting identity interrupts
        ledger objectives owners pool progress pruners rank_correlation relaxed_search replay
        search session study_statistics sql_store store store_errors study transfer trial
        trial_context weights worker""",
    "cli": "cli cli_*",
}
FACADES = {"testing"}
HOLD_A_CONTEXT = {"symnas.runtime", "symnas.trial_context"}
# These run code of others under the global generators that it uses, and put back what was there.
HANDLE_GLOBAL_GENERATORS = {"symnas.isolation", "symnas.survey_runner", "symnas.algorithms.pyglove_driver"}
MAY_IMPORT_TORCH = {
    *("batches", "bilevel", "births", "blame", "calibration", "contractions", "feature_rules"),
    *("features", "flops", "graph", "held_out", "isolation", "kernels", "partial_channels"),
    *("parts", "perturbation", "profile"),
    *("relaxed", "relaxed_check", "relaxed_costs", "relaxed_depth", "relaxed_folding"),
    *("relaxed_forward", "relaxed_mixing"),
    *("relaxed_points", "relaxed_sizes", "relaxed_sizes_found", "relaxed_step"),
    *("relaxed_training", "shared_checks", "shared_recipes", "shared_run"),
    *("shared_tensors", "slice_optimizer", "slices", "supernet", "supernet_state"),
    *("superposed", "switching", "task", "training"),
}  # fmt: skip


def folders() -> dict[str, Path]:
    """Return the folder of every package, wherever it is installed."""
    packages = (symnas, symnas.grammar, symnas.spaces, symnas.algorithms)
    return {package.__name__: Path(package.__path__[0]) for package in packages}


def modules() -> dict[str, ast.Module]:
    """Return the dotted name and the syntax tree of every module of the package."""
    found = {}
    for package, folder in folders().items():
        for file in sorted(folder.glob("*.py")):
            name = package if file.stem == "__init__" else f"{package}.{file.stem}"
            found[name] = ast.parse(file.read_text(), str(file))
    return found


MODULES = modules()


def layer(name: str) -> str | None:
    """Return the layer of a module, or None for a facade, which re-exports lazily."""
    package, _, stem = name.rpartition(".")
    if name.startswith("symnas.grammar"):
        return "grammar"
    if name.startswith("symnas.algorithms") or name.startswith("symnas.spaces"):
        return name.split(".")[1]
    if package != "symnas" or stem in FACADES:
        return None
    homes = [layer for layer, patterns in HOMES.items() if fits(stem, patterns)]
    return homes[0] if homes else "unknown"


def fits(stem: str, patterns: str) -> bool:
    """Tell whether a module's own name is among some patterns."""
    return any(fnmatchcase(stem, pattern) for pattern in patterns.split())


def typing_only(node: ast.stmt) -> bool:
    """Tell whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST, deferred: bool = False) -> Iterator[str]:
    """Yield the modules that a tree imports when it is loaded, and inside functions too if `deferred`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in inner if name in MODULES]
            yield from known or [node.module or ""]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not deferred:
            continue
        elif not (isinstance(node, ast.stmt) and typing_only(node)):
            yield from imports(node, deferred)


def violations(name: str, tree: ast.Module) -> list[str]:
    """Return the imports of a module that its layer forbids."""
    mine = layer(name)
    if mine is None:
        return []
    found = []
    for other in imports(tree, deferred=mine == "algorithms"):
        theirs = layer(other) if other.startswith("symnas") else None
        if theirs is None:
            continue
        if mine == "algorithms":
            allowed = theirs in {"errors", "tree", "algorithms"}
        elif mine == "spaces":
            allowed = False
        else:
            allowed = theirs in LAYERS[: LAYERS.index(mine) + 1]
            allowed |= theirs == "algorithms" and mine in {"search", "cli"}
        if not allowed:
            found.append(f"{name} ({mine}) imports {other} ({theirs})")
    return found


def test_every_module_has_a_layer() -> None:
    unknown = [name for name in MODULES if layer(name) == "unknown"]
    assert not unknown, f"say in HOMES which layer these belong to: {unknown}"
    stems = {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == "symnas"}
    patterns = [pattern for patterns in HOMES.values() for pattern in patterns.split()]
    gone = [pattern for pattern in patterns if not any(fits(stem, pattern) for stem in stems)]
    assert not gone, f"HOMES names modules that do not exist: {gone}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_one_way(name: str) -> None:
    assert violations(name, MODULES[name]) == []


def test_the_rule_sees_a_violation() -> None:
    planted = ast.parse("if True:\n    from symnas.grammar import annotation")
    assert violations("symnas.outcome", planted)
    deferred = ast.parse("def f():\n    import symnas.grammar")
    assert not violations("symnas.outcome", deferred)
    assert violations("symnas.algorithms.random", deferred)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_modules_that_must_know_torch_import_it(name: str) -> None:
    roots = {imported.split(".")[0] for imported in imports(MODULES[name])}
    stem = name.rpartition(".")[2]
    assert "torch" not in roots or stem in MAY_IMPORT_TORCH or name.startswith("symnas.spaces")
    assert not roots & {"sklearn", "onnx", "matplotlib", "pandas"}
    # Adapters are found by name, and import what they adapt when they are used.
    assert "optuna" not in roots or stem in {"optuna_driver", "optuna_space", "optuna_storage"}
    assert "pyglove" not in roots or stem in {"pyglove_bridge", "pyglove_driver"}


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


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_level_mutable_state(name: str) -> None:
    state = mutable_state(MODULES[name])
    if name in HOLD_A_CONTEXT:
        state = [found for found in state if "ContextVar" not in ast.unparse(assigned(MODULES[name], found))]
    assert state == []


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


@pytest.mark.parametrize("name", sorted({*MODULES} - HANDLE_GLOBAL_GENERATORS))
def test_no_global_random_generator(name: str) -> None:
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            legacy = (
                called.startswith(("np.random.", "numpy.random.")) and called.rpartition(".")[2][0].islower()
            )
            assert not legacy or called.endswith("default_rng"), called
            assert not called.startswith("random.") or called == "random.Random", called


def fresh(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'sqlalchemy', 'lark', 'pyglove', 'rich', 'click'}"
    assert fresh(f"import sys, symnas; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_importing_the_package_is_quick() -> None:
    timed = "import time; t = time.perf_counter(); import symnas; print(time.perf_counter() - t)"
    assert min(float(fresh(timed)) for _ in range(3)) < 0.3


def test_every_public_name_resolves() -> None:
    assert symnas.__all__ == sorted(symnas.__all__)
    for name in symnas.__all__:
        assert getattr(symnas, name) is not None
    assert set(symnas.__all__) <= set(dir(symnas))


@pytest.mark.parametrize("name", ["program", "search"])
def test_a_function_named_like_its_module_stays_the_function(name: str) -> None:
    code = f"import symnas.{name}, symnas.cli, symnas; print(callable(symnas.{name}), symnas.{name}.__name__)"
    assert fresh(code) == f"True {name}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'symnas' has no attribute 'serch'"):
        symnas.serch  # noqa: B018
