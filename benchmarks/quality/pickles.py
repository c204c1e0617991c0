"""Reading the pickles that packaged tables come as, without running what they may contain."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np

# The only globals that the tables need: numpy's scalars, under the names of old and new numpy.
_ALLOWED = {
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "dtype"),
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"a table holds plain data and numpy scalars; this one asks for {module}.{name}: refused"
            )
        if name == "dtype":
            return np.dtype
        return super().find_class("numpy._core.multiarray", name)


def load(path: Path) -> Any:
    """Return the plain data of a pickle; anything else in it is refused.

    Raises:
        pickle.UnpicklingError: the file asks for a class or function that plain tables do not need.
    """
    with path.open("rb") as file:
        return _Plain(file).load()


def packaged(package: str, project: str, *parts: str) -> Path:
    """Return the path of a data file inside an installed package, which is not imported.

    Raises:
        SystemExit: the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"the quality benchmark reads tables out of {project}: pip install symnas[bench]")
    return Path(found.submodule_search_locations[0]).joinpath(*parts)
