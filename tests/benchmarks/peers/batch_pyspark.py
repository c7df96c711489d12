"""The batch job on Spark: `mapInPandas`, in which each task has a pool of threads with `requests` work on its
events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pandas as pd
import requests
from batch_by_hand import TRIES, options
from by_hand import Call, Rules, score_event
from pyspark.sql import SparkSession
from pyspark.sql.functions import col

TASKS = 2  # at once: a core each
META = ", ".join(f"{name}: string" for name in ("stream", "id", "dt", "request_id", "domain", "uri"))
PERFORMER = (
    "user_text: string, user_groups: array<string>, user_is_bot: boolean, user_id: bigint, "
    "user_registration_dt: string, user_edit_count: bigint"
)
SCORES = (
    "map<string, struct<model_name:string, model_version:string, prediction:array<string>, "
    "probability:map<string,double>>>"
)
COLUMNS = {
    "model": "string",
    "_schema": "string",
    "dt": "string",
    "meta": f"struct<{META}>",
    "database": "string",
    "page_id": "bigint",
    "page_title": "string",
    "page_namespace": "bigint",
    "page_is_redirect": "boolean",
    "rev_id": "bigint",
    "rev_parent_id": "bigint",
    "rev_timestamp": "string",
    "performer": f"struct<{PERFORMER}>",
    "scores": SCORES,
}


def scored(
    lift_wing: str, rules_file: str, in_flight: int
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def score_of(work: tuple[requests.Session, dict[str, Any], Call]) -> dict[str, Any] | None:
        session, event, (model, host, path) = work
        for _ in range(TRIES):
            answer = session.post(
                lift_wing + path, json={"rev_id": event["rev_id"]}, headers={"Host": host}, timeout=30
            )
            if answer.status_code == 200:
                row = score_event(event, model, answer.content)
                return {"model": model, "_schema": row.pop("$schema"), **row}
        return None

    def of_task(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        rules = Rules(rules_file)
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=in_flight, pool_block=True))
        with ThreadPoolExecutor(in_flight) as pool:
            for frame in frames:
                read = map(orjson.loads, frame["value"])
                rows = pool.map(
                    score_of, [(session, event, call) for event in read for call in rules.calls(event)]
                )
                yield pd.DataFrame([row for row in rows if row], columns=list(COLUMNS))

    return of_task


def main() -> None:
    arguments = options().parse_args()
    builder = (
        SparkSession.builder.master(f"local[{TASKS}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
    )
    spark = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "10000").getOrCreate()
    lines = spark.read.option("recursiveFileLookup", "true").text(arguments.input)
    columns = ", ".join(f"`{name}` {kind}" for name, kind in COLUMNS.items())
    scores = lines.mapInPandas(
        scored(arguments.lift_wing, arguments.rules, arguments.in_flight // TASKS), columns
    )
    scores.withColumn("table", col("model")).drop("model").write.partitionBy("table").parquet(
        arguments.output
    )
    java = spark.sparkContext._gateway.proc
    spark.stop()
    java.stdin.close()
    java.wait()  # so that what it used is counted


if __name__ == "__main__":
    main()
