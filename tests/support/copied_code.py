"""A copy of this checkout's code, to be changed and run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPIED = ("pipeline", "schemas", "transforms", "runners", "tests/simulator", "revision_scores.egg-info")


class DoesNotApplyError(ValueError):
    """A text to be replaced is not in its file, or not once."""


def changed_code(file: str, replaced: Mapping[str, str]) -> str:
    """Returns the code of a file, named from the top, with texts replaced. Raises DoesNotApplyError."""
    code = (ROOT / file).read_text(encoding="utf-8")
    for text, becomes in replaced.items():
        if code.count(text) != 1:
            raise DoesNotApplyError(f"{file} has {text!r} {code.count(text)} times")
        code = code.replace(text, becomes)
    return code


def copy_code(folder: Path, file: str, replaced: Mapping[str, str]) -> None:
    """Copies the code to a folder, with one file as `changed_code` returns it. Raises DoesNotApplyError."""
    code = changed_code(file, replaced)
    for name in _COPIED:
        if (source := ROOT / name).is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("target", "__pycache__"))
    (folder / file).write_text(code, encoding="utf-8")
