"""Each PTransform says in one form what it takes and gives."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.events import ROOT

FORM = re.compile(r".+?\.\n\nIn: .+?\.\nOut: .+?\.\nBounded: .+?\.\nGuarantee: .+?\.", re.DOTALL)


def transforms() -> dict[str, str]:
    """The docstring of each, by its name."""
    found = {}
    for package in ("transforms", "pipeline"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and any(
                    "PTransform" in ast.unparse(of) for of in node.bases
                ):
                    found[node.name] = ast.get_docstring(node) or ""
    return found


@pytest.mark.parametrize(("name", "docstring"), transforms().items())
def test_a_transform_says_what_comes_in_and_out_and_what_is_guaranteed(name: str, docstring: str) -> None:
    assert FORM.fullmatch(docstring), name


def test_the_five_steps_are_among_them() -> None:
    steps = {"ReadEvents", "SelectModels", "ScoreWithLiftWing", "BuildRevisionScore", "WritePerModel"}
    assert steps <= transforms().keys()
