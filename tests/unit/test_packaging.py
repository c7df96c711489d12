"""The parts import each other one way only, and their general names belong to this distribution alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.support.events import ROOT

LOW_TO_HIGH = ["schemas", "transforms", "pipeline", "runners"]
INSTALLED = ["pipeline", "schemas", "transforms"]
MODULES = [file for package in LOW_TO_HIGH for file in sorted((ROOT / package).rglob("*.py"))]


BELOW: dict[str, dict[str, list[str]]] = {  # the folders of a package, and which others each may import
    "transforms": {
        "http": [],
        "metrics": [],
        "worker": ["http"],
        "events": ["worker"],
        "models": ["events"],
        "delivery": ["events", "metrics", "worker"],
        "lift_wing": ["delivery", "events", "http", "models", "worker"],
        "async_io": ["events", "lift_wing", "metrics", "models", "worker"],
        "connectors": ["delivery", "events", "http", "metrics", "models", "worker"],
        "datasets": ["events", "models", "worker"],
    },
    "pipeline": {
        "config": ["console"],
        "console": [],
        "process": [],
        "flink": ["config", "console", "process"],
        "batch": ["config", "console", "flink", "process"],
        "checks": ["config", "console", "flink"],
        "health": ["checks", "config", "console", "flink", "process"],
        "watch": ["config", "flink", "health", "process"],
        "commands": ["batch", "checks", "config", "console", "flink", "health", "process", "watch"],
    },
}
FOR_ALL = {  # the files at the top that every folder may import; the steps, and main, are none
    "transforms": {"elements"},
    "pipeline": {"graph", "options", "times", "usage_error"},
}


def imported(file: Path) -> Iterator[str]:
    """Every module that is imported anywhere in a file, also in functions, and by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield node.module or ""
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "import_module"
        ):
            yield ast.unparse(node.args[0]).strip("f'")


def against_the_arrow(file: Path) -> list[str]:
    package = file.relative_to(ROOT).parts[0]
    above = [*LOW_TO_HIGH[LOW_TO_HIGH.index(package) + 1 :], "tests", "conftest"]
    return [name for name in imported(file) if name.partition(".")[0] in above]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    allowed = ["runners.demo"] if file == ROOT / "pipeline" / "main.py" else []
    assert against_the_arrow(file) == allowed


@pytest.mark.parametrize("package", BELOW)
def test_folders_import_each_other_one_way(package: str) -> None:
    folders = {
        folder.name: sorted(folder.glob("*.py"))
        for folder in (ROOT / package).iterdir()
        if (folder / "__init__.py").is_file()
    }
    assert set(folders) == set(BELOW[package])
    for folder, files in folders.items():
        there = {
            name.split(".")[1] for file in files for name in imported(file) if name.startswith(f"{package}.")
        }
        assert there - {folder} - FOR_ALL[package] <= set(BELOW[package][folder]), folder


def test_the_test_of_imports_sees_them(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "import a.b\nfrom c import d\ndef f():\n    from e import g\n    importlib.import_module('h.i')\n"
    )
    assert sorted(imported(file)) == ["a.b", "c", "e", "h.i"]
    assert {file.relative_to(ROOT).parts[0] for file in MODULES} == set(LOW_TO_HIGH)


@pytest.mark.parametrize("name", INSTALLED)
def test_no_other_distribution_has_these_names(name: str) -> None:
    assert set(packages_distributions()[name]) == {"revision-scores"}


def test_only_the_application_is_installed() -> None:
    assert sorted((distribution("revision-scores").read_text("top_level.txt") or "").split()) == INSTALLED


def test_every_folder_is_installed() -> None:
    """An editable install finds a folder that is in no list; a wheel has not got it."""
    (call,) = [
        node
        for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    listed = next(ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == "packages")
    there = [
        file.parent.relative_to(ROOT)
        for package in INSTALLED
        for file in (ROOT / package).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(".".join(folder.parts) for folder in there)
