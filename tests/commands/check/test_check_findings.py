"""What `check` prints of all that it finds, and its exit code."""

from __future__ import annotations

import pytest

from pipeline.checks.findings import Finding, ok, skipped, tell, unseen, wrong


@pytest.mark.parametrize(
    ("findings", "last", "code"),
    [
        ([ok("a", "."), ok("b", ".")], "all is well: stream can start", 0),
        ([ok("a", "."), skipped("b", "it is elsewhere")], "all is well: stream can start, 1 skipped", 0),
        (
            [ok("a", "."), unseen("b", "no rights")],
            "nothing is wrong, 1 of 2 things could not be looked at",
            1,
        ),
        ([skipped("a", "."), unseen("b", ".")], "nothing is wrong, 1 of 2 things could not be looked at", 1),
        (
            [wrong("a", "."), unseen("b", "."), unseen("a", ".")],
            "1 of 2 things is wrong, 1 could not be looked at",
            1,
        ),
        ([wrong("a", "."), skipped("b", ".")], "1 of 2 things is wrong", 1),
    ],
)
def test_what_could_not_be_looked_at_fails(
    capsys: pytest.CaptureFixture[str], findings: list[Finding], last: str, code: int
) -> None:
    assert tell(findings) == code
    assert capsys.readouterr().out.splitlines()[-1] == last
