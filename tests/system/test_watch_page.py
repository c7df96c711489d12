"""The live page in a real browser, before a real broker: what it shows while things go well, go wrong, and
come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.process.child_process import free_port
from runners.local_kafka import LocalKafka
from runners.pictures.browser import browser
from runners.programs import Program
from tests.support.events import edit
from tests.support.watched import failure, score
from transforms.models.wikis import shipped_wikis

pytestmark = pytest.mark.kafka

PATIENCE_MS = 30_000
IMAGE, RIGHT_TO_LEFT = (
    '<img src=x onerror="window.ran = true"><script>window.ran = true</script>',
    "ويكيبيديا:الميدان",
)
MODELS = """\
lift_wing: {url: "http://127.0.0.1:1"}
streams: {score: "mediawiki.revision-score-{model}", failure: mediawiki.revision-score.error}
models:
  damaging: {namespace: some, wikis: [enwiki]}
  goodfaith: {namespace: some, wikis: [enwiki], concurrency: 0}
  appears-later: {namespace: some, wikis: [frwiki]}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright, browser(playwright) as running:
        yield running


class Sender:
    def __init__(self, kafka: LocalKafka) -> None:
        self._producer = Producer({"bootstrap.servers": kafka.address, "log_level": 0})
        self._numbers = count(1)

    def edit(self, *, ago_s: float = 0, **changes: Any) -> dict[str, Any]:
        """An edit of enwiki that came so long ago."""
        event = edit(rev_id=next(self._numbers), **changes)
        self.send("mediawiki.revision-create", orjson.dumps(event), ago_s)
        return event

    def score(self, event: dict[str, Any], model: str = "damaging", ago_s: float = 0) -> None:
        self.send(f"mediawiki.revision-score-{model}", score(event, model), ago_s)

    def send(self, stream: str, value: bytes, ago_s: float = 0) -> None:
        self._producer.produce(f"eqiad.{stream}", value, timestamp=round((time.time() - ago_s) * 1000))
        self._producer.flush()


def says(page: Page, selector: str, text: str) -> None:
    """Waits until some element of that kind has the text."""
    script = (
        "([selector, text]) => [...document.querySelectorAll(selector)].some((each) => "
        "each.textContent.includes(text))"
    )
    page.wait_for_function(script, arg=[selector, text], timeout=PATIENCE_MS)


def says_nothing_of(page: Page, selector: str, text: str) -> None:
    script = (
        "([selector, text]) => ![...document.querySelectorAll(selector)].some((each) => "
        "each.textContent.includes(text))"
    )
    page.wait_for_function(script, arg=[selector, text], timeout=PATIENCE_MS)


