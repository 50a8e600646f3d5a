"""Reads the lists of the benchmark store into DuckDB, in a process of its own so that peak memory can be measured.

`python -m benchmarks.readers HOW URL FOLDER` prints one line of JSON: seconds and peak memory in MB.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.store import TEMPLATES

# dlt imports these while it runs: pandas and Arrow's datasets for tables, SQLAlchemy to print a credential.
NEEDED_LATER_BY_DLT = ("pandas", "pyarrow.dataset", "sqlalchemy", "dlt.destinations.impl.duckdb.duck")


def ours(url: str, folder: Path) -> None:
    """Sync all lists with this project and publish."""
    from pydantic import SecretStr

    from pipelines.load.sync import sync_lists
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse
    from pipelines.warehouse.raw_tables import ensure_tables, write_settings

    rate = float(os.environ.get("BENCH_RATE", "100000"))
    settings = Settings(api_key=SecretStr("benchmark-key"), api_url=url, rate_limit=rate)
    with Warehouse(folder / "rivo.duckdb").build() as build:
        ensure_tables(build.connection)
        write_settings(build.connection, settings.timezone)
        results = list(sync_lists(build, settings))
        build.publish()
    assert all(result.complete for result in results), results


def floor(url: str, folder: Path) -> None:
    """Do the least that is possible: fetch the pages one after the other and load them with DuckDB's JSON reader."""
    import duckdb
    import orjson
    import urllib3

    pool = urllib3.PoolManager()
    connection = duckdb.connect(str(folder / "floor.duckdb"))
    for name in TEMPLATES:
        since_id: int | None = 0
        page = 0
        while since_id is not None:
            address = f"{url}/{name}?pagination[since_id]={since_id}&pagination[limit]=250"
            body = pool.request("GET", address, headers={"Authorization": "benchmark-key"}).data
            (folder / f"{name}-{page:06}.json").write_bytes(body)
            # The links come first, so the cursor can be read without parsing the rows.
            since_id = orjson.loads(body[body.index(b"{", 1) : body.index(b"}") + 1])["next_since_id"]
            page += 1
        connection.execute(
            f"create table {name} as select unnest(item.attributes) from (select unnest(data) as item "
            f"from read_json('{folder}/{name}-*.json', maximum_object_size = 100000000))"
        )
    connection.close()


def rest_api(url: str, folder: Path) -> None:
    """Load the lists with dlt's declarative rest_api source and its default settings."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "headers": {"Authorization": "benchmark-key"},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "links.next_since_id",
                    "cursor_param": "pagination[since_id]",
                },
            },
            "resources": [
                {
                    "name": name,
                    "endpoint": {"path": name, "params": {"pagination[limit]": 250}, "data_selector": "data"},
                }
                for name in TEMPLATES
            ],
        }
    )
    pipeline = dlt.pipeline(
        "benchmark",
        destination=dlt.destinations.duckdb(str(folder / "rest_api.duckdb")),
        dataset_name="rivo",
        pipelines_dir=str(folder / "dlt"),
    )
    pipeline.run(source)


def main() -> None:
    """Run the reader named on the command line and print its figures."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    how, url, folder = sys.argv[1:4]
    ways = {"ours": ours, "floor": floor, "rest_api": rest_api}
    # Imports are not part of the measurement, so every module is loaded before the clock starts.
    for module in (*NEEDED_LATER_BY_DLT, "pipelines.load.sync"):
        import_module(module)

    started, cpu = time.perf_counter(), time.process_time()
    ways[how](url, Path(folder))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": round(peak)}))


if __name__ == "__main__":
    main()
