"""Writes a program's source to disk."""

from __future__ import annotations

from pathlib import Path

from symnas.export.bundle import SourceFiles


def write_files(made: SourceFiles, path: Path) -> Path:
    """Write a single file as `path.py`, or a package into the folder `path`; return which it was.

    Args:
        made: the files.
        path: where; its suffix `.py` may be left out.
    """
    folder = path.with_suffix("") if path.suffix == ".py" else path
    if not made.why_several:
        file = folder.with_name(f"{folder.name}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        (text,) = made.files.values()
        file.write_text(text, encoding="utf-8")
        return file
    for name, text in made.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder
