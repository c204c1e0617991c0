"""The four spaces in PyGlove, Optuna and ConfigSpace, behind one small interface."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import ConfigSpace as CS  # noqa: N817
import optuna
import pyglove as pg
from ConfigSpace.util import get_one_exchange_neighbourhood
from pyglove.core import geno

from spaces import ACTIVATIONS, DEPTH, FILTERS, KERNELS, OPS_201, OPS_DARTS

Call = Callable[[], object]


class PyGlove:
    """Templates decoded from random DNA; the uniform mutator; DNA to numbers and back."""

    name = "pyglove"

    def __init__(self, which: str) -> None:
        self.template = pg.template(self._value(which))
        self.spec = self.template.dna_spec()
        self.random = random.Random(0)
        self.mutator = pg.evolution.mutators.Uniform(seed=0)

    @staticmethod
    def _value(which: str) -> Any:
        if which in ("S1", "S3"):
            count, labels = (20, [0, 1, 2, 3, 4]) if which == "S1" else (6, list(OPS_201))
            return pg.Dict({f"x{i}": pg.oneof(labels) for i in range(count)})
        if which == "S2":

            def block() -> Any:
                return pg.Dict(
                    filters=pg.oneof(FILTERS),
                    kernel=pg.oneof(KERNELS),
                    norm=pg.oneof([True, False]),
                    act=pg.oneof(ACTIVATIONS),
                    dropout=pg.oneof([None, pg.floatv(0.0, 0.5)]),
                )

            return pg.Dict(
                blocks=pg.oneof([pg.List([block() for _ in range(d)]) for d in range(1, DEPTH + 1)])
            )
        nodes = {}
        for cell in ("normal", "reduce"):
            for node in range(4):
                inputs = [pg.Dict(source=i, op=pg.oneof(OPS_DARTS)) for i in range(node + 2)]
                nodes[f"{cell}{node}"] = pg.manyof(2, inputs, sorted=True)
        return pg.Dict(nodes)

    def one(self) -> object:
        return self.template.decode(geno.random_dna(self.spec, self.random))

    def mutation(self) -> tuple[Call, int]:
        dna = geno.random_dna(self.spec, self.random)
        return lambda: self.mutator.mutate(dna), 1

    def coding(self) -> Call:
        dna = geno.random_dna(self.spec, self.random)
        return lambda: geno.DNA.from_numbers(dna.to_numbers(), self.spec)

    def neighbours(self) -> None:
        return None


class Optuna:
    """Ask, suggest, tell with a random sampler in memory; parameters to JSON and back."""

    name = "optuna"

    def __init__(self, which: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.which = which
        self.sampler = optuna.samplers.RandomSampler(seed=0)
        self.fresh()

    def fresh(self) -> None:
        self.study = optuna.create_study(sampler=self.sampler)

    def one(self) -> object:
        trial = self.study.ask()
        self._suggest(trial)
        self.study.tell(trial, 0.0)
        return trial.params

    def _suggest(self, trial: optuna.Trial) -> None:
        if self.which in ("S1", "S3"):
            count, labels = (20, (0, 1, 2, 3, 4)) if self.which == "S1" else (6, OPS_201)
            for i in range(count):
                trial.suggest_categorical(f"x{i}", labels)
        elif self.which == "S2":
            for i in range(trial.suggest_int("depth", 1, DEPTH)):
                trial.suggest_categorical(f"{i}.filters", FILTERS)
                trial.suggest_categorical(f"{i}.kernel", KERNELS)
                trial.suggest_categorical(f"{i}.norm", (True, False))
                trial.suggest_categorical(f"{i}.act", ACTIVATIONS)
                if trial.suggest_categorical(f"{i}.dropout", (False, True)):
                    trial.suggest_float(f"{i}.rate", 0.0, 0.5)
        else:
            for cell in ("normal", "reduce"):
                for node in range(4):
                    pairs = [f"{a},{b}" for a, b in combinations(range(node + 2), 2)]
                    for chosen in trial.suggest_categorical(f"{cell}{node}", pairs).split(","):
                        trial.suggest_categorical(f"{cell}{node}.{chosen}", OPS_DARTS)

    def mutation(self) -> None:
        return None

    def coding(self) -> Call:
        trial = self.study.ask()
        self._suggest(trial)
        kinds, params = trial.distributions, trial.params

        def both() -> object:
            text = json.dumps({name: kinds[name].to_internal_repr(value) for name, value in params.items()})
            return {name: kinds[name].to_external_repr(value) for name, value in json.loads(text).items()}

        return both

    def neighbours(self) -> None:
        return None


class ConfigSpacePeer:
    """Configurations in batches of 1,000 as dictionaries; vectors and back; its neighbours."""

    name = "ConfigSpace"

    def __init__(self, which: str) -> None:
        self.space = CS.ConfigurationSpace(seed=0)
        getattr(self, f"_build_{which.lower()}")()
        self.seed = 0

    def _build_s1(self) -> None:
        self.space.add([CS.Categorical(f"x{i}", [0, 1, 2, 3, 4]) for i in range(20)])

    def _build_s3(self) -> None:
        self.space.add([CS.Categorical(f"x{i}", OPS_201) for i in range(6)])

    def _build_s2(self) -> None:
        depth = CS.Integer("depth", (1, DEPTH))
        self.space.add(depth)
        for i in range(DEPTH):
            drop = CS.Categorical(f"{i}.dropout", [False, True])
            rate = CS.Float(f"{i}.rate", (0.0, 0.5))
            block = [
                CS.Categorical(f"{i}.filters", FILTERS),
                CS.Categorical(f"{i}.kernel", KERNELS),
                CS.Categorical(f"{i}.norm", [True, False]),
                CS.Categorical(f"{i}.act", ACTIVATIONS),
                drop,
            ]
            self.space.add([*block, rate])
            if i:
                self.space.add([CS.GreaterThanCondition(point, depth, i) for point in block])
            self.space.add(CS.EqualsCondition(rate, drop, True))

    def _build_s4(self) -> None:
        for cell in ("normal", "reduce"):
            for node in range(4):
                pairs = list(combinations(range(node + 2), 2))
                chosen = CS.Categorical(f"{cell}{node}", [f"{a},{b}" for a, b in pairs])
                ops = [CS.Categorical(f"{cell}{node}.{i}", OPS_DARTS) for i in range(node + 2)]
                self.space.add([chosen, *ops])
                for i, op in enumerate(ops):
                    held = [f"{a},{b}" for a, b in pairs if i in (a, b)]
                    if len(held) < len(pairs):
                        self.space.add(CS.InCondition(op, chosen, held))

    def one(self) -> object:
        return dict(self.space.sample_configuration())

    def many(self, count: int) -> list[object]:
        return [dict(configuration) for configuration in self.space.sample_configuration(count)]

    def _neighbours(self) -> Iterator[object]:
        self.seed += 1
        return get_one_exchange_neighbourhood(self.configuration, self.seed)

    def mutation(self) -> tuple[Call, int]:
        self.configuration = self.space.sample_configuration()
        return lambda: list(self._neighbours()), len(list(self._neighbours()))

    def neighbours(self) -> tuple[Call, int]:
        return self.mutation()

    def coding(self) -> Call:
        configuration = self.space.sample_configuration()
        return lambda: dict(CS.Configuration(self.space, vector=configuration.get_array()))


PEERS = (PyGlove, Optuna, ConfigSpacePeer)
