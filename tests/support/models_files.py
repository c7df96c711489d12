"""Models files that are right but for what a test adds, and what is said of some that are wrong."""

from __future__ import annotations

from tests.support.events import ROOT

SHIPPED = ROOT / "pipeline" / "models.yaml"
KINDS = (
    "edit, main_edit, bot_edit, nonbot_edit, page_creation, main_creation, bot_page_creation, "
    "nonbot_page_creation"
)
LIFT_WING_KEYS = "url, timeout_s, max_age_s, in_flight, calls_per_s, ca_file, token_file, contact"
MODEL_KEYS = (
    "namespace, on, concurrency, enabled, url, stream, match, match_not, call_s, mediawiki_calls, "
    "wikis, kind, source, service"
)
# what is said of a wrong address and a wrong name of streams, and what is proposed
URL = "url: expected an http or https address without user, query or fragment"
TEMPLATE = "score: expected a stream name of letters, digits and ._- with {model} in it"
REPAIRED_TEMPLATE = 'score: "mediawiki.revision-score-{model}"'
HEAD = """\
lift_wing: {url: "https://lift.wing"}
streams: {score: "revision-score-{model}", failure: revision-score.error}
"""


def damaging(line: str) -> str:
    """A models file that is right but for one line of its model."""
    return f"{HEAD}models:\n  damaging:\n    namespace: revscoring\n    wikis: [enwiki]\n    {line}\n"
