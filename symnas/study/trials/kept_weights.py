"""Trained weights of a study's best trials, in files beside its store or in memory."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from symnas.errors import StudyError


class KeptWeights:
    """The weights of a few trials of one study.

    Args:
        folder: where the store keeps files, or None to keep them in memory.
        study: name of the study.
    """

    def __init__(self, folder: Path | None, study: str) -> None:
        self._folder = None if folder is None else folder / folder_name(study)
        self._held: dict[int, Any] = {}

    def path(self, number: int) -> Path | None:
        """Return the file of a trial's weights, whether it is there or not; None in memory."""
        return None if self._folder is None else self._folder / f"trial-{number}.pt"

    def folder(self, name: str, fingerprints: Mapping[str, str]) -> Path | None:
        """Return the folder of what an estimator keeps, whether it is there or not; None in memory.

        Args:
            name: what the estimator calls it.
            fingerprints: of all that the study is made of.
        """
        if self._folder is None:
            return None
        folder = self._folder / name
        # Version 0.1.0 had a hash of the fingerprints in the name; a study that was begun then goes on here.
        code = zlib.crc32(repr(sorted(fingerprints.items())).encode())
        before = self._folder / f"{name}-{code:08x}"
        if before.is_dir() and not folder.exists():
            before.rename(folder)
        return folder

    def save(self, number: int, state: Any) -> None:
        """Keep a `state_dict`; on disk it is whole or not there at all."""
        path = self.path(number)
        if path is None:
            self._held[number] = state
            return
        import torch

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            torch.save(state, part)
            part.replace(path)
        except (OSError, RuntimeError) as error:
            raise StudyError(f"the weights of trial {number} cannot be written to {path}: {error}") from error

    def move_to(self, study: str) -> None:
        """Give what is on disk to a study of another name, as when this one is renamed."""
        if self._folder is not None and self._folder.is_dir():
            self._folder.rename(self._folder.with_name(folder_name(study)))

    def keep_only(self, numbers: Iterable[int]) -> None:
        """Drop the weights of all other trials, and leftovers of interrupted writes."""
        wanted = set(numbers)
        self._held = {number: state for number, state in self._held.items() if number in wanted}
        if self._folder is None or not self._folder.is_dir():
            return
        names = {f"trial-{number}.pt" for number in wanted}
        for file in self._folder.glob("trial-*.p*t"):
            if file.name not in names:
                file.unlink(missing_ok=True)

    def load(self, number: int) -> Any:
        """Return a trial's `state_dict`.

        Raises:
            StudyError: none was kept for it.
        """
        path = self.path(number)
        if path is None and number in self._held:
            return self._held[number]
        if path is not None and path.is_file():
            import torch

            return torch.load(path, map_location="cpu", weights_only=True)
        raise StudyError(
            f"weights are kept for the best few trials of a Task; none are kept for trial {number}"
            f"{'' if path is None else f' ({path})'}: raise keep=, or use build() for an untrained child"
        )


def folder_name(study: str) -> str:
    """Return a name for a folder that tells studies apart on every file system."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", study).strip("._") or "study"
    return f"{plain[:60]}-{zlib.crc32(study.encode()):08x}"
