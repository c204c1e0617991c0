"""A program's text under a decision: choices replaced by what was chosen, all else as its author wrote it.

This is a partial evaluator (Jones, Gomard and Sestoft, "Partial Evaluation and Automatic Program Generation",
1993) over one run, in which the choices are the static input and all else is dynamic. The run tells which
function was entered from where and what was chosen at each place and loop turn (`symnas.export.invocations`);
invocations that were given different things get bodies of their own, which is polyvariant specialisation
(`symnas.export.variants`). The bodies are edits on the source (`symnas.export.writing`), not a printed syntax
tree, so that comments and formatting survive.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING

from symnas._typing import Value
from symnas.errors import ProgramError
from symnas.export.bundle import SourceFiles, bundle, imported_as, without_symnas
from symnas.export.composition import composed, maker_name
from symnas.export.invocations import Invocation
from symnas.export.module_slice import completed, hoisted
from symnas.export.recording import RecordingRun, invocations
from symnas.export.text_edits import Edit, SourceText, free_name
from symnas.export.variants import Body, Bound, ClassBody, Variants, used_by
from symnas.export.visibility import Visibility
from symnas.export.writing import BodyWriter, Names, own_name, parents_of
from symnas.frontend.execution import execute
from symnas.frontend.run import ARGUMENTS
from symnas.frontend.sites import Function
from symnas.frontend.sources import file_of

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.frontend.source_set import SourceFile


def source(program: ProgramView, values: Mapping[str, Value]) -> str:
    """Return standalone text of a program under values, importing nothing of SymNAS.

    A file is kept as it is but for its choices; of a script or notebook, what is needed is kept, and of
    further files what the target's needs.

    Args:
        program: the program.
        values: address -> value, as in a decision's flat form.

    Raises:
        ProgramError: the choices cannot be told apart in one text, or the files do not make one text; the
            message says where.
    """
    made = source_files(program, values)
    if made.why_several:
        raise ProgramError(
            f"{program.name} is no text of one file: {made.why_several}; write its files with "
            "program.export(folder, decision)"
        )
    (text,) = made.files.values()
    return text


def source_files(program: ProgramView, values: Mapping[str, Value]) -> SourceFiles:
    """Return standalone text of a program under values, in one file where that reads well, else in several.

    Args:
        program: the program.
        values: address -> value, as in a decision's flat form.

    Raises:
        ProgramError: the choices cannot be told apart in a text; the message says where.
    """
    source_set = program.internals.source_set
    own = source_set.files[file_of(source_set.target)]
    run = _recorded(program, values)
    texts, shared = specialised(source_set.files.values(), own, run)
    target = program.target
    if "<locals>" in target.__qualname__:
        _refuse_other_files(run, own)
        closure = inspect.getclosurevars(target).nonlocals if isinstance(target, FunctionType) else {}
        text = completed(hoisted(texts[own.file], target.__qualname__), {**vars(own.module), **closure})
        return SourceFiles.of_one(own.module, without_symnas(text), target.__qualname__)
    name = target.__qualname__
    if program.internals.arguments.programs:
        name = maker_name(program.internals, own.parsed.tree)
        texts[own.file] += composed(program.internals, own.module, name, shared.argument_name)
    return bundle(source_set, own, texts, shared.added, name)


def _refuse_other_files(run: RecordingRun, own: SourceFile) -> None:
    for visit in run.trace:
        if visit.site.location.file != own.file:
            raise ProgramError(
                f"what a function made is written out with that function's file alone, and {visit.address!r} "
                f"is chosen in {visit.site.origin}; define the target at the top level of its module"
            )


def _recorded(program: ProgramView, values: Mapping[str, Value]) -> RecordingRun:
    """Run a program for its record alone, on `meta` or, where it needs real values, on the CPU."""
    import torch

    # The run is for its record alone: the user's random numbers stay where they are.
    with torch.random.fork_rng(devices=[]):
        try:
            run = RecordingRun(values)
            execute(program, run, device="meta")
        except Exception:  # whatever it is, the CPU decides whether it is an error
            run = RecordingRun(values)
            execute(program, run)
    return run


def specialised(
    sources: Iterable[SourceFile], own: SourceFile, run: RecordingRun
) -> tuple[dict[str, str], Bodies]:
    """Return the texts that do what a run did, without a choice in them; imports are left as they are.

    Args:
        sources: all files of the program.
        own: the file of the target.
        run: a finished run.

    Returns:
        The text of every file, by its name; and the bodies in them.

    Raises:
        ProgramError: the text cannot tell two uses of a lambda apart.
    """
    files = [own, *(source for source in sources if source is not own)]
    root = invocations(run, own.root, [source.root for source in files[1:]])
    shared = Bodies([source.root for source in files], root, {s.file: s.module.__name__ for s in files})
    texts = {}
    for source in files:
        aliases = imported_as(source.parsed.tree)
        texts[source.file] = _Specialiser(SourceText(source.text), source.root, shared, aliases).text()
    return texts, shared


class Bodies:
    """The bodies that a run needs over all files, and what they are called.

    Args:
        modules: the modules' own bodies, the target's first.
        root: the invocation of the target's module, with everything beneath it.
        homes: the names of modules, by their files.
    """

    def __init__(self, modules: Sequence[Function], root: Invocation, homes: Mapping[str, str]) -> None:
        self.modules = modules
        self.variants = Variants(root, homes)
        self.visibility = Visibility(modules, root, self.variants)
        self.parents = parents_of([module.node for module in modules])
        self.added: dict[str, str] = {}
        """Names of further bodies at the top level of a file -> that file."""
        self.names = self._name()
        self._check_reached()

    def argument_name(self, path: str) -> str | None:
        """Return the name of what made the argument at a path; None where it has no other than its own."""
        for call, by_turns in self.variants.module.calls.items():
            if call.function is ARGUMENTS and call.path == path:
                target = by_turns[()]
                return self.names.of(target.target if isinstance(target, Bound) else target)
        return None

    def _name(self) -> Names:
        """Name every body: the one used first keeps the name, so the root does."""
        nodes = [node for module in self.modules for node in ast.walk(module.node)]
        taken = {n.id for n in nodes if isinstance(n, ast.Name)}
        taken |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        files = {
            node: module.file
            for module in self.modules
            for node in ast.walk(module.node)
            if isinstance(node, ast.ClassDef)
        }
        # Bodies are in the order of their first use (`Variants`), so that text without variants keeps all its
        # names.
        functions: dict[Body, str] = {}
        classes: dict[ClassBody, str] = {}
        names = Names(functions, classes, self.visibility, files)
        for function, bodies in self.variants.functions.items():
            for index, body in enumerate(bodies):
                functions[body] = function.name if index == 0 else free_name(function.name, taken)
                if index and self.visibility.is_global(body):
                    self.added[functions[body]] = function.file
        for definition, texts in self.variants.classes.items():
            for index, text in enumerate(texts):
                classes[text] = definition.name if index == 0 else free_name(definition.name, taken)
                if index and self.visibility.is_global(text):
                    self.added[classes[text]] = files[definition]
        return names

    def _check_reached(self) -> None:
        """Refuse a further body that is only called from a place that the text does not show."""
        run = self.variants.order
        placed = {
            id(inner.instance)
            for invocation in run
            for by_turns in invocation.calls.values()
            for group in by_turns.values()
            for inner in group
        }
        for inner in (inner for invocation in run for inner in invocation.unplaced):
            target = self.variants.target(inner)
            # An object that the text constructs, or calls, has a class text of its own: its methods are the
            # right ones.
            known = inner.instance is not None and id(inner.instance) in placed
            if not known and self.names.of(target) != own_name(target):
                raise ProgramError(
                    f"`{own_name(target)}` is given different choices at different places, and one of them "
                    "(a `map`, a `starmap`, a decorator) calls it where no text can tell them apart; call it "
                    "in a loop or a comprehension instead"
                )
        # Which text keeps the name is known when all are there; so what calls by variables took for granted
        # is looked at again.
        for target in (t for bodies in self.variants.all_bodies() for body in bodies for t in body.aside):
            if self.names.of(target) != own_name(target):
                raise ProgramError(
                    f"`{own_name(target)}` is given different choices at different places, and a variable "
                    "that holds another function, too, calls it; call it by its name"
                )


class _Specialiser:
    """Writes the text of one file.

    Args:
        source: the file's text.
        module: its functions and sites, the module's own body first.
        shared: the bodies of all files.
        aliases: what the file imports: local name -> name where it is defined.
    """

    def __init__(
        self, source: SourceText, module: Function, shared: Bodies, aliases: Mapping[str, str]
    ) -> None:
        self.source = source
        self.module = module
        self.variants = shared.variants
        self.visibility = shared.visibility
        self.parents = shared.parents
        self.names = shared.names
        self.aliases = aliases

    def text(self) -> str:
        """Return the text."""
        body = self.variants.functions.get(self.module) or [Body(self.module)]
        edits = self._scope(self.module, body[0], [])
        return self.source.render((0, len(self.source.text)), edits)

    def _scope(self, function: Function, body: Body, outer: Sequence[Edit]) -> list[Edit]:
        """Return the edits inside a function (or the module), those of the definitions inside it included."""
        # Edits of the function around are handed down: a definition that is written several times is rendered
        # from the original text each time.
        edits = [*outer, *BodyWriter(self.source, body, self.names, self.parents).edits()]
        # A function that made the target before the run was not entered, but what it defined is used.
        whole = function is self.module or not body.members
        used = set(self.variants.order) if whole else set(used_by(body))
        by_class: dict[ast.ClassDef, list[Function]] = {}
        for child in function.children:
            if child.owner is not None and not isinstance(child.node, ast.Lambda):
                by_class.setdefault(child.owner, []).append(child)
            else:
                edits += self._function(child, used, edits)
        # One without methods of its own may be written several times for its bases.
        for definition in self.variants.classes:
            if definition not in by_class and self._around(definition) is function.node:
                by_class[definition] = []
        # Inner classes first, so that the text of an outer one contains them as edited.
        for definition in sorted(by_class, key=lambda d: -d.col_offset):
            edits.append(self._class(definition, by_class[definition], used, edits))
        return edits

    def _around(self, node: ast.AST) -> ast.AST:
        """Return the function, or the module, that a node stands in."""
        while True:
            node = self.parents[id(node)]
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Module)):
                return node

    def _function(self, function: Function, used: set[Invocation], outer: Sequence[Edit]) -> list[Edit]:
        escaped = function in self.visibility.escaped
        known = self.variants.functions.get(function, ())
        bodies = [body for body in known if escaped or used.intersection(body.members)]
        if isinstance(function.node, ast.Lambda):
            if len(bodies) > 1:
                raise ProgramError(
                    f"the lambda in line {function.line} is given different choices by different callers, "
                    "and a lambda's text cannot differ by caller; write it as a function (`def`)"
                )
            return self._scope(function, bodies[0] if bodies else Body(function), [])
        return [self._definition(function, bodies or [Body(function)], self._function_names(bodies), outer)]

    def _function_names(self, bodies: Sequence[Body]) -> list[str | None]:
        return [self.names.functions[body] for body in bodies] or [None]

    def _definition(
        self, function: Function, bodies: Sequence[Body], names: Sequence[str | None], outer: Iterable[Edit]
    ) -> Edit:
        node = function.node
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        span = self.source.span(node)
        outer = list(outer)
        # One text per body, each a copy of the definition under a name of its own.
        texts = []
        for body, name in zip(bodies, names, strict=True):
            edits = self._scope(function, body, outer)
            if name is not None and name != node.name:
                edits.append(self._renamed(node, name))
            texts.append(self.source.render(span, edits))
        return Edit(*span, self._joined(texts, node) + self._attached(node, bodies))

    def _attached(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, bodies: Iterable[Body | ClassBody]
    ) -> str:
        """Write what makes further bodies reachable through the first one."""
        names = [
            self.names.functions[body] if isinstance(body, Body) else self.names.classes[body]
            for body in bodies
            if body in self.visibility.attached
        ]
        indent = self.source.indent(node)
        lines = [f"\n{indent}{node.name}.{name} = {name}" for name in names if name != node.name]
        return "".join(["\n", *lines] if lines else [])

    def _class(
        self,
        definition: ast.ClassDef,
        methods: Sequence[Function],
        used: set[Invocation],
        outer: Sequence[Edit],
    ) -> Edit:
        known = self.variants.classes.get(definition, ())
        escaped = definition in self.visibility.escaped
        texts = [text for text in known if escaped or used.intersection(text.members)]
        texts = texts or [ClassBody(definition)]
        span = self.source.span(definition)
        written = []
        # A further body of a method stands in the same class, under the method's name and a number
        # (`Names.of`).
        for text in texts:
            name = self.names.classes.get(text, definition.name)
            edits = [*outer, *self._renamed_references(definition, text, name)]
            inner: list[Edit] = []
            for function in methods:
                # Of static and class methods every text of the class has all bodies.
                bodies = text.methods.get(function) or list(self.variants.functions.get(function, ()))
                if function.generated:
                    # Its choices stand in the statements of fields.
                    own = (bodies or [Body(function)])[0]
                    inner += BodyWriter(self.source, own, self.names, self.parents).edits()
                    continue
                names = [self._method_name(function, body, n) for n, body in enumerate(bodies)]
                inner.append(self._definition(function, bodies or [Body(function)], names or [None], edits))
            if name != definition.name:
                edits.append(self._renamed(definition, name))
            written.append(self.source.render(span, [*inner, *edits]))
        return Edit(*span, self._joined(written, definition) + self._attached(definition, texts))

    def _method_name(self, function: Function, body: Body, number: int) -> str:
        if body in self.names.functions:
            return self.names.functions[body]
        return function.name if number == 0 else f"{function.name}_{number + 1}"

    def _renamed(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, name: str) -> Edit:
        start = self.source.offset(node.lineno, node.col_offset)
        keyword = "class" if isinstance(node, ast.ClassDef) else "def"
        # The syntax tree does not say where the name stands: it is the first thing behind the keyword.
        at = self.source.text.index(node.name, self.source.text.index(keyword, start) + len(keyword))
        return Edit(at, at + len(node.name), name)

    def _renamed_references(self, definition: ast.ClassDef, text: ClassBody, name: str) -> list[Edit]:
        """Rename the class inside itself, and its bases where it names them."""
        above = {base.definition.name: self.names.classes[base] for base in _ancestors(text)}
        here = {**above, definition.name: name}
        edits = []
        for node in ast.walk(definition):
            if isinstance(node, ast.Name) and self._names_type(node):
                # A base of another file may be imported under another name.
                own = self.aliases.get(node.id)
                old, new = (own, above.get(own)) if own else (node.id, here.get(node.id))
                if new is not None and new != old:
                    edits.append(Edit(*self.source.span(node), new))
            elif isinstance(node, ast.Attribute) and self._is_imported(node.value):
                new = above.get(node.attr, node.attr)
                _, end = self.source.span(node)
                if new != node.attr:
                    edits.append(Edit(end - len(node.attr), end, new))
        return edits

    def _is_imported(self, node: ast.expr) -> bool:
        """Whether an expression names something that is imported, such as a module of a package."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.aliases

    def _names_type(self, node: ast.Name) -> bool:
        """Whether a name stands for the class itself: a base, `super(Name, …)`, `Name.method`."""
        parent = self.parents.get(id(node))
        if isinstance(parent, ast.Call):
            return isinstance(parent.func, ast.Name) and parent.func.id == "super"
        return isinstance(parent, (ast.ClassDef, ast.Attribute))

    def _joined(self, texts: Sequence[str], node: ast.AST) -> str:
        indent = self.source.indent(node)
        gap = "\n\n" if indent else "\n\n\n"
        if getattr(node, "decorator_list", None):
            # A decorator that registers what it decorates by name keeps the last one: the one called by it.
            texts = [*texts[1:], *texts[:1]]
        return f"{gap}{indent}".join(texts)


def _ancestors(text: ClassBody) -> Iterator[ClassBody]:
    for above in text.bases.values():
        yield above
        yield from _ancestors(above)
