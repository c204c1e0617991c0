"""How a module is trained and scored: `Task`, its data, its loop, its random state.

To read in this order: `data` and `split` (examples and batches), `random_state` (streams that can be
resumed), `loop` (one training, in parts), `task` (what users describe), `recipes` (optimisers and schedules
of papers).

Laws, in `tests/training`: a training in parts is the training in one go, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.training.loop import Training as Training
    from symnas.training.recipes import cosine_restarts as cosine_restarts
    from symnas.training.recipes import linear as linear
    from symnas.training.recipes import nesterov as nesterov
    from symnas.training.task import Task as Task

_HOMES = {
    "Task": "task",
    "Training": "loop",
    "cosine_restarts": "recipes",
    "linear": "recipes",
    "nesterov": "recipes",
}

__all__ = [
    "Task",
    "Training",
    "cosine_restarts",
    "linear",
    "nesterov",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
