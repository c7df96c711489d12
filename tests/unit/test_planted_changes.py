"""What the simulator and the benchmark of upgrades change in a copy of the code is in the code."""

import pytest

from tests.benchmarks.upgrade import ANOTHER_GRAPH
from tests.simulator.mutants import MUTANTS, Mutant
from tests.support.copied_code import changed_code


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_fault_changes_the_code(mutant: Mutant) -> None:
    code = changed_code(mutant.path, {mutant.text: mutant.becomes})

    compile(code, mutant.path, "exec")


def test_another_graph_changes_the_code() -> None:
    compile(changed_code("pipeline/graph.py", ANOTHER_GRAPH), "graph", "exec")
