"""Runs a program under values: instruments, calls the target, calls the model, and puts everything back.

To read in this order: `execute` (the whole of it), `constructed` (all but the model's call), `running` (the
exchange of code), `fresh_targets` (where class bodies hold choices), `call_model` (where `forward` does),
`explained` (what is said when the user's code raises).
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from symnas._typing import Value
from symnas.errors import BuildError, ProgramError, SymnasError
from symnas.frontend.arguments import parts
from symnas.frontend.code_swapping import swapped
from symnas.frontend.instrumentation import FRAME
from symnas.frontend.record_classes import keep
from symnas.frontend.run import RUN, Run, Visit
from symnas.frontend.source_set import SourceFile, SourceSet, Transform
from symnas.frontend.sources import first_on_path, root_of, unwrap
from symnas.frontend.uninitialised import on_meta

if TYPE_CHECKING:
    from symnas.frontend.protocols import Internals, ProgramView

_KEPT = ("__file__", "__package__", "__spec__", "__loader__", "__path__")


def execute(
    program: ProgramView, run: Run, *, transform: Transform | None = None, device: str | None = None
) -> Any:
    """Run a program under a run, the model's call on the example inputs included where choices need it.

    Args:
        program: what to run.
        run: holds the values, and afterwards the trace.
        transform: a second pass over the instrumented trees.
        device: where tensors are made (`meta` computes nothing); None for wherever the code makes them.

    Returns:
        What the target returned.
    """
    source_set = program.internals.source_set
    with running(source_set, run, transform), placed(device):
        result = call_target(program.internals, source_set, transform)
        if program.inputs is not None and is_module(result):
            call_model(program, run, result, device)
    return result


def constructed(
    program: ProgramView, run: Run, *, everywhere: bool = False, device: str | None = None
) -> Any:
    """Call a program's target under a run, and return what it made; the model itself is not called.

    Args:
        program: whose target.
        run: holds the values.
        everywhere: whether calls that reach no point report to the run, too.
        device: where tensors are made (`meta` computes nothing); None for wherever the code makes them.

    Raises:
        BuildError: the user's code raised.
        ProgramError: it recursed without end.
    """
    source_set = program.internals.whole_source_set if everywhere else program.internals.source_set
    with explained(program, run.values), running(source_set, run), placed(device):
        return call_target(program.internals, source_set)


def call_target(internals: Internals, source_set: SourceSet, transform: Transform | None = None) -> Any:
    """Call the target under the current run; its classes are defined anew where they hold choices."""
    found = fresh_targets(source_set, transform) if source_set.early is None else _as_it_is

    def make(inner: Internals, path: str) -> Any:
        with within(path, inner.target):
            return call(inner, path)

    def call(inner: Internals, path: str) -> Any:
        args, kwargs = given(inner, source_set, make, path)
        return found(inner.target)(*args, **kwargs)

    if not source_set.early:
        return call(internals, "")
    with source_set.early_values(transform) as values:
        result = call(internals, "")
    keep(result, values)
    return result


def given(
    internals: Internals, source_set: SourceSet, make: Callable[[Internals, str], Any], around: str = ""
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments for one call of the target, and tell the current run what they hold.

    Args:
        internals: of the program whose target is called.
        source_set: the code that the run covers.
        make: makes the child of a program among them, under the path of the argument.
        around: the path of the argument that the call makes, empty for the program itself.
    """
    arguments = internals.arguments
    args, kwargs = arguments.fresh()
    run = RUN.get()
    begin = f"{around}." if around else ""
    if run is not None and arguments.copied:
        for name, value in arguments.named(args, kwargs).items():
            # A place of construction may have the name, too: `self.body = nn.Sequential(body, …)`.
            spelled = f"({name})" if not around and name in source_set.stored_names else name
            for path, part in parts(value, f"{begin}{spelled}"):
                run.given(path, part)
    for key, inner in arguments.programs.items():
        made = make(inner.internals, f"{begin}{arguments.name(key)}")
        if isinstance(key, int):
            args = (*args[:key], made, *args[key + 1 :])
        else:
            kwargs = {**kwargs, key: made}
    return args, kwargs


