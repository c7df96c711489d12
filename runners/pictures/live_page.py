"""Pictures of the live page for the documents: `python -m runners.pictures.live_page docs/pictures`, which
takes some four minutes.

A real broker and Flink, real edits, a simulated Lift Wing; then one model hangs, and comes back.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import requests
from playwright.sync_api import Page, ViewportSize, sync_playwright

from pipeline.config.models_file import load
from pipeline.config.topics import input_topics, output_topics
from runners.local_kafka import LocalKafka
from runners.pictures.browser import browser
from runners.played_edits import Excerpt, PlayedEdits
from runners.programs import SHIPPED_MODELS, Program, SimulatedLiftWingProgram

_EVENTS_PER_SECOND, _SECONDS = 20, 400
_HUNG = "damaging"
_WIDE, _PHONE = ViewportSize(width=1240, height=860), ViewportSize(width=390, height=844)
_PATIENCE_MS, _TEN_SLICES_MS = 120_000, 50_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    configuration = load(SHIPPED_MODELS)
    inputs = input_topics(configuration, None)
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        lift_wing = stack.enter_context(SimulatedLiftWingProgram("--latency", "lognormal:0.3:1.6")).url
        kafka = stack.enter_context(LocalKafka(state / "kafka"))
        kafka.create_topics(*inputs, *output_topics(configuration, inputs))
        where = ["--kafka", kafka.address, "--lift-wing", lift_wing]
        stream = stack.enter_context(
            Program("pipeline", "stream", *where, "--state", str(state / "stream"), "--from", "earliest")
        )
        flink = stream.wait_for(r"; Flink at (\S+),")[1]
        watch = stack.enter_context(Program("pipeline", "watch", *where, "--flink", flink, "--port", "0"))
        page = stack.enter_context(browser(stack.enter_context(sync_playwright()))).new_page(viewport=_WIDE)
        page.goto(watch.wait_for(r" at (http\S+);")[1])
        PlayedEdits(configuration, kafka.address, Excerpt(_EVENTS_PER_SECOND, _SECONDS)).start()
        _take_pictures(page, lift_wing, folder)


def _take_pictures(page: Page, lift_wing: str, folder: Path) -> None:
    _wait_for(page, _HUNG, "ok")
    page.wait_for_timeout(2 * _TEN_SLICES_MS)  # lines need something to show
    page.screenshot(path=folder / "well.png")
    requests.post(
        f"{lift_wing}/control", json={"mode": "hang", "model": _HUNG}, timeout=10
    ).raise_for_status()
    _wait_for(page, _HUNG, "broken")
    page.screenshot(path=folder / "hung.png")
    requests.delete(f"{lift_wing}/control", timeout=10).raise_for_status()
    _wait_for(page, _HUNG, "ok")
    page.wait_for_timeout(_TEN_SLICES_MS)
    page.screenshot(path=folder / "back.png")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(_PHONE)
    page.screenshot(path=folder / "phone.png")


def _wait_for(page: Page, model: str, state: str) -> None:
    page.locator(f"#model-{model}[data-state={state}]").wait_for(timeout=_PATIENCE_MS)


if __name__ == "__main__":
    main()
