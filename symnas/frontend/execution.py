"""Runs a program under values: instruments, calls the target, calls the model, and puts everything back.

To read in this order: `execute` (the whole of it), `constructed` (all but the model's call), `running` (the
exchange of code), `fresh_targets` (where class bodies hold choices), `call_model` (where `forward` does),
`explained` (what is said when the user's code raises).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from symnas._typing import Value
from symnas.errors import BuildError, ProgramError, SymnasError
from symnas.frontend.arguments import parts
from symnas.frontend.code_swapping import swapped
from symnas.frontend.instrumentation import FRAME
from symnas.frontend.record_classes import keep
from symnas.frontend.run import RUN, Run, Visit
from symnas.frontend.source_set import SourceSet, Transform
from symnas.frontend.sources import unwrap
from symnas.frontend.uninitialised import on_meta

if TYPE_CHECKING:
    from symnas.frontend.protocols import Internals, ProgramView


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
    with swapped(swaps):
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


def _forget(source_set: SourceSet) -> None:
    """Empty the memories of functions that make choices: each run calls them anew."""
    for cache in source_set.caches:
        cache.cache_clear()


def fresh_targets(source_set: SourceSet, transform: Transform | None = None) -> Callable[[Any], Any]:
    """Execute the target's module anew, instrumented, and return what finds a target in it.

    Choices in class bodies and module statements are made when those are executed, so a run executes them
    itself; the user's own module is not touched.

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
    first = source_set.modules[0]
    made: dict[str, ModuleType] = {}
    with contextlib.ExitStack() as registered:
        # The target's own module comes last, since it may import from the others.
        for source in sorted(source_set.files.values(), key=lambda source: source.module is first):
            if not source.definitions and source.module is not first:
                continue
            own = getattr(source.module, "__file__", None) == source.file
            name = source.module.__name__
            if name not in made:
                made[name] = _stand_in(source.module, empty=own)
                registered.enter_context(_registered(made[name]))
            exec(source.code(source_set.references, transform, whole=own), vars(made[name]))
    source_set.fill_in(made, transform)

    def find(wanted: Any) -> Any:
        plain = unwrap(wanted)
        module = made.get(first.__name__ if plain is target else plain.__module__)
        if module is None:
            return wanted
        found: Any = module
        for part in plain.__qualname__.split("."):
            found = getattr(found, part)
        return found

    return find


def _stand_in(module: ModuleType, empty: bool) -> ModuleType:
    """Return a module of the same name; one that a notebook's cells define has all that is defined in it."""
    made = ModuleType(module.__name__)
    keep = ("__file__", "__package__", "__spec__", "__loader__", "__path__")
    vars(made).update({name: value for name, value in vars(module).items() if not empty or name in keep})
    return made


@contextlib.contextmanager
def _registered(module: ModuleType) -> Iterator[None]:
    """Let imports find a module in the place of the one of its name."""
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop(module.__name__, None)
        else:
            sys.modules[module.__name__] = before


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
