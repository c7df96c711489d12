"""What a models file can have wrong in `lift_wing:` and `streams:`."""

from __future__ import annotations

import re

import pytest

from tests.support.models_files import HEAD, REPAIRED_TEMPLATE, TEMPLATE, URL, damaging


@pytest.mark.parametrize(
    ("lift_wing", "problem"),
    [
        ("{}", f"{URL}, got nothing; add url: https://inference.discovery.wmnet:30443"),
        *[
            (f'{{url: "{url}"}}', f"{URL}, got '{url}'; write url: https://inference.discovery.wmnet:30443")
            for url in (
                "inference:30443",
                "ftp://h",
                "https://",
                "https://h:x",
                "https://h:99999",
                "https://h/?a=b",
                "https://u@h",
                "http://a b",
                "http://[::1",
            )
        ],
        (
            "{url: http://h, timeout_s: 0}",
            "timeout_s: expected a number of seconds above 0, got 0; write timeout_s: 30",
        ),
        (
            "{url: http://h, timeout_s: true}",
            "timeout_s: expected a number of seconds above 0, got true; write timeout_s: 30",
        ),
        (
            "{url: http://h, max_age_s: .inf}",
            "max_age_s: expected a number of seconds above 0, got inf; write max_age_s: 30",
        ),
        (
            "{url: http://h, max_age_s: .nan}",
            "max_age_s: expected a number of seconds above 0, got nan; write max_age_s: 30",
        ),
        (
            "{url: http://h, in_flight: 1.5}",
            "in_flight: expected a whole number of at least 1, got 1.5; write in_flight: 5",
        ),
        (
            "{url: http://h, ca_file: none.pem}",
            "ca_file: expected a PEM file that exists, got 'none.pem'; write ca_file: "
            "/etc/ssl/certs/ca-certificates.crt",
        ),
        (
            "{url: http://h, timeout: 3}",
            "timeout: expected one of url, timeout_s, max_age_s, in_flight, calls_per_s, ca_file, "
            "token_file, contact, got 'timeout'; did you mean timeout_s?",
        ),
    ],
)
def test_a_wrong_lift_wing(problems, lift_wing, problem):
    text = damaging("").replace('{url: "https://lift.wing"}', lift_wing)
    assert problems(text) == [f"models.yaml: lift_wing.{problem}"]


@pytest.mark.parametrize(
    ("streams", "problem"),
    [
        ("{failure: f}", f"{TEMPLATE}, got nothing; add {REPAIRED_TEMPLATE}"),
        (
            "{failure: f, score: revision-score}",
            f"{TEMPLATE}, got 'revision-score'; write {REPAIRED_TEMPLATE}",
        ),
        (
            '{failure: f, score: "{wiki}-{model}"}',
            f"{TEMPLATE}, got '{{wiki}}-{{model}}'; write {REPAIRED_TEMPLATE}",
        ),
        ('{failure: f, score: "s {model}"}', f"{TEMPLATE}, got 's {{model}}'; write {REPAIRED_TEMPLATE}"),
        (
            '{score: "s-{model}"}',
            "failure: expected a stream name of letters, digits and ._-, got nothing; add failure: "
            "mediawiki.revision-score.error",
        ),
        (
            '{score: "s-{model}", failure: f, datacenters: eqiad}',
            "datacenters: expected a list of different datacenter names, got 'eqiad'; write datacenters: "
            "[eqiad, codfw]",
        ),
        (
            '{score: "s-{model}", failure: f, datacenters: [eqiad, eqiad]}',
            "datacenters: expected a list of different datacenter names, got a list; write datacenters: "
            "[eqiad, codfw]",
        ),
    ],
)
def test_wrong_streams(problems, streams, problem):
    text = re.sub("streams: .*", lambda _: f"streams: {streams}", damaging(""))
    assert problems(text) == [f"models.yaml: streams.{problem}"]


def test_each_stream_and_its_table_has_one_owner(problems):
    models = "".join(
        f"  {name}: {{namespace: n, wikis: [enwiki]{more}}}\n"
        for name, more in {
            "a": ", stream: x.y",
            "b": ", stream: x.y",
            "c": ", stream: X-y",
            "d": ", stream: revision-score.error",
            "e-e": "",
            "e_e": "",
        }.items()
    )
    assert problems(f"{HEAD}models:\n{models}") == [
        "models.yaml: models.b.stream: expected a stream of its own, got 'x.y', which is models.a.stream "
        "too; write another name",
        "models.yaml: models.c.stream: expected a stream of its own, got 'X-y', which has the Hive table "
        "x_y of models.a.stream 'x.y' too; write another name",
        "models.yaml: models.d.stream: expected a stream of its own, got 'revision-score.error', which is "
        "streams.failure too; write another name",
        "models.yaml: models.e_e.stream: expected a stream of its own, got 'revision-score-e_e', "
        "which has the Hive table revision_score_e_e of models.e-e.stream 'revision-score-e-e' too; write "
        "another name",
    ]
