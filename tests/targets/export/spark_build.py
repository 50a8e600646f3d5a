"""Builds an exported project by dbt in a local Spark. Runs in the environment of dbt, not in that of the tests.

Usage: spark_build.py PROJECT RAW OUTPUT [OPTIONS OF dbt build]. RAW has a Parquet file for each source table, named
`schema.table.parquet`. OUTPUT gets a folder of Parquet files for each model, and `seconds.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from dbt.cli.main import dbtRunner
from pyspark.sql import SparkSession

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.sources.default": "parquet",
    "spark.sql.legacy.createHiveTableByDefault": "false",
    # For tables of a few rows: one partition, and no time for planning or compiling.
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.memory": "2g",
    "spark.log.level": "OFF",
}


def main(project: Path, raw: Path, output: Path, options: list[str]) -> None:
    started = time.monotonic()
    builder = SparkSession.builder.master("local[2]").config(
        "spark.sql.warehouse.dir", str(output / "warehouse")
    )
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for file in sorted(raw.glob("*.parquet")):
        schema, table = file.stem.split(".")
        spark.sql(f"create schema if not exists {schema}")
        spark.sql(f"create table {schema}.{table} using parquet location '{file}'")
    seconds = {"session and sources": time.monotonic() - started}
    os.chdir(project)
    # dbt-spark's session method takes the session that exists.
    started = time.monotonic()
    done = dbtRunner().invoke(["--quiet", "--no-use-colors", "--log-level-file", "none", "build", *options])
    if done.exception:
        raise done.exception
    seconds["dbt build"] = time.monotonic() - started
    started = time.monotonic()
    for [schema] in spark.sql("show schemas like 'rivo_*'").collect():
        for row in spark.sql(f"show views in {schema}").collect():
            spark.table(f"{schema}.{row.viewName}").write.parquet(
                str(output / "warehouse" / f"{schema}.db" / row.viewName)
            )
    seconds["views"] = time.monotonic() - started
    (output / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    project, raw, output = (Path(argument).absolute() for argument in sys.argv[1:4])
    main(project, raw, output, sys.argv[4:])
