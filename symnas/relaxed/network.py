"""Relaxed networks: all candidates of a program's choices at once, added up with weights.

`program.relaxed()` constructs the model once with its choices among modules open
(`symnas.construction.superposition`) and mixes what their candidates return; what an algorithm says of one
step is a `Mixture` per point (`symnas.contracts.relaxed_points`).

Law: with the weights of a decision, one for what it takes and zero for the rest, a relaxed network computes
what the child computes, outputs and gradients. It is checked on the example inputs when the network is made,
for decisions that between them take every candidate: a program that does more with a choice than calling it
and adding up would be trained into nothing otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor, nn

from symnas._typing import Value
from symnas.construction.parameter_keys import keyed_module
from symnas.construction.plan import plan_relaxation
from symnas.construction.sizes import Sizes
from symnas.construction.superposition import ConstructorRun, kept_run, superpose
from symnas.contracts.relaxed_points import Mixture, RelaxedKind, RelaxedPoint
from symnas.errors import BuildError, DecisionError, ProgramError, nearest, refuse_unknown
from symnas.frontend import execution
from symnas.relaxed.check import call, check
from symnas.relaxed.costs import Costs, Metric
from symnas.relaxed.depth import install
from symnas.relaxed.forward_choices import Caller
from symnas.relaxed.mixing import Place
from symnas.relaxed.options import RelaxedOptions
from symnas.relaxed.partial_channels import narrow, outermost
from symnas.relaxed.sizes import effective, interpolated, part, strengths
from symnas.relaxed.statistics import WeightedStatistics, weighs
from symnas.relaxed.step import Scaling, Step, Used
from symnas.tree.space import Decision, Space

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

LOGIT_SCALE = 1e-3
"""Standard deviation of the logits at first, as Liu et al. (2019) set it: all candidates start about even."""


class Relaxed(nn.Module):
    """A network with all candidates of its choices; made by `program.relaxed`.

    Args:
        program: whose target makes a module.
        options: how it is made; `RelaxedOptions` says what there is.

    Raises:
        ProgramError: a choice cannot be relaxed; the message names its line and the ways out.
            Or the program does more with one than adding up.
        BuildError: candidates of a choice return different shapes.
        TypeError: an option is none.
    """

    def __init__(self, program: ProgramView, **options: Unpack[RelaxedOptions]) -> None:
        super().__init__()
        refuse_unknown(options, RelaxedOptions.__annotations__, "a relaxed network")
        inputs = options.get("inputs")
        self.program = program if inputs is None else program.with_inputs(inputs)
        self.checkpoint, self.interpolate = (
            options.get("checkpoint", False),
            options.get("interpolate", False),
        )
        self.partial, self.seed = options.get("partial", 1), options.get("seed", 0)
        device, dtype = options.get("device"), options.get("dtype")
        example = _example(self.program)
        self.plan = plan_relaxation(self.program, options.get("freeze") or {})
        # Weights and logits are drawn under the seed, in this order.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            run = superpose(self.program, self.plan.opening)
            logits = [torch.randn(len(point.labels)) * LOGIT_SCALE for point in self.plan.points]
        self.model = run.module.to(device=device, dtype=dtype)
        self._logits = nn.ParameterList(nn.Parameter(each.to(device=device, dtype=dtype)) for each in logits)
        args, kwargs = execution.moved(example, device, dtype)
        self._mix(run, (args, kwargs))
        check(self, run, args, kwargs)
        self._step.spare(run.mixed, self.points, lambda: call(self, args, kwargs))
        if self.partial != 1:
            self._narrow(args, kwargs)

    def _mix(self, run: ConstructorRun, inputs: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Let the choices of the model, edges and blocks among them, compute what a step says."""
        plan = self.plan
        self.keys: Mapping[str, str] = {**run.parameters, **run.buffers}
        self._sized = [
            (self.model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2], key)
            for path, key in run.parameters.items()
            if key in plan.sizes.read
        ]
        self.places = {p.address: Place(p.address, p.labels, plan.locations[p.address]) for p in plan.points}
        caller = Caller(self.program, self.model, plan.opening.values, plan.forward)
        self._step = Step(self.places, self.checkpoint, caller)
        for choice in run.mixed:
            choice.rule = self._step.choice
        for address, lists in run.subsets.items():
            for index, module in ((i, m) for modules in lists for i, m in enumerate(modules)):
                module.register_forward_hook(Scaling(self._step, address, index))
        for path, module in self.model.named_modules():
            masks = plan.sizes.held.get(run.parameters.get(f"{path}.weight".removeprefix("."), ""), ())
            if masks and weighs(module):
                module.register_forward_hook(WeightedStatistics(self._step, masks))
        if plan.depths:
            labels = {point.address: point.labels for point in plan.points}
            install(run, plan.depths.values(), labels, self._step, inputs)

    def _narrow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let candidates see a part of the channels; checked before that, whole, to be children."""
        if self.partial < 1:
            raise ProgramError(
                f"partial={self.partial} divides the channels of candidates, so it is a positive number"
            )
        if self.sizes.points:
            address = next(iter(self.sizes.points))
            raise ProgramError(
                f"{self.places[address].location}\npartial={self.partial} divides the channels of "
                f"candidates, and cannot while {', '.join(map(repr, self.sizes.points))} changes them: "
                f"freeze it (freeze=(({address!r}, {self.sizes.largest[address]!r}),)), or search with "
                "partial=1"
            )
        choices = outermost(self.model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            narrow(choices, self.partial, lambda choice: self.places[choice.address])
        for choice in choices:
            choice.rule = self._step.narrowed
        self._step.partial = self.partial
        call(self, args, kwargs)

    # -- what algorithms see --------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """The program's, with what is frozen."""
        return self.plan.space

    @property
    def points(self) -> tuple[RelaxedPoint, ...]:
        """What is relaxed, parents first."""
        return self.plan.points

    @property
    def sizes(self) -> Sizes:
        """What is known of the points that are sizes."""
        return self.plan.sizes

    @property
    def logits(self) -> dict[str, nn.Parameter]:
        """One number per candidate of every point, by address."""
        return {point.address: logit for point, logit in zip(self.points, self._logits, strict=True)}

    def weights(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the network, without the logits."""
        return self.model.parameters()

    def forward(self, *args: Any, mixes: Mapping[str, Mixture] | None = None, **kwargs: Any) -> Any:
        """Call the network with one mix per point.

        Args:
            args: the model's.
            mixes: by address; the softmax of the logits for None.
            kwargs: the model's.

        Raises:
            BuildError: candidates of a point return different shapes.
        """
        mixes = self.softmax() if mixes is None else self._complete(mixes)
        with self._step.of(mixes, self._used(mixes)):
            return self.model(*args, **kwargs)

    def strengths(self, address: str) -> Tensor:
        """Return (candidates,) squared norms of the weights that each value of a size adds to a smaller one.

        Args:
            address: of a point that is a size.
        """
        return strengths(self.sizes, address, self.tensors())

    def expected_cost(self, metric: Metric, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the mean number of parameters, or of FLOPs, of a random child.

        Args:
            metric: "params" or "flops", those of a call on the example inputs.
            probabilities: (candidates,) of every point; of edges, anything in proportion.

        Raises:
            ProgramError: FLOPs are asked for, and `forward` holds choices.
        """
        if metric == "flops" and self.plan.forward:
            address = min(self.plan.forward)
            raise ProgramError(
                f"{self.places[address].location}\nFLOPs are counted for modules, and {address!r} chooses "
                "among tensors when the model is called: give a table of costs, or count params"
            )
        return self._costs.expected(metric, probabilities)

    @cached_property
    def _costs(self) -> Costs:
        run = kept_run(self.program, self.plan.opening)
        points = {point.address: point for point in self.points}
        return Costs(self.program, run, points, self.sizes, self.plan.depths)

    def _used(self, mixes: Mapping[str, Mixture]) -> list[Used]:
        """Return what modules compute with where sizes are mixed."""
        # A parameter that several modules share is masked once.
        mixed = interpolated if self.interpolate else effective
        made: dict[str, Tensor] = {}
        found = []
        for module, name, key in self._sized:
            if key not in made:
                made[key] = mixed(self.sizes, key, module._parameters[name], mixes)  # type: ignore[arg-type]
            found.append((module, name, made[key]))
        return found

    def softmax(self) -> dict[str, Mixture]:
        """Return the mixes in which every point weighs its candidates by the softmax of their logits."""
        return {
            point.address: Mixture(
                torch.ones_like(logit) if point.kind == RelaxedKind.EDGES else logit.softmax(0)
            )
            for point, logit in zip(self.points, self._logits, strict=True)
        }

    def one_hot(
        self, decision: Decision | Mapping[str, Value], *, sparse: bool = False
    ) -> dict[str, Mixture]:
        """Return the mixes under which the network computes what a child computes.

        Args:
            decision: values of relaxed points; a point that it does not have is weighed evenly, in vain.
            sparse: whether only what is taken is run.
        """
        decision = self.decision(decision)
        mixes = {}
        for point, logit in zip(self.points, self._logits, strict=True):
            # (candidates,) all even where the decision has no such point: nothing that it has depends on it.
            weights = torch.full_like(logit.detach(), 1.0 / len(point.labels))
            active: tuple[int, ...] | None = None
            if point.address in decision:
                value = decision[point.address]
                taken = value if point.kind == RelaxedKind.EDGES and isinstance(value, tuple) else (value,)
                active = tuple(_index(point, label) for label in taken)
                weights = torch.zeros_like(weights).index_fill(
                    0, torch.tensor(active, device=weights.device), 1.0
                )
            run = (0,) if active is None else active
            # Of sizes, what is active says how far features are stretched; of others, what is run.
            told = point.kind == RelaxedKind.SIZE or (sparse and point.kind == RelaxedKind.ONE)
            mixes[point.address] = Mixture(weights, run if told else None)
        return mixes

    def decision(self, values: Mapping[str, Value]) -> Decision:
        """Return the decision of some values of relaxed points; what is frozen is added.

        Args:
            values: by address; what is missing takes its default, and what does not exist under the others
                is left out.
        """
        if isinstance(values, Decision) and values.space == self.program.space:
            return values
        chosen = self.space.default
        for address in values:
            if address not in self.space:
                raise DecisionError(
                    f"{address!r} is no point of {self.program.name}{nearest(address, self.space.addresses)}"
                )
        # In the order of the tree: what is set above decides which points there are below.
        for address in self.space.addresses:
            if address in values and address in chosen:
                chosen = chosen.replace({address: values[address]}, admitted=False)
        return self.program.decision(dict(chosen))

    def only_relaxed(self, decision: Mapping[str, Value]) -> dict[str, Value]:
        """Return the values of relaxed points alone."""
        return {address: value for address, value in decision.items() if address in self.places}

    # -- children -------------------------------------------------------------------------------

    def extract(self, decision: Decision | Mapping[str, Value]) -> Any:
        """Build the child of a decision, with a copy of its weights: plain, without any reference back.

        Args:
            decision: values of relaxed points; what is frozen is added.
        """
        if self._step.partial != 1:
            raise BuildError(
                f"a network of partial={self._step.partial} channels has weights of no child: build the "
                "child (program.build) and train it"
            )
        decision = self.decision(decision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            # Keys are noted while the user's own class is constructed; a child of a generated one has the
            # same names.
            if execution.needs_source(self.program.internals.source_set):
                keyed, child = keyed_module(self.program, decision), self.program.build(decision)
            else:
                keyed = keyed_module(self.program, decision, None)
                child = keyed.module
        held = self.tensors()
        some = next(iter(self.logits.values()), None)
        child.to(device=None if some is None else some.device).train(self.training)
        names = {**keyed.parameters, **keyed.buffers}
        with torch.no_grad():
            for name, tensor in [*child.named_parameters(), *child.named_buffers()]:
                key = names.get(name, "")
                if key in held:
                    tensor.data = part(self.sizes, key, held[key].detach(), decision).clone()
        return child

    def tensors(self) -> dict[str, Tensor]:
        """Return parameters and buffers by the key of their construction, as a supernet names them."""
        named = [*self.model.named_parameters(), *self.model.named_buffers()]
        return {self.keys[name]: tensor for name, tensor in named if name in self.keys}

    def _complete(self, mixes: Mapping[str, Mixture]) -> Mapping[str, Mixture]:
        for point in self.points:
            mix = mixes.get(point.address)
            if mix is None:
                raise DecisionError(
                    f"a step draws one mix for every relaxed point, and there is none for {point.address!r}"
                    f"{nearest(point.address, mixes)}"
                )
            if tuple(mix.weights.shape) != (len(point.labels),):
                raise DecisionError(
                    f"a mix weighs every candidate, and that of {point.address!r} has weights of shape "
                    f"{tuple(mix.weights.shape)} for {len(point.labels)} candidates"
                )
        return mixes


def _index(point: RelaxedPoint, label: object) -> int:
    for index, known in enumerate(point.labels):
        if type(known) is type(label) and known == label:
            return index
    raise DecisionError(f"{point.address!r} has no candidate {label!r}")


def _example(program: ProgramView) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if program.inputs is None:
        raise ProgramError(
            f"whether {program.name} can be relaxed is tried out, so it is given example inputs: "
            "symnas.program(…, inputs=torch.zeros(…)), or relaxed(inputs=…)"
        )
    return program.internals.example()