def within(path: str, target: Any) -> contextlib.AbstractContextManager[None]:
    """Let the points of what is called next begin with the path of an argument."""
    run = RUN.get()
    return contextlib.nullcontext() if run is None else run.within(path, target)


def _as_it_is(target: Any) -> Any:
    return target


@contextlib.contextmanager
def running(source_set: SourceSet, run: Run, transform: Transform | None = None) -> Iterator[None]:
    """Instrument the covered functions and make `run` the current one, for the length of a `with`."""
    swaps = source_set.swaps(transform)
    root = root_of(source_set.modules[0])
    # A function may import a neighbour of its file that nothing has imported yet.
    with swapped(swaps), first_on_path(root) if root else contextlib.nullcontext():
        token = RUN.set(run)
        _forget(source_set)
        try:
            yield
        finally:
            RUN.reset(token)
            _forget(source_set)
            # Functions that the run defined may be called after it, and by code that knows nothing of runs.
            for function, record in run.made:
                plain = source_set.plain_code(record)
                if plain is not None and plain.co_freevars == function.__code__.co_freevars:
                    function.__code__ = plain
            run.made.clear()
            run.ending.close()


def _forget(source_set: SourceSet) -> None:
    """Empty the memories of functions that make choices: each run calls them anew."""
    for cache in source_set.caches:
        cache.cache_clear()


def fresh_targets(source_set: SourceSet, transform: Transform | None = None) -> Callable[[Any], Any]:
    """Execute the target's module anew, instrumented, and return what finds a target in it.

    Choices in class bodies and module statements are made when those are executed, so a run executes them
    itself, and what imports them; the user's own modules are not touched. Until the run ends, imports find
    the modules of the run.

    Raises:
        ProgramError: the target was made inside a function.
    """
    target = source_set.target
    if "<locals>" in target.__qualname__:
        site = source_set.definitions[0]
        raise ProgramError(
            f"{site.location}\na class body or module that holds a choice is executed for every build, and "
            f"{target.__qualname__!r} was made inside a function; define it at the top level of a module"
        )
    run = RUN.get()
    assert run is not None
    modules = StandIns(source_set, transform)
    run.ending.enter_context(modules.found_by_imports())
    first = modules.target_module()

    def find(wanted: Any) -> Any:
        plain = unwrap(wanted)
        module = first if plain is target else modules.made.get(plain.__module__)
        if module is None:
            return wanted
        found: Any = module
        for part in plain.__qualname__.split("."):
            found = getattr(found, part)
        return found

    return find


