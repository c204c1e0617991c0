"""Published models with annotations, as specifications: where comments go in files that packages install.

Nothing of a package is kept here. `Model.write` copies the files that are annotated out of the installed
package, puts the comments in where the syntax tree has what they describe, and makes imports of all other
modules absolute, as somebody does who takes a published model into a project of their own.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_HEAD = re.compile(r"from\s+\.*\s*[\w.]*\s+import")


@dataclass(frozen=True)
class At:
    """One comment and where it stands.

    Args:
        scope: qualified name of the function or class, empty for the module itself; `file.py:` may stand
            before it.
        what: what the comment stands at: `name =` (an assignment), `name` (a parameter), `f(` (a call),
            `f(name=` (an argument of a call), `return`, `for name`, `if`; the second of several is `what #2`.
        comment: what follows `# search:`.
    """

    scope: str
    what: str
    comment: str


@dataclass(frozen=True)
class Model:
    """A published model: where it is, how it is called, what is searched in it.

    Args:
        name: what it is called here.
        kind: of network, for the table.
        package: the distribution, as PyPI calls it.
        files: of the distribution, those that are annotated, by their paths in `site-packages`; the first has
            the target.
        target: the class or function in the first file.
        inputs: example inputs of a model.
        comments: what is searched.
        arguments: keyword arguments of the target.
        usage: text that is put at the end of the first file, as a user would write it: a function that calls
            the model with values that have no default.
        prepare: makes arguments that are no plain values (a configuration), from the first file's module.
    """

    name: str
    kind: str
    package: str
    files: tuple[str, ...]
    target: str
    inputs: Callable[[], Any]
    comments: Sequence[At]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    usage: str = ""
    prepare: Callable[[Any], Mapping[str, Any]] | None = None

    @property
    def version(self) -> str:
        """The version that is installed."""
        return importlib.metadata.version(self.package)

    def write(self, folder: Path, *, comments: bool = True) -> list[Path]:
        """Copy the files to a folder and return their paths, with the comments or without."""
        folder.mkdir(parents=True)
        if len(self.files) > 1:
            (folder / "__init__.py").write_text("")
        texts = {file: _installed(file).read_text(encoding="utf-8") for file in self.files}
        if self.usage:
            texts[self.files[0]] += "\n\n" + textwrap.dedent(self.usage).strip() + "\n"
        if comments:
            texts = _commented(texts, self.comments)
        paths = []
        for file, text in texts.items():
            paths.append(folder / f"{_stem(file)}.py")
            paths[-1].write_text(_imports_made_absolute(text, file, self.files), encoding="utf-8")
        return paths


def _installed(file: str) -> Path:
    """Return where a file of an installed package is; the package is not imported."""
    package, _, rest = file.partition("/")
    found = importlib.util.find_spec(package.removesuffix(".py"))
    if found is None or found.origin is None:
        raise FileNotFoundError(f"{package} is not installed: make test-published installs it")
    origin = Path(found.origin)
    return origin.parent / rest if rest else origin


# ------------------------------------------------------------------- comments


def _commented(texts: Mapping[str, str], comments: Sequence[At]) -> dict[str, str]:
    lines = {file: text.split("\n") for file, text in texts.items()}
    trees = {file: ast.parse(text) for file, text in texts.items()}
    behind: dict[tuple[str, int], str] = {}
    above: dict[tuple[str, int], list[str]] = {}
    for at in comments:
        file, line, statement = _place(at, trees)
        text = f"# search: {at.comment}"
        if (file, line) not in behind and not lines[file][line - 1].rstrip().endswith("\\"):
            behind[file, line] = text
        else:
            above.setdefault((file, statement), []).append(text)
    for (file, line), text in behind.items():
        lines[file][line - 1] += f"  {text}"
    for (file, line), several in sorted(above.items(), reverse=True):
        own = lines[file][line - 1]
        indent = own[: len(own) - len(own.lstrip())]
        lines[file][line - 1 : line - 1] = [indent + text for text in several]
    return {file: "\n".join(each) for file, each in lines.items()}


def _place(at: At, trees: Mapping[str, ast.Module]) -> tuple[str, int, int]:
    """Return the file, the line that a comment goes behind, and the line that its statement begins at."""
    named, _, scope = at.scope.rpartition(":")
    what, _, number = at.what.partition(" #")
    scopes = [
        (file, found)
        for file, tree in trees.items()
        if not named or Path(file).name == named
        for qualname, found in _definitions(tree)
        if qualname == scope
    ]
    if len(scopes) != 1:
        raise LookupError(f"{at.scope!r} is found {len(scopes)} times, expected once")
    file, definition = scopes[0]
    found = list(_matches(definition, what))
    if not number and len(found) != 1:
        raise LookupError(
            f"{what!r} stands {len(found)} times in {at.scope!r}, expected once: write {what!r} #1"
        )
    try:
        line, statement = found[int(number or 1) - 1]
    except IndexError:
        raise LookupError(f"{what!r} stands {len(found)} times in {at.scope!r}, not {number}") from None
    return file, line, statement


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.Module | Definition]]:
    yield "", tree
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        prefix, node = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                yield prefix + child.name, child
                pending.append((f"{prefix}{child.name}.", child))
            else:
                pending.append((prefix, child))


def _matches(definition: ast.Module | Definition, what: str) -> Iterator[tuple[int, int]]:
    """Yield the line of everything that may be meant, and where its statement begins, in order."""
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = definition.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.arg == what:
                yield argument.end_lineno or 0, definition.lineno
    found = [
        (line, statement.lineno)
        for statement in _statements(definition.body)
        for line in _lines(statement, what)
    ]
    yield from sorted(found)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, Definition):
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _lines(statement: ast.stmt, what: str) -> Iterator[int]:
    end = statement.end_lineno or 0
    if isinstance(statement, ast.For) and what == f"for {ast.unparse(statement.target)}":
        yield statement.iter.end_lineno or 0
    elif isinstance(statement, ast.If) and what == "if":
        yield statement.test.end_lineno or 0
    elif isinstance(statement, ast.Return) and what == "return":
        yield end
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if what in {f"{ast.unparse(target)} =" for target in targets}:
            yield end
    if "(" in what:
        yield from _called(statement, what)


def _called(statement: ast.stmt, what: str) -> Iterator[int]:
    function, _, keyword = what.partition("(")
    own = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]
    for node in (node for child in own for node in ast.walk(child)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            if not keyword:
                yield node.end_lineno or 0
            for argument in node.keywords:
                if f"{argument.arg}=" == keyword:
                    yield argument.value.end_lineno or 0


# -------------------------------------------------------------------- imports


def _imports_made_absolute(text: str, file: str, copied: Sequence[str]) -> str:
    """Import copied files from beside each other, and every other module of the package from where it is."""
    names = {_module(each): _stem(each) for each in copied if each != file}
    package = _module(file).split(".")
    if not file.endswith("__init__.py"):
        package = package[:-1]
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom):
            continue
        up = package[: len(package) - node.level + 1] if node.level else []
        absolute = ".".join([*up, *([node.module] if node.module else [])])
        new = f".{names[absolute]}" if absolute in names else absolute
        if node.level or absolute in names:
            line = lines[node.lineno - 1]
            head, rest = line[: node.col_offset], line[node.col_offset :]
            lines[node.lineno - 1] = head + _HEAD.sub(f"from {new} import", rest, count=1)
    return "\n".join(lines)


def _stem(file: str) -> str:
    """Return what a copy is called: as its file, but not as the package, which it would hide."""
    own = Path(file).stem
    return f"{own}_copy" if own == file.partition("/")[0].removesuffix(".py") else own


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
