"""The script that is the main program of a driver, as far as its workers need to know it.

Workers do not run the script. But processes that an evaluator starts with `multiprocessing` do so first of
all, unless they are forked: they ask their parent what its main program is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path


@dataclass(frozen=True)
class Script:
    """The main program of a process.

    Args:
        file: where it lies, or None where it has no file (in notebooks).
        module: the name of the module that it was started as (`python -m`), or None.
    """

    file: str | None
    module: str | None

    @classmethod
    def of_this_process(cls) -> Script:
        """Return the one that runs here."""
        main = sys.modules["__main__"]
        file = getattr(main, "__file__", None)
        spec = getattr(main, "__spec__", None)
        return cls(None if file is None else str(Path(file).absolute()), None if spec is None else spec.name)

    def pretend(self) -> None:
        """Let this process look as if it ran the script."""
        main = sys.modules["__main__"]
        if self.file is not None:
            main.__file__ = self.file
        if self.module is not None:
            main.__spec__ = ModuleSpec(self.module, None, origin=self.file)


def bootstrapping() -> bool:
    """Whether this is a process of `multiprocessing` that runs the script of its parent, to begin with."""
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and getattr(processes.current_process(), "_inheriting", False)