class StandIns(MetaPathFinder, Loader):
    """Modules that a run executes itself, in the place of the user's, while the run lasts.

    What a module or a class body chooses is chosen when it is executed, once per run. Such modules, and what
    imports them, are taken out of `sys.modules`; the first import of each executes its instrumented text in a
    module of the same name. So they are executed in the order, and in the circles, in which imports do it.

    Args:
        source_set: the code of the program.
        transform: a second pass over its instrumented trees.
    """

    def __init__(self, source_set: SourceSet, transform: Transform | None) -> None:
        self.source_set = source_set
        self.transform = transform
        self.sources = source_set.executed_anew
        self.originals = {name: sources[0].module for name, sources in self.sources.items()}
        self.made: dict[str, ModuleType] = {}

    def target_module(self) -> ModuleType:
        """Execute the target's module, and all others that nothing has imported by then, and return it."""
        found = self.module(self.source_set.modules[0].__name__)
        self.made = {name: self.module(name) for name in self.sources}
        self.source_set.fill_in(self.made, self.transform)
        return found

    def module(self, name: str) -> ModuleType:
        """Return the run's module of a name."""
        parent, _, last = name.rpartition(".")
        if parent in self.sources:
            importlib.import_module(parent)
        if name not in sys.modules:
            # Not by an import: the name of a script, or of what was loaded from its file, leads nowhere.
            made = sys.modules[name] = self.create_module(ModuleSpec(name, self))
            self.exec_module(made)
            if parent in sys.modules:
                setattr(sys.modules[parent], last, made)
        return sys.modules[name]

    @contextlib.contextmanager
    def found_by_imports(self) -> Iterator[None]:
        """Let imports find the modules of the run, and afterwards the user's again."""
        before = {name: sys.modules.pop(name, None) for name in self.sources}
        # A package has its modules as attributes, and keeps the user's where it is not executed anew itself.
        held = []
        for name in self.sources:
            parent, _, last = name.rpartition(".")
            package = sys.modules.get(parent)
            if package is not None:
                held.append((package, last, vars(package).pop(last, self)))
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            for name, module in before.items():
                sys.modules.pop(name, None)
                if module is not None:
                    sys.modules[name] = module
            for package, last, value in held:
                if value is not self:
                    setattr(package, last, value)
                else:
                    vars(package).pop(last, None)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return how one of these modules is made; None for others."""
        if fullname not in self.sources:
            return None
        return ModuleSpec(fullname, self, is_package=hasattr(self.originals[fullname], "__path__"))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return an empty module; one that a notebook's cells define has all that is defined in it."""
        original = self.originals[spec.name]
        own = _is_file(original, self.sources[spec.name][0])
        made = ModuleType(spec.name)
        below = f"{spec.name}."
        for name, value in vars(original).items():
            # Modules below a package are its attributes, whether or not it imports them itself.
            inner = isinstance(value, ModuleType) and value.__name__ == below + name
            if (inner and value.__name__ not in self.sources) or not own or name in _KEPT:
                vars(made)[name] = value
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Execute the instrumented text."""
        original = self.originals[module.__name__]
        # Imports have put a description of their own in the place of the original's.
        vars(module).update({name: vars(original)[name] for name in _KEPT if name in vars(original)})
        for source in self.sources[module.__name__]:
            whole = _is_file(original, source)
            code = source.code(self.source_set.references, self.transform, whole=whole)
            exec(code, vars(module))


def _is_file(module: ModuleType, source: SourceFile) -> bool:
    """Whether all of a source is executed; cells and scripts may hold the search that this is part of."""
    return getattr(module, "__file__", None) == source.file and module.__name__ != "__main__"


def call_model(program: ProgramView, run: Run, model: Any, device: str | None = None) -> None:
    """Call a built model on the program's example inputs, its modules known to the run by their paths."""
    import torch

    # `named_modules` gives a module that is held twice its first path, so it has one set of points.
    run.paths = {id(module): bracketed(path) for path, module in model.named_modules()}
    run.forward, run.position = True, None
    args, kwargs = program.internals.example(device)
    with torch.no_grad():
        try:
            model(*args, **kwargs)
        except SymnasError:
            raise
        except Exception as error:
            if not model.training:
                raise
            # Batch statistics of a single example do not exist; what a model does in evaluation still tells
            # its points.
            model.eval()
            try:
                model(*args, **kwargs)
            except SymnasError:
                raise
            except Exception:
                raise error from None
            finally:
                model.train()


def bracketed(path: str) -> str:
    """Spell a module path as addresses do: `layers.2.conv` is `layers[2].conv`."""
    spelled = ""
    for part in path.split(".") if path else []:
        spelled += f"[{part}]" if part.isdigit() else (f".{part}" if spelled else part)
    return spelled


@contextlib.contextmanager
def explained(
    program: ProgramView, values: Mapping[str, Value], doing: str = "", when: Callable[[], str] | None = None
) -> Iterator[None]:
    """Turn what the user's code raises into an error that says where and under what.

    Args:
        program: whose code it is.
        values: what was chosen.
        doing: what fails if it raises; building the program for an empty text.
        when: says under which circumstances, where more is known than which candidate is being evaluated.
    """
    try:
        yield
    except SymnasError:
        raise
    except RecursionError as error:
        raise ProgramError(
            f"{_deepest(program, error)}: a recursion that depends on choices must end; it did not "
            f"under {_few(values)}"
        ) from _cleaned(error)
    except Exception as error:
        where, visit = _place(program, error)
        what = f"{doing or f'building {program.name}'} failed at {where}"
        if when is not None:
            what += f" {when()}"
        elif visit is not None:
            what += f" while {visit.address!r} was {chosen_text(visit)}"
        raise BuildError(f"{what}: {type(error).__name__}: {error}\ndecision: {_few(values)}") from _cleaned(
            error
        )