def test_the_page_through_a_bad_day(chromium: Browser, tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(MODELS, encoding="utf-8")
    port = free_port()
    with LocalKafka(tmp_path / "kafka") as kafka:
        streams = [
            "mediawiki.revision-create",
            "mediawiki.revision-score-damaging",
            "mediawiki.revision-score-goodfaith",
            "mediawiki.revision-score.error",
        ]
        kafka.create_topics(*(f"eqiad.{stream}" for stream in streams))
        sender = Sender(kafka)
        sender.edit(ago_s=3600)
        options = [
            "--kafka",
            kafka.address,
            "--models",
            str(models),
            "--input-topics",
            "eqiad.mediawiki.revision-create",
            "--port",
            str(port),
        ]
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        with Program("pipeline", "watch", *options) as program:
            page.goto(program.wait_for(r" at (http\S+);")[1])
            nothing_happened(page)
            everything_at_once(page, sender)
            a_topic_appears(page, kafka, sender)
            a_model_hangs_and_comes_back(page, sender)
            the_broker_goes_and_comes_back(page, kafka, sender)
            somebody_points_at_a_line(page)
            the_models_file_changes(page, models)
            fits_a_phone_and_the_dark(page)
        says(page, "#summary", "No news from `watch` since ")
        with Program("pipeline", "watch", *options):
            says(page, "#summary", "All is well: 3 models, goodfaith parked.")
        page.close()
    assert errors == []


def nothing_happened(page: Page) -> None:
    """The only edit is of an hour ago."""
    says(page, "#summary", "No event came in the last ten minutes.")
    assert page.title() == "(✕) revision scores: No event came in the last ten minutes."
    says(
        page,
        "#notes li",
        "The broker has no topic eqiad.mediawiki.revision-score-appears-later; it is shown as soon as "
        "there is one.",
    )
    assert page.locator(".model h3").all_text_contents() == ["goodfaith", "damaging", "appears-later"]
    assert page.locator(".model .badge").all_text_contents() == ["parked", "idle", "idle"]
    assert page.locator("#sources").text_content().startswith("Kafka 127.0.0.1:")  # type: ignore[union-attr]
    assert "Lift Wing" not in (page.locator("#sources").text_content() or "")
    assert (
        page.locator("#model-goodfaith .text").text_content()
        == "Parked in the models file (concurrency: 0): no edit waits."
    )
    assert page.locator("#latest td").all_text_contents() == ["No score has come yet."]
    assert page.locator("#failures li").all_text_contents() == ["None in the last ten minutes."]
    assert page.locator("#other-wikis").text_content() == "No wiki had an edit in the last ten minutes."


def everything_at_once(page: Page, sender: Sender) -> None:
    """300 wikis, garbage, failures, and titles that are markup or go from right to left."""
    for wiki in sorted(shipped_wikis().names - {"enwiki"})[:299]:
        sender.edit(database=wiki)
    for stream in (
        "mediawiki.revision-create",
        "mediawiki.revision-score-damaging",
        "mediawiki.revision-score.error",
    ):
        sender.send(stream, b'not JSON <img src=x onerror="window.ran = true">')
    for title in (IMAGE, RIGHT_TO_LEFT):
        sender.score(sender.edit(page_title=title, ago_s=32), ago_s=30)
    sender.send("mediawiki.revision-score.error", failure(sender.edit(ago_s=32), f"500: {IMAGE}"), ago_s=30)
    says(page, "#other-wikis", "Last ten minutes; 285 other wikis had edits too.")
    says(page, "#notes li", "A message of eqiad.mediawiki.revision-score-damaging is no such event.")
    says(page, "#failures bdi", f"damaging: 500: {IMAGE}")
    says(page, "#latest bdi", IMAGE)
    rows = page.locator("#latest tr").filter(has_text=RIGHT_TO_LEFT)
    assert rows.locator("td").all_text_contents()[1:] == [
        "enwiki",
        RIGHT_TO_LEFT,
        "damaging",
        "false (true 0.125)",
        rows.locator("td").nth(5).text_content(),
    ]
    assert (rows.locator("a").get_attribute("href") or "").startswith(
        "https://en.wikipedia.org/w/index.php?diff="
    )
    assert page.locator("#wikis tr").count() == 15
    assert page.locator("#wikis tr").first.locator("td").all_text_contents() == ["enwiki", "3", "2", "1"]
    assert page.evaluate("window.ran") is None
    assert page.locator("main img, main script").count() == 0
    page.locator("#model-damaging path.scored[d^=M]").wait_for(state="attached", timeout=PATIENCE_MS)


def a_topic_appears(page: Page, kafka: LocalKafka, sender: Sender) -> None:
    kafka.create_topics("eqiad.mediawiki.revision-score-appears-later")
    sender.score(sender.edit(page_title="Late", database="frwiki"), "appears-later")
    says(page, "#latest td", "appears-later")
    says_nothing_of(page, "#notes li", "no topic")


def a_model_hangs_and_comes_back(page: Page, sender: Sender) -> None:
    hung = [sender.edit(ago_s=12) for _ in range(4)]
    says(page, "#model-damaging .badge", "silent")
    says(page, "#model-damaging .text", "No answer for 1")
    says(page, "#summary", "damaging is silent.")
    assert page.title() == "(!) revision scores: damaging is silent."
    assert page.locator(".model h3").first.text_content() == "damaging"
    for event in hung:
        sender.score(event)
    says_nothing_of(page, "#model-damaging .badge", "silent")
    says(page, "#summary", "All is well")


def the_broker_goes_and_comes_back(page: Page, kafka: LocalKafka, sender: Sender) -> None:
    kafka.kill()
    says(page, "#summary", f"No broker answers at {kafka.address} (")
    assert page.locator(".model").count() == 3
    kafka.start()
    kafka.wait()
    sender.score(sender.edit(page_title="After_the_break"))
    says(page, "#latest bdi", "After the break")
    says_nothing_of(page, "#summary", "No broker answers")


def somebody_points_at_a_line(page: Page) -> None:
    card = page.locator("#model-damaging")
    box = card.locator("svg.rates").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 5)
    says(page, "#model-damaging .soft", "5 s ago, asked ")
    page.mouse.move(0, 0)
    says_nothing_of(page, "#model-damaging .soft", "5 s ago")
    assert card.locator(".axis span").all_text_contents() == ["−10 min", "−5 min", "now"]


def the_models_file_changes(page: Page, models: Path) -> None:
    models.write_text(MODELS.replace("goodfaith:", "newcomer:"), encoding="utf-8")
    says(page, ".model h3", "newcomer")
    says_nothing_of(page, ".model h3", "goodfaith")
    models.write_text("models: 7", encoding="utf-8")
    says(page, "#notes li", "The models file has been changed and cannot be used: ")
    models.write_text(MODELS, encoding="utf-8")
    says(page, ".model h3", "goodfaith")
    says_nothing_of(page, "#notes li", "cannot be used")


def fits_a_phone_and_the_dark(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) != light
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
