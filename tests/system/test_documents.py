"""What the documents say can be done is done here, word by word; what they point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from pipeline.main import parse
from pipeline.process.child_process import free_port
from pipeline.usage_error import UsageError
from runners.pictures import graph as graph_picture
from tests.support.documents import NOT_HERE, Shell, commands
from tests.support.events import ROOT

DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCUMENTS]
OPERATE, MODELS, DATASETS = (ROOT / "docs" / f"{name}.md" for name in ("operate", "models", "datasets"))
RUN = {OPERATE, MODELS, DATASETS}  # by the tests below
SHOWN = re.compile(
    r"(?:^|[`\s(])((?:revision-scores|python -m (?:pipeline|runners(?:\.\w+)+|tests(?:\.[\w…]+)+))(?: "
    r"[^`\n#|&;>]+)?)"
)


def names_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [
        link
        for link in re.findall(r'\]\(([^)]+)\)|src="([^"]+)"', text)
        for link in link
        if link and not link.startswith("http")
    ]
    for link in links:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [
                re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
            ], link


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    """Those of this project: the module is there, and a subcommand takes these options."""
    for shown in SHOWN.findall(page.read_text(encoding="utf-8")):
        words = shown.strip().split()
        program, arguments = (words[0], words[1:]) if words[0] == "revision-scores" else (words[2], words[3:])
        if program in ("revision-scores", "pipeline"):
            # else a name, or a pattern
            if len(arguments) > 1 and not any("…" in word or word.isupper() for word in arguments):
                takes(arguments)
        elif not program.endswith(("…", "NAME")):
            module = ROOT / program.replace(".", "/")
            assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), shown


def takes(arguments: list[str]) -> None:
    try:
        unknown = parse([word.strip("'\"") for word in arguments]).beam_options
    except (SystemExit, UsageError) as error:
        raise AssertionError(f"revision-scores does not take {arguments}") from error
    assert [
        word
        for word in unknown
        if word.startswith("--") and not word.startswith(("--runner", "--flink_master", "--parallelism"))
    ] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=names_of)
def test_every_target_of_make_that_is_named_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert (
        set(re.findall(r"(?:`|^|&& )make ([\w-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        <= targets
    )


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_every_path_that_is_named_is_there(page: Path) -> None:
    named = re.findall(
        r"`((?:pipeline|transforms|schemas|runners|tests|docs)/[\w./-]+)`", page.read_text(encoding="utf-8")
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=names_of)
def test_no_line_of_text_is_too_long_to_read(page: Path) -> None:
    """But for tables, links and commands."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "<")) and "](" not in line]
    assert [line for line in lines if len(line) > 160] == []


def test_every_block_of_commands_is_run() -> None:
    assert {page for page in DOCUMENTS if commands(page)} == RUN


def test_the_picture_of_the_graph_is_of_this_graph() -> None:
    assert (ROOT / "docs" / "graph.svg").read_text(encoding="utf-8") == graph_picture.svg(), (
        "python -m runners.pictures.graph > docs/graph.svg"
    )


def followed(page: Path, folder: Path) -> dict[str, list[str]]:
    """What each command of a page without Flink said."""
    said = {}
    lift_wing, hdfs = free_port(), free_port()
    ports = {"8080": lift_wing, "8020": hdfs}
    words = {
        f"{before}{port}": f"{before}{free}"
        for port, free in ports.items()
        for before in ("--port ", "127.0.0.1:")
    }
    with Shell(folder, words) as shell:
        for command in commands(page):
            code, said[command] = shell.run(command)
            assert code == 0, "\n".join([command, *said[command]])
    assert_git_ignores_what_is_left(folder)
    return said


def assert_git_ignores_what_is_left(folder: Path) -> None:
    """Whoever follows a page in a checkout finds it as clean as before."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    assert {path.name for path in folder.iterdir()} - {"runners", "pipeline"} <= ignored


def test_a_stream_that_is_shown_reads_the_edits_that_are_played_right_after_it() -> None:
    shown = [(page, command) for page in PAGES for command in commands(page)]
    played = {page for page, command in shown if "played_edits" in command}
    first = {
        page: next(command for of_page, command in shown if of_page == page and "scores stream" in command)
        for page in played
    }
    assert played == {ROOT / "README.md", OPERATE}
    assert [page for page, command in first.items() if "--from earliest" not in command] == []


def test_a_model_can_be_added_by_the_page(tmp_path: Path) -> None:
    said = followed(MODELS, tmp_path)
    assert (
        len(
            said[
                "revision-scores explain --models pipeline/models.yaml runners/data/edits_2023-01.jsonl.gz "
                "| head -n 5"
            ]
        )
        == 5
    )


def test_datasets_can_be_made_by_the_page_and_joined_as_consumers_are_told(tmp_path: Path) -> None:
    said = followed(DATASETS, tmp_path)
    (query,) = re.findall(
        r"^```sql\n(.+?)^```$",
        (ROOT / "docs" / "consume.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    with duckdb.connect() as connection:
        connection.execute(f"set file_search_path = '{tmp_path}'")
        connection.execute(
            "\n".join(said["revision-scores tables scores --dialect duckdb --only damaging,goodfaith"])
        )
        rows = connection.execute(query).fetchall()
    assert len(rows) > 100
    assert {wiki for wiki, *_ in rows} == {"frwiki", "cswiki"}
    assert all(0 <= damaging <= 1 and 0 <= goodfaith <= 1 for _, _, damaging, goodfaith in rows)


@pytest.mark.flink
def test_operate_leads_from_nothing_to_a_cluster_an_upgrade_and_a_replay(tmp_path: Path) -> None:
    # some are taken a minute from now
    kafka, lift_wing, flink, workers, page, metrics = (free_port() for _ in range(6))
    other_ports = {
        "--port 9092": f"--port {kafka}",
        "localhost:9092": f"localhost:{kafka}",
        "--port 8080": f"--port {lift_wing}",
        "127.0.0.1:8080": f"127.0.0.1:{lift_wing}",
        "runners.local_flink": f"runners.local_flink --port {flink} --workers-port {workers} "
        f"--metrics-port {metrics}",
        "localhost:8081 --port 8888": f"localhost:{flink} --port {page}",
        "localhost:8081": f"localhost:{flink} --workers 127.0.0.1:{workers}",
        "--port 8888": f"--port {page}",
    }
    said_of: dict[str, list[str]] = {}
    with Shell(tmp_path, other_ports) as shell:
        for command in commands(OPERATE):
            if not command.startswith(NOT_HERE):
                code, said_of[command] = shell.run(command)
                assert code == 0, "\n".join([command, *shell.lines])
        (checked,) = [
            said for command, said in said_of.items() if command.startswith("revision-scores check")
        ]
        assert checked[-1] == "all is well: stream can start"
        (stopped,) = [said for command, said in said_of.items() if command.startswith("kill")]
        assert "stopped with a savepoint; a new run goes on from it" in stopped
        tried, replayed = (
            said for command, said in said_of.items() if command.startswith("revision-scores replay")
        )
        # the stream says things meanwhile
        assert any(re.match(r"[1-9]\d* failures in .*, [1-9]\d* to try again$", line) for line in tried), (
            tried
        )
        assert "none failed again" in replayed
    assert_git_ignores_what_is_left(tmp_path)