def needs_source(source_set: SourceSet) -> bool:
    """Whether a choice is made where the class itself, or what runs after the build, must differ."""
    if source_set.by_source is None:
        source_set.by_source = source_set.early is None or bool(source_set.when_called)
    return source_set.by_source


def is_module(value: object) -> bool:
    """Whether a value is a PyTorch module; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def placed(device: str | None) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which tensors are made on a device; None for wherever the code makes them."""
    if device is None:
        return contextlib.nullcontext()
    if device == "meta":
        return on_meta()
    import torch

    return torch.device(device)


def is_tensor(value: object) -> bool:
    """Whether a value is a PyTorch tensor; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def moved(value: Any, device: Any, dtype: Any = None) -> Any:
    """Return inputs with their tensors on a device, floating-point ones of a dtype; None leaves either alone.

    Tensors are looked for in mappings, lists and tuples.
    """
    if is_tensor(value):
        return value.to(device=device, dtype=dtype if value.is_floating_point() else None)
    if isinstance(value, Mapping):
        return {key: moved(item, device, dtype) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        items = [moved(item, device, dtype) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


# -- errors -------------------------------------------------------------------------------------


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    found = []
    trace = error.__traceback__
    while trace is not None:
        found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _place(program: ProgramView, error: BaseException) -> tuple[str, Visit | None]:
    """Return the innermost line of the user's, and the point whose candidate was being evaluated, if any."""
    where = program.name
    visit: Visit | None = None
    # The frame record of instrumented code is a local variable of the user's own function.
    for frame, line in reversed(_frames(error)):
        if frame.f_code.co_filename not in program.internals.source_set.files:
            continue
        if where == program.name:
            where = f"{frame.f_code.co_filename}:{line}"
        record = frame.f_locals.get(FRAME)
        if record is not None and record.open:
            visit = record.open[-1]
            break
    return where, visit


def _deepest(program: ProgramView, error: BaseException) -> str:
    """Return the line of the user's that an endless recursion comes by most often."""
    counts: dict[tuple[str, int], int] = {}
    for frame, line in _frames(error):
        if frame.f_code.co_filename in program.internals.source_set.files:
            key = (frame.f_code.co_filename, line)
            counts[key] = counts.get(key, 0) + 1
    if not counts:
        return program.name
    file, line = max(counts, key=lambda key: counts[key])
    return f"{file}:{line}"


def chosen_text(visit: Visit) -> str:
    """Return what a point was given as the user wrote it, and where."""
    code = visit.code
    if isinstance(code, int) and code >= 0 and visit.site.candidates:
        return f"`{visit.site.candidates[code].text}` ({visit.site.origin})"
    return f"{visit.value!r} ({visit.site.origin})"


def _few(values: Mapping[str, Value]) -> str:
    items = list(values.items())
    shown = ", ".join(f"{address}={value!r}" for address, value in items[:12])
    return f"{{{shown}{', …' if len(items) > 12 else ''}}}"


def _cleaned(error: BaseException) -> BaseException:
    """Drop this library's own frames from a traceback, so that it reads as the user's code alone."""
    from types import TracebackType

    frames = []
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("symnas."):
            frames.append(trace)
        trace = trace.tb_next
    rebuilt: TracebackType | None = None
    # The last ones tell what went wrong, also of a recursion a thousand frames deep.
    for item in reversed(frames[-60:]):
        rebuilt = TracebackType(rebuilt, item.tb_frame, item.tb_lasti, item.tb_lineno)
    return error.with_traceback(rebuilt)
