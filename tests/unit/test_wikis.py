"""The table of wikis: what it says of each Wikipedia, how it is replaced, and what Lift Wing is asked for by
it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.batch import direct_runner
from pipeline.config.models_file import ConfigurationError, load
from pipeline.config.overrides import with_lift_wing_url
from pipeline.graph import score_revisions
from pipeline.main import main
from tests.support.events import ROOT, edit
from tests.support.loopback import Handler, LoopbackServer
from transforms.async_io.bundle_async import BundleAsync
from transforms.connectors.console_sink import show
from transforms.models.model import Configuration
from transforms.models.selection import Selection
from transforms.models.wikis import Wiki, Wikis, WikisError, read_wikis, shipped_wikis

# Which subdomain each Wikipedia is served at, as Lift Wing's outlink server has it from Wikimedia's
# sitematrix (661a981).
SUBDOMAINS = dict(
    line.split("\t")
    for line in (ROOT / "tests" / "data" / "wikipedia_subdomains.tsv")
    .read_text(encoding="utf-8")
    .splitlines()
)
LANGUAGES = {
    "als": "gsw",
    "bat-smg": "sgs",
    "fiu-vro": "vro",
    "roa-rup": "rup",
    "zh-classical": "lzh",
    "zh-min-nan": "nan",
    "zh-yue": "yue",
}
CHANGE: dict[str, Any] = orjson.loads((ROOT / "tests" / "data" / "page_change_1.3.0.json").read_bytes())
PAGE_CHANGE_MODELS = ROOT / "pipeline" / "page_change_models.yaml"
# Of dblists/all.dblist of August 2026.
NEW = [
    *(
        "abstractwiki",
        "bewwiktionary",
        "bolwiki",
        "isvwiki",
        "kaiwiki",
        "kajwiki",
        "madwikisource",
        "magwiki",
        "minwikibooks",
        "minwikiquote",
        "minwikisource",
    ),
    *(
        "mswikiquote",
        "nupwiki",
        "pcmwikiquote",
        "pplwiki",
        "rkiwiki",
        "thwikimedia",
        "tlwikisource",
        "tokwiki",
        "urwikisource",
        "zghwiktionary",
    ),
]


def change(rev_id: int, wiki: str) -> dict[str, Any]:
    return {**CHANGE, "wiki_id": wiki, "revision": {**CHANGE["revision"], "rev_id": rev_id}}


def test_the_shipped_table_has_every_wiki() -> None:
    table = shipped_wikis()
    assert len(table) == 1073
    assert [wiki for wiki in NEW if wiki not in table] == []
    assert {
        wiki: table.subdomain_of(wiki) for wiki in table.names - {"testwiki"} if table.subdomain_of(wiki)
    } == SUBDOMAINS
    assert {wiki: table.language_of(wiki) for wiki in SUBDOMAINS} == {
        wiki: LANGUAGES.get(subdomain, subdomain) for wiki, subdomain in SUBDOMAINS.items()
    }
    assert [
        table.language_of(wiki)
        for wiki in ("testwiki", "test2wiki", "commonswiki", "enwikibooks", "abstractwiki", "nowiki2")
    ] == ["test"] + [None] * 5


class Recording(Handler):
    """Notes what it is asked, and scores nothing."""

    def do_POST(self) -> None:  # noqa: N802
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server_of.asked.append((self.headers["Host"].partition(".")[0], body))
        answer = b'{"error": "no score here"}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class RecordingServer(LoopbackServer):
    handler, path = Recording, ""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, Any]]] = []


def address_of(service: str, body: dict[str, Any]) -> Iterator[tuple[int | str, str]]:
    """The revision or title that a server is asked about, and at which Wikipedia's address it looks for it,
    as these servers find that."""
    for one in body.get("instances", [body]):
        if service.startswith("revertrisk"):
            back = {language: subdomain for subdomain, language in LANGUAGES.items()}
            yield one["rev_id"], back.get(one["lang"], one["lang"])
        elif service == "outlink-topic-model":
            yield one["revision_id"], one.get("lang") or SUBDOMAINS.get(one["wiki_id"], one["wiki_id"])
        else:
            yield one["rev_id"] if "rev_id" in one else int(one["title"]), one["lang"]


def test_each_wikipedia_is_asked_for_at_its_own_address() -> None:
    wikis = dict(enumerate([*SUBDOMAINS, "testwiki"], 1))
    raws = [
        {**change(number, wiki), "page": {**CHANGE["page"], "page_title": str(number)}}
        for number, wiki in wikis.items()
    ]
    with RecordingServer() as server:
        configuration = with_lift_wing_url(load(PAGE_CHANGE_MODELS), server.url)
        score(configuration, raws)
        asked = [(service, place) for service, body in server.asked for place in address_of(service, body)]
    right = {number: SUBDOMAINS.get(wiki, "test") for number, wiki in wikis.items()}
    for service in (
        "revertrisk-language-agnostic",
        "outlink-topic-model",
        "article-country",
        "articlequality",
    ):
        found = {number: address for at, (number, address) in asked if at == service}
        expected = {**right, 365: "testwiki"} if service == "outlink-topic-model" else right
        assert found == expected, service
    assert {address for service, (_, address) in asked if service == "revertrisk-multilingual"} < set(
        right.values()
    )
    languages = {
        one["lang"]
        for service, body in server.asked
        if service.startswith("revertrisk")
        for one in body.get("instances", [body])
    }
    assert set(LANGUAGES.values()) <= languages
    assert not languages & set(LANGUAGES)


def score(configuration: Configuration, raws: list[dict[str, Any]]) -> None:
    import apache_beam as beam

    from transforms.elements import SourceRecord

    pipeline = direct_runner.new_pipeline([])
    score_revisions(
        pipeline,
        configuration,
        beam.Create([SourceRecord(orjson.dumps(raw), "eqiad") for raw in raws], reshuffle=False),
        beam.Map(show, None),
        BundleAsync(),
    )
    direct_runner.run(pipeline)


@pytest.fixture(scope="module")
def page_models() -> Configuration:
    return load(PAGE_CHANGE_MODELS)


def asked_for(configuration: Configuration, raw: dict[str, Any]) -> list[str]:
    return [
        endpoint.model for endpoint in Selection(configuration.models, configuration.wikis).endpoints(raw)
    ]


def test_a_wiki_that_is_not_in_the_table_is_left_to_who_needs_no_language(
    shipped: Configuration, page_models: Configuration
) -> None:
    selection = Selection(page_models.models, page_models.wikis)
    assert asked_for(page_models, change(1, "brandnewwiki")) == ["outlink-topic-model"]
    assert selection.of_unknown_wiki(change(1, "brandnewwiki"))
    assert (
        selection.explain_mismatches(change(1, "brandnewwiki"))["article-country"]
        == "wiki: wanted a Wikipedia of the table of wikis, found brandnewwiki"
    )
    assert not selection.of_unknown_wiki(change(1, "brandnewwiktionary"))
    assert asked_for(page_models, change(1, "mediawikiwiki")) == []
    assert not selection.of_unknown_wiki(change(1, "mediawikiwiki"))
    assert asked_for(shipped, edit(database="brandnewwiki")) == []


def test_a_table_of_its_own(tmp_path: Path) -> None:
    """The models file names it from its own folder on; its wikis are scored, and can be named."""
    (tmp_path / "wikis.tsv").write_text(
        "database_code\tdomain_name\tlanguage_code\tdatabase_group\tstatus\nbrandnewwiki\tbrand-new.wikipedia.org\tbnw\twikipedia\topen\n",
        encoding="utf-8",
    )
    text = PAGE_CHANGE_MODELS.read_text(encoding="utf-8")
    (tmp_path / "models.yaml").write_text(text + "\nwikis_file: wikis.tsv\n", encoding="utf-8")
    configuration = load(tmp_path / "models.yaml")
    assert len(asked_for(configuration, change(1, "brandnewwiki"))) == 4
    assert (
        configuration.wikis.language_of("brandnewwiki"),
        configuration.wikis.subdomain_of("brandnewwiki"),
    ) == ("bnw", "brand-new")
    assert pickle.loads(pickle.dumps(configuration)) == configuration
    (tmp_path / "models.yaml").write_text(
        text.replace("wikis: all", "wikis: [brandnewwiki]") + "\nwikis_file: wikis.tsv\n", encoding="utf-8"
    )
    assert len(asked_for(load(tmp_path / "models.yaml"), change(1, "brandnewwiki"))) == 4
    (tmp_path / "models.yaml").write_text(
        text.replace("wikis: all", "wikis: [enwiki]") + "\nwikis_file: wikis.tsv\n", encoding="utf-8"
    )
    with pytest.raises(
        ConfigurationError, match=r"wikis\[0\]: expected a database name of wikis_file, got 'enwiki'"
    ):
        load(tmp_path / "models.yaml")


HEAD = "database_code\tdomain_name\tlanguage_code\tdatabase_group\tstatus\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read: "),
        (
            "",
            "expected columns database_code, domain_name, language_code, database_group, status, got none "
            "called database_code, ",
        ),
        ("database_code\tdomain_name\n", "got none called database_group, language_code, status"),
        (HEAD, "expected at least one wiki, got none"),
        (
            HEAD + "../x\ta.wikipedia.org\ten\twikipedia\topen\n",
            "line 2: expected a database, its domain and language, open or closed, got ['../x', ",
        ),
        (HEAD + "awiki\ta.wikipedia.org\ten\twikipedia\n", "line 2: expected"),
        (HEAD + "awiki\ta.wikipedia.org/\ten\twikipedia\topen\n", "line 2: expected"),
        (HEAD + "awiki\ta.wikipedia.org\ten\twikipedia\tlocked\n", "line 2: expected"),
        (
            HEAD + "awiki\ta.wikipedia.org\ten\twikipedia\topen\n" * 2,
            "line 3: expected each wiki once, got awiki again",
        ),
        (HEAD + "\udcff\n", "cannot be read: "),
    ],
)
def test_a_table_that_cannot_be_used_is_told(tmp_path: Path, text: str | None, problem: str) -> None:
    file = tmp_path / "wikis.tsv"
    if text is not None:
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(WikisError) as error:
        read_wikis(file)
    assert str(error.value).startswith(f"{file}: ")
    assert problem in str(error.value)


def test_the_shipped_table_travels_by_name() -> None:
    assert pickle.loads(pickle.dumps(shipped_wikis())) is shipped_wikis()
    assert len(pickle.dumps(shipped_wikis())) < 100
    other = Wikis([Wiki("awiki", "a.wikipedia.org", "a", "wikipedia", "open")])
    assert pickle.loads(pickle.dumps(other)) == other != shipped_wikis()


def sitematrix(table: Wikis, version: int) -> dict[str, Any]:
    """As includes/ApiSiteMatrix.php of SiteMatrix answers, in either format version."""
    languages: dict[str, Any] = {}
    specials = []
    codes = {"wikipedia": "wiki"}
    for wiki in table:
        site: dict[str, Any] = {
            "url": f"https://{wiki.domain}",
            "dbname": wiki.database,
            "code": codes.get(wiki.group, wiki.group),
        }
        if wiki.status == "closed":
            site["closed"] = True if version == 2 else ""
        if wiki.group in (
            "wikipedia",
            "wiktionary",
            "wikibooks",
            "wikinews",
            "wikiquote",
            "wikisource",
            "wikiversity",
            "wikivoyage",
        ):
            languages.setdefault(wiki.language, {"code": wiki.language, "site": []})["site"].append(
                {**site, "lang": wiki.language}
            )
        else:
            specials.append({**site, "lang": wiki.language})
    groups = {str(number): language for number, language in enumerate(languages.values())}
    return {"sitematrix": {"count": len(table), **groups, "specials": specials}}


class Api(Handler):
    def do_GET(self) -> None:  # noqa: N802
        self.server_of.asked.append((self.path, self.headers["User-Agent"]))
        self.send_response(self.server_of.status)
        self.send_header("Content-Length", str(len(self.server_of.answer)))
        self.end_headers()
        self.wfile.write(self.server_of.answer)


class ApiServer(LoopbackServer):
    handler, path = Api, "/w/api.php"

    def __init__(self, answer: bytes, status: int = 200) -> None:
        super().__init__()
        self.answer, self.status = answer, status
        self.asked: list[tuple[str, str]] = []


@pytest.mark.parametrize("version", [1, 2])
def test_a_sitematrix_becomes_the_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, version: int
) -> None:
    newest = Wikis(
        [*shipped_wikis(), Wiki("brandnewwiki", "brand-new.wikipedia.org", "bnw", "wikipedia", "open")]
    )
    with ApiServer(orjson.dumps(sitematrix(newest, version))) as server:
        assert main(["wikis", "--sitematrix", server.url]) == 0
    printed = capsys.readouterr()
    (tmp_path / "wikis.tsv").write_text(printed.out, encoding="utf-8")
    assert read_wikis(tmp_path / "wikis.tsv") == newest
    assert printed.err == "1074 wikis; new: brandnewwiki; gone: none\n"
    ((asked, agent),) = server.asked
    assert asked.startswith("/w/api.php?action=sitematrix&format=json&formatversion=2&")
    assert re.match("revision-scores", agent)


def test_without_an_address_the_table_in_use_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wikis"]) == 0
    assert capsys.readouterr().out.encode() == (ROOT / "transforms" / "models" / "wikis.tsv").read_bytes()


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        (b"nonsense", 200, ""),
        (b"[]", 200, "expected a sitematrix, got []"),
        (b'{"error": {"code": "badvalue"}}', 200, "expected a sitematrix, got {'error'"),
        (b'{"sitematrix": {"count": 0}}', 200, "expected a sitematrix of wikis, got none"),
        (
            b'{"sitematrix": {"count": 9}, "query-continue": {}}',
            200,
            "expected the whole sitematrix, got 9 wikis in more than one answer",
        ),
        (
            b'{"sitematrix": {"specials": [{"url": "https://[", "dbname": "a", "code": "a", "lang": "en"}]}}',
            200,
            "",
        ),
        (
            b'{"sitematrix": {"0": {"code": "en", "site": [{"dbname": "enwiki"}]}}}',
            200,
            "expected a wiki of the sitematrix",
        ),
        (b'{"sitematrix": {"0": 7}}', 200, "expected a wiki of the sitematrix"),
        (b"", 404, "404 Client Error"),
    ],
)
def test_an_answer_that_is_no_sitematrix_is_told(
    capsys: pytest.CaptureFixture[str], answer: bytes, status: int, problem: str
) -> None:
    with ApiServer(answer, status) as server:
        assert main(["wikis", "--sitematrix", server.url]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"revision-scores wikis: --sitematrix: {server.url}: ")
    assert problem in printed.err
    assert printed.out == ""


def test_the_table_of_a_command_is_that_of_its_models_file(page_models: Configuration) -> None:
    from pipeline.config.overrides import Overrides, apply_overrides

    table = Wikis([Wiki("brandnewwiki", "brand-new.wikipedia.org", "bnw", "wikipedia", "open")])
    configuration = replace(page_models, lift_wing=replace(page_models.lift_wing, wikis=table))
    chosen = apply_overrides(configuration, Overrides(wikis="brandnewwiki"))
    assert len(asked_for(chosen, change(1, "brandnewwiki"))) == 4
