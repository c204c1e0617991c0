"""Which choices of a program can stay open while it is constructed, found by opening whatever may be.

A run without computing (on the device `meta`) evaluates all candidates of every choice that is not written
as constants. Three things close a choice again: a candidate that is no module and makes none, code that asks
what makes modules for something in which the candidates differ, and a candidate that cannot be made here (a
width that does not fit, say). Each closing may change which other points there are, so the run is repeated
until nothing is left to close; the last one has made what was to be found out about, and is kept.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from torch import nn

from symnas._typing import Value
from symnas.construction.superposition import (
    ConstructorRun,
    SuperposedRun,
    kept_run,
    own_files,
    run_constructor,
    run_of,
)
from symnas.errors import SymnasError
from symnas.frontend.instrumentation import FRAME
from symnas.frontend.openings import Opening
from symnas.frontend.run import Visit, set_value
from symnas.frontend.sites import Site
from symnas.tree.choices import ManyOf

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView


def openable(
    program: ProgramView,
    values: Mapping[str, Value] | None = None,
    *,
    closed: Collection[str] = (),
    subsets: bool = False,
) -> frozenset[str]:
    """Return the addresses of the choices whose candidates are all modules, found without computing.

    Args:
        program: whose target makes a module.
        values: of points that are closed; what they are tells which other points there are.
        closed: addresses that are closed, whatever their candidates are.
        subsets: whether to look at choices of several modules (`2 of {…}`) too.
    """
    given = {} if values is None else values
    shut = set(closed)
    while True:
        probe = _Probe(given, shut, subsets, own_files(program))
        try:
            module = run_constructor(program, probe, "meta", explain=False)
        except Exception as error:
            # The innermost open choice of which a candidate was being evaluated is the one that cannot be.
            visit = next((found for found in probe.evaluating(error) if found.address not in shut), None)
            if visit is None:
                return _openable_for_real(program, given, set(closed), subsets)
            shut.add(visit.address)
            continue
        if probe.unfit <= shut:
            return _keep(program, probe, module)
        shut |= probe.unfit


def open_run(
    program: ProgramView,
    values: Mapping[str, Value] | None = None,
    *,
    closed: Collection[str] = (),
    subsets: bool = False,
) -> ConstructorRun:
    """Return a run on the device `meta` with everything open that can be; it is only to be looked at.

    Args:
        program: whose target makes a module.
        values: of points that are closed; others take their defaults.
        closed: addresses that are closed, whatever their candidates are.
        subsets: whether to open choices of several modules (`2 of {…}`) too.

    Raises:
        BuildError: the user's code raised; or parameters were made outside the run.
    """
    given = {} if values is None else values
    return kept_run(program, Opening(given, openable(program, given, closed=closed, subsets=subsets)))


def may_be_open(site: Site) -> bool:
    """Whether the candidates of a choice may be modules: those that are written as constants are none."""
    written = [candidate.expr for candidate in site.candidates]
    return site.dynamic is not None or not all(isinstance(expr, ast.Constant) for expr in written)


def _keep(program: ProgramView, probe: _Probe, module: object) -> frozenset[str]:
    """Keep what the last probe has made, for it is the run that those who asked will ask for next."""
    probe.opened = opened = frozenset(probe.met - probe.closed)
    with suppress(SymnasError):  # who wants the module will be told; for the addresses it does not matter
        program.internals.kept_runs.keep(run_of(program, probe, module, "meta"))
    return opened


def _openable_for_real(
    program: ProgramView, values: Mapping[str, Value], closed: set[str], subsets: bool
) -> frozenset[str]:
    """Return the same of code that needs real tensors; its candidates are taken to be as they seem."""
    probe = _Probe(values, closed, subsets, own_files(program))
    with torch.random.fork_rng(devices=[]):
        run_constructor(program, probe, None)
    return frozenset(probe.met - probe.unfit)


class _Probe(SuperposedRun):
    """A run that finds out what can be opened by opening whatever may be."""

    def __init__(
        self, values: Mapping[str, Value], closed: set[str], subsets: bool, files: Collection[str]
    ) -> None:
        super().__init__(Opening(values, frozenset()), files)
        self.closed, self.subsets_too = closed, subsets
        self.met: set[str] = set()
        self.plain: set[str] = set()
        """Addresses of choices among other things than modules."""

    def opens(self, visit: Visit) -> bool:
        point, site = visit.prototype, visit.site
        several = self.subsets_too and isinstance(point, ManyOf) and not (point.ordered or point.repeats)
        if visit.address in self.closed or not (point.kind == "oneof" or (several and site.dynamic is None)):
            return False
        return may_be_open(site)

    @property
    def unfit(self) -> set[str]:
        """Addresses of choices among other things, and among what nothing has called."""
        called = {maker.visit.address for maker in self.makers if maker.called}
        return self.plain | {maker.visit.address for maker in self.makers} - called

    def together(self, visit: Visit, values: Mapping[int, object]) -> object:
        self.met.add(visit.address)
        return super().together(visit, values)

    def choice(self, visit: Visit, values: Mapping[int, object]) -> object:
        if all(isinstance(value, nn.Module) for value in values.values()):
            return super().choice(visit, values)
        self.plain.add(visit.address)  # a width, say: the run goes on with the value it would have closed
        return values[self._chosen(visit)]

    def _chosen(self, visit: Visit) -> int:
        """Settle a choice that cannot be open, and return the code of its candidate."""
        set_value(visit, self.values.get(visit.address, visit.default))
        return visit.code if isinstance(visit.code, int) else 0

    def unlike(self, visit: Visit, name: str) -> object:
        self.plain.add(visit.address)
        maker = next(maker for maker in reversed(self.makers) if maker.visit is visit)
        return getattr(maker.candidates[self._chosen(visit)], name)

    def left(self, visit: Visit, result: object) -> object:
        if visit.kind == "manyof" and self.opens(visit):
            self.met.add(visit.address)
            if not all(isinstance(value, nn.Module) for value in result):  # type: ignore[attr-defined]
                self.plain.add(visit.address)
                return result
        return super().left(visit, result)

    def evaluating(self, error: BaseException) -> Iterator[Visit]:
        """Yield the open choices of which a candidate was being evaluated when an error was raised."""
        # The frames of instrumented code hold their records of open visits in a variable of a known name.
        trace, found = error.__traceback__, list[Visit]()
        while trace is not None:
            record = trace.tb_frame.f_locals.get(FRAME)
            found += [] if record is None else [each for each in record.open if self.opens(each)]
            trace = trace.tb_next
        yield from reversed(found)
