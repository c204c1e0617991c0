"""A space compiled for work on columns: one object with everything that is made of its layout.

What users do with a space is in `space`; this is what that is done with, and what algorithms of this library
reach for. Arrays here are plain: codes (columns, rows) and reals (reals, rows), as `layout` numbers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from symnas.tree.activity import Activity
from symnas.tree.admission import Admission, AdmittedSampler, RequiredPoints, Rules
from symnas.tree.counting import Counter
from symnas.tree.encoding import Encoder
from symnas.tree.layout import Layout
from symnas.tree.mutation import Mutator
from symnas.tree.neighbours import Neighbourhood
from symnas.tree.requirements.diagram import TooManyWays
from symnas.tree.requirements.requirement import Requirement
from symnas.tree.sampling import Sampler
from symnas.tree.scalar_sampling import ScalarSampler
from symnas.tree.uniform_sampling import UniformSampler


class Compiled:
    """The compiled parts of a space, each made when it is first asked for.

    Args:
        layout: the points numbered, with a column each.
        requirements: what decisions must meet.
    """

    def __init__(self, layout: Layout, requirements: Sequence[Requirement] = ()) -> None:
        self.layout = layout
        self.rules = Rules(layout, requirements) if requirements else None

    @cached_property
    def activity(self) -> Activity:
        """The conditions under which points exist."""
        return Activity(self.layout)

    @cached_property
    def sampler(self) -> Sampler:
        """Draws of many rows, uniform per point or by prior weights."""
        return Sampler(self.layout)

    @cached_property
    def scalar_sampler(self) -> ScalarSampler:
        """The same draws of a single row."""
        return ScalarSampler(self.sampler)

    @cached_property
    def counter(self) -> Counter:
        """The counts of every subtree, a real range counting as one value."""
        while True:
            try:
                return Counter(self.layout, rules=self.rules)
            except TooManyWays as error:
                assert self.rules is not None
                self.rules.loosen(error.numbers)

    @cached_property
    def admission(self) -> Admission | None:
        """What the clauses admit; None without clauses."""
        if self.rules is None:
            return None
        groups = [group for group in self.counter.coupled if isinstance(group, RequiredPoints)]
        return Admission(self.rules, groups, self.activity, self.sampler)

    @cached_property
    def admitted_sampler(self) -> AdmittedSampler:
        """Draws uniform per point or by prior weights, given that the clauses hold."""
        assert self.admission is not None
        return AdmittedSampler(self.layout, self.admission.groups)

    @cached_property
    def uniform_sampler(self) -> UniformSampler:
        """Draws that make all decisions equally likely."""
        return UniformSampler(self.layout, self.counter)

    @cached_property
    def mutator(self) -> Mutator:
        """Mutation, crossover, and what follows from a change."""
        return Mutator(self.activity, self.sampler, self.admission)

    @cached_property
    def neighbourhood(self) -> Neighbourhood:
        """All decisions one step away."""
        return Neighbourhood(self.mutator)

    @cached_property
    def encoder(self) -> Encoder:
        """The numeric views."""
        return Encoder(self.activity)
