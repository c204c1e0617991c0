"""Folders in which paused trials keep what they need to go on."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from symnas.study.trials.kept_weights import folder_name


class Checkpoints:
    """One folder per trial that may go on, beside the store or, for studies in memory, in a temporary place.

    They spare work and carry no results: a trial whose folder is gone starts from the beginning.

    Args:
        folder: where the store keeps files, or None for a temporary place.
        study: name of the study.
    """

    def __init__(self, folder: Path | None, study: str) -> None:
        self._lasting = folder is not None
        self._root = None if folder is None else folder / folder_name(study) / "paused"

    def path(self, number: int) -> Path:
        """Return the folder of the trial that began a training, whether it is there or not."""
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="symnas-"))
            weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        return self._root / f"trial-{number}"

    def __bool__(self) -> bool:
        """Whether any trial has left something."""
        return self._root is not None and self._root.is_dir() and any(self._root.iterdir())

    def drop(self, number: int) -> None:
        """Remove one folder, if it is there."""
        if self:
            shutil.rmtree(self.path(number), ignore_errors=True)

    def keep_only(self, numbers: Iterable[int]) -> None:
        """Remove the folders of all other trials."""
        if self._root is None or not self:
            return
        names = {f"trial-{number}" for number in numbers}
        for path in self._root.iterdir():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)

    def clear(self) -> None:
        """Remove everything."""
        self.keep_only(())
        if self._root is None or not self._root.is_dir():
            return
        with suppress(OSError):  # a folder that holds something else stays
            self._root.rmdir()
            if self._lasting:
                self._root.parent.rmdir()
                self._root.parent.parent.rmdir()
        if not self._lasting:
            self._root = None
