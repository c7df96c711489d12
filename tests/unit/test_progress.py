"""What a batch run says while it goes on."""

from __future__ import annotations

import io
import os
import pty
import re
from pathlib import Path

from pipeline.batch.progress import Progress

SCORE, FAILURE = b'[{"rev_id":1},false,false]\n', b'[{"message":"no"},true,true]\n'


def journal(folder: Path, model: str, lines: bytes) -> None:
    place = folder / "datacenter=eqiad" / model
    place.mkdir(parents=True, exist_ok=True)
    with (place / "a.jsonl").open("ab") as file:
        file.write(lines)


def test_a_line_tells_what_was_added_and_how_much_is_left(tmp_path: Path) -> None:
    journal(tmp_path, "damaging", SCORE * 7)
    with Progress(tmp_path, 4, io.StringIO()) as progress:
        assert re.fullmatch(r"0 scores, 0 failures, 0/s; 0 of 4 partitions", progress.line())
        journal(tmp_path, "damaging", SCORE * 1_200 + FAILURE + b'[{"rev_id":2},fal')
        journal(tmp_path, "goodfaith", SCORE * 3)
        progress.done = 1
        pattern = (
            r"1,203 scores \(damaging 1,200, goodfaith 3\), 1 failures, [\d,]+/s; 1 of 4 partitions, "
            r"0:00:\d\d left"
        )
        assert re.fullmatch(pattern, progress.line())
        journal(tmp_path, "damaging", b"se,false]\n")
        progress.done = 4
        assert re.fullmatch(
            r"1,204 scores \(damaging 1,201, goodfaith 3\), 1 failures, [\d,]+/s; 4 of 4 partitions",
            progress.line(),
        )


def test_on_a_terminal_the_line_is_written_over_and_gone_at_the_end(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        journal(tmp_path, "damaging", SCORE)
        with Progress(tmp_path, 0, terminal, every_s=0.01):
            said = b""
            while said.count(b"\r") < 2:
                said += os.read(ours, 1_000)
        said += os.read(ours, 1_000)
    os.close(ours)
    assert said.startswith(b"\r0 scores, 0 failures, 0/s\x1b[K")
    assert said.endswith(b"\r\x1b[K")
    assert b"\n" not in said


def test_elsewhere_it_is_a_line_now_and_then(tmp_path: Path) -> None:
    out = io.StringIO()
    with Progress(tmp_path, 0, out, every_s=0.01):
        while out.getvalue().count("\n") < 2:
            pass
    assert set(out.getvalue().splitlines()) == {"0 scores, 0 failures, 0/s"}
