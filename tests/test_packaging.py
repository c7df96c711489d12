"""The parts import each other one way only, and their general names belong to this distribution alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from conftest import ROOT

LOW_TO_HIGH = ["schemas", "transforms", "pipeline", "runners"]
INSTALLED = ["pipeline", "schemas", "transforms"]
MODULES = [file for package in LOW_TO_HIGH for file in sorted((ROOT / package).rglob("*.py"))]


BELOW = {  # the parts of transforms, and what each may import of them
    "http": [],
    "events": [],
    "models": ["events"],
    "delivery": ["events"],
    "lift_wing": ["delivery", "events", "http", "models"],
    "async_io": ["events", "lift_wing", "models"],
    "connectors": ["delivery", "events", "http", "models"],
    "datasets": ["events", "models"],
}
FOR_ALL = ["elements", "environment", "global_window", "json_text", "rolling_quantiles", "unforeseen"]  # files that every part may import; the steps are none


def imported(file: Path) -> Iterator[str]:
    """Every module that is imported anywhere in a file, also in functions, and by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield node.module or ""
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
            yield ast.unparse(node.args[0]).strip("f'")


def against_the_arrow(file: Path) -> list[str]:
    package = file.relative_to(ROOT).parts[0]
    above = [*LOW_TO_HIGH[LOW_TO_HIGH.index(package) + 1 :], "tests", "conftest"]
    return [name for name in imported(file) if name.partition(".")[0] in above]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    allowed = ["runners.demo"] if file == ROOT / "pipeline" / "command_line.py" else []
    assert against_the_arrow(file) == allowed


def test_the_parts_of_transforms_import_each_other_one_way() -> None:
    parts = {folder.name: sorted(folder.glob("*.py")) for folder in (ROOT / "transforms").iterdir() if (folder / "__init__.py").is_file()}
    assert set(parts) == set(BELOW)
    for part, files in parts.items():
        of_part = {name.split(".")[1] for file in files for name in imported(file) if name.startswith("transforms.")}
        assert of_part - {part, *FOR_ALL} <= set(BELOW[part]), part


def test_the_test_of_imports_sees_them(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("import a.b\nfrom c import d\ndef f():\n    from e import g\n    importlib.import_module('h.i')\n")
    assert sorted(imported(file)) == ["a.b", "c", "e", "h.i"]
    assert {file.relative_to(ROOT).parts[0] for file in MODULES} == set(LOW_TO_HIGH)


@pytest.mark.parametrize("name", INSTALLED)
def test_no_other_distribution_has_these_names(name: str) -> None:
    assert set(packages_distributions()[name]) == {"revision-scores"}


def test_only_the_application_is_installed() -> None:
    assert sorted((distribution("revision-scores").read_text("top_level.txt") or "").split()) == INSTALLED
