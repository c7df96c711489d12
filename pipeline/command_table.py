"""Each command with its line of help and its example, before its module is loaded, which takes a second or
two."""

from __future__ import annotations

from typing import NamedTuple

_SITEMATRIX = "https://meta.wikimedia.org/w/api.php"


class Command(NamedTuple):
    """What --help says of a command."""

    help: str
    example: str
    takes_beam_options: bool = False


COMMANDS = {
    "stream": Command(
        "score events as they come, from Kafka to Kafka, on Flink",
        "stream --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
        takes_beam_options=True,
    ),
    "check": Command(
        "look at all that a run of `stream` with the same options needs, and say what is wrong",
        "check --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
        takes_beam_options=True,
    ),
    "replay": Command(
        "try again what failed in a stream, with the models file as it is now",
        "replay --kafka broker:9092 --only damaging --reason '^503' --dry-run",
        takes_beam_options=True,
    ),
    "watch": Command(
        "show on a page what a stream does, while it happens",
        "watch --kafka broker:9092 --flink jobmanager:8081 --port 8080",
    ),
    "regenerate": Command(
        "score the events in files, into one dataset per model",
        "regenerate --input event/mediawiki_revision_create --output scores --only damaging",
        takes_beam_options=True,
    ),
    "audit": Command(
        "say which scores of the events in files a dataset has not, or has of an older model; calls nothing",
        "audit --input event/mediawiki_revision_create --scores scores --list holes.jsonl",
    ),
    "scores": Command(
        "all models' scores of one revision, out of the datasets",
        "scores scores --wiki enwiki --rev-id 1136001000",
    ),
    "tables": Command(
        "statements that make tables of the datasets", "tables hdfs:///wmf/data/event | hive -f /dev/stdin"
    ),
    "sanitize": Command(
        "of the datasets, what may be kept for good, in tables beside them",
        "sanitize event --output event_sanitized",
    ),
    "compact": Command(
        "of the datasets, tables with a partition a day or a month, in files of a sensible size",
        "compact scores --by month",
    ),
    "publish": Command(
        "what the datasets have, in tables of Iceberg, a snapshot for what is new",
        "publish scores --catalog lake --namespace event",
    ),
    "combine": Command(
        "what all models said of a revision as one row, in a table beside the datasets "
        "(mediawiki_revision_score)",
        "combine scores",
    ),
    "live": Command(
        "score public edits as they come, by Lift Wing's public gateway",
        "live --wikis enwiki --only damaging --contact you@example.org",
        takes_beam_options=True,
    ),
    "import-changeprop": Command(
        "the liftwing block of ChangeProp's values file as a models file",
        "import-changeprop values-production.yaml > models.yaml",
    ),
    "explain": Command(
        "say for each event which models are called and why not; calls nothing", "explain events.jsonl.gz"
    ),
    "models": Command("list all models, endpoints and streams; checks the models file", "models enwiki"),
    "wikis": Command(
        "print the table of wikis, or a newer one, for wikis_file of a models file",
        f"wikis --sitematrix {_SITEMATRIX} > wikis.tsv",
    ),
    "coverage": Command("what ORES precached beside what the models file scores; calls nothing", "coverage"),
}
DEMO = {
    "demo": Command(
        "show both modes with a real broker, a real Flink and real edits, in about a minute", "demo"
    )
}
