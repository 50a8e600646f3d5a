"""Rivo's lists with dlt alone: into a DuckDB file, merged by id, and into Parquet files, replaced whole.

    uv run python examples/plain_dlt.py [FOLDER]

It reads the sandbox store. For your shop leave `api_key` and `api_url` out, and put the key where dlt looks for
secrets: `sources.rivo.api_key` in .dlt/secrets.toml, or SOURCES__RIVO__API_KEY in the environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")  # dlt would warn that JSON columns arrive as text

import dlt

from pipelines.rivo.source import rivo
from sandbox import Program, serve


def load(folder: Path, api_key: str, api_url: str) -> dict[str, dict[str, int]]:
    """Load all lists into a DuckDB file and into Parquet files; returns the rows of each table, by destination."""
    destinations: dict[str, tuple[Any, dict[str, Any]]] = {
        # Merged by id: a second run replaces the rows that it finds again.
        "duckdb": (dlt.destinations.duckdb(str(folder / "rivo.duckdb")), {}),
        # Plain files cannot be merged into, so they are replaced whole.
        "parquet": (
            dlt.destinations.filesystem((folder / "parquet").absolute().as_uri()),
            {"write_disposition": "replace", "loader_file_format": "parquet"},
        ),
    }
    rows = {}
    for name, (destination, options) in destinations.items():
        pipeline = dlt.pipeline(
            f"rivo_{name}", str(folder / "dlt"), destination=destination, dataset_name="loyalty"
        )
        pipeline.run(rivo(api_key=api_key, api_url=api_url, rate_limit=1000), **options)
        rows[name] = dict(pipeline.dataset().row_counts().fetchall())
    return rows


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "data/plain_dlt")
    folder.mkdir(parents=True, exist_ok=True)
    with serve(Program(), rate_limit=0) as store:
        for name, counts in load(folder, store.key, store.url).items():
            print(name, counts)
