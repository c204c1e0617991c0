"""What scripts define reaches their workers, whatever kind of thing it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
import torch

import symnas
from symnas import OneOf, Space
from symnas.errors import EvaluatorError
from symnas.study.workers.pickling import dumps

DEFINITIONS = {
    "dataclass": """
@dataclasses.dataclass(frozen=True)
class Thing:
    factor: float = 2.0
    table: list = dataclasses.field(default_factory=lambda: [1.0])
def use(x): return Thing().factor * x + Thing().table[0]
""",
    "dataclass with slots": """
@dataclasses.dataclass(slots=True)
class Thing:
    factor: float = 2.0
THING = Thing()
def use(x): return THING.factor * x + 1
""",
    "enumerations": """
class Mode(enum.Enum):
    ONE = 1
    TWO = 2
class Level(enum.IntEnum):
    LOW = 1
class Bits(enum.Flag):
    A = enum.auto()
    B = enum.auto()
MODE, BITS = Mode.TWO, Bits.A | Bits.B
def use(x):
    assert MODE is Mode.TWO and Bits.A in BITS
    return MODE.value * x + Level.LOW
""",
    "named tuple": """
class Pair(typing.NamedTuple):
    a: float
    b: float = 1.0
PAIR = Pair(2.0)
def use(x): return PAIR.a * x + PAIR.b
""",
    "nested class": """
class Outer:
    class Inner:
        factor = 2
        def times(self, x): return self.factor * x
    inner = Inner()
def use(x): return Outer.inner.times(x) + 1
""",
    "closure over a class": """
def make():
    class Local:
        def __init__(self, factor): self.factor = factor
        def __call__(self, x): return self.factor * x + 1
    local = Local(2)
    return lambda x: local(x) if isinstance(local, Local) else None
use = make()
""",
    "metaclass": """
class Meta(type):
    def __call__(cls, *given): return (super().__call__(*given), cls.factor)
class Made(metaclass=Meta):
    factor = 2
def use(x): return Made()[1] * x + 1
""",
    "generic": """
T = typing.TypeVar("T")
@dataclasses.dataclass
class Box(typing.Generic[T]):
    held: T
BOX = Box[int](2)
def use(x): return BOX.held * x + 1
""",
    "abstract": """
class Base(abc.ABC):
    @abc.abstractmethod
    def times(self, x): ...
class Real(Base):
    def __init__(self): super().__init__()
    @property
    def factor(self): return 2
    def times(self, x): return self.factor * x
def use(x):
    try: Base()
    except TypeError: return Real().times(x) + 1
""",
}
SCRIPT = """
import abc, dataclasses, enum, sys, typing
import symnas

{definition}

space = symnas.Space((symnas.OneOf("a", (0, 1, 2), 0),))

def evaluate(decision):
    return float(use(decision["a"]))

if __name__ == "__main__":
    for more in ({{"workers": 2}}, {{"timeout": 60.0}}):
        study = symnas.search(space, evaluate, algorithm="grid", trials=3, progress=False, **more)
        print([trial.values[0] for trial in study.trials], [trial.error for trial in study.trials])
"""


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_script_may_define_anything(kind: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(definition=DEFINITIONS[kind]))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1.0, 3.0, 5.0] [None, None, None]"] * 2


def test_nothing_of_ours_nor_of_installed_packages_goes_by_value() -> None:
    space = Space((OneOf("a", (0, 1), 0),))
    data = (torch.zeros(4, 2), torch.zeros(4).long())
    task = symnas.Task(train=data, valid=data, loss=torch.nn.functional.cross_entropy)
    sent = dumps((space, task, symnas.search, lambda d: symnas.Batch.of(space, [d])), "a test")
    # By value, a function's code says which file it is from.
    for file in (
        "symnas/training/task.py",
        "symnas/tree/space.py",
        "symnas/study/search.py",
        "functional.py",
    ):
        assert file.encode() not in sent
    assert Path(__file__).name.encode() in sent


def test_cloudpickle_is_left_as_it_was() -> None:
    before = set(cloudpickle.list_registry_pickle_by_value())
    dumps(test_a_script_may_define_anything, "a test")
    with pytest.raises(EvaluatorError, match="holds something that cannot be sent"):
        dumps((test_cloudpickle_is_left_as_it_was, iter([]), (item for item in ())), "a test")
    assert set(cloudpickle.list_registry_pickle_by_value()) == before
