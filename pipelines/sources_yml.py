"""Writes the raw tables as dbt's `sources:`, so that the SQL project can be read, and moved, without this one.

`python -m pipelines.sources_yml` prints the file `dbt_like_sql/models/staging/_rivo_raw__sources.yml`; a test
holds the two equal.
"""

from __future__ import annotations

import yaml

from pipelines.rivo.endpoints import DUCKDB_TYPES
from pipelines.tables import raw_tables
from pipelines.warehouse import RAW


def sources_yml() -> str:
    """The property file: every table of `rivo_raw` with its columns, types and descriptions."""
    tables = [
        {
            "name": name,
            "description": description,
            "columns": [
                {"name": c.name, "data_type": DUCKDB_TYPES[c.type].lower(), "description": c.description}
                for c in columns
            ],
        }
        for name, (description, columns) in raw_tables().items()
    ]
    source = {
        "name": RAW,
        "description": "Rivo's lists as the API returns them, with their histories and the log of syncs.",
        "tables": tables,
    }
    return "# Made by `make sources` from pipelines/rivo/endpoints.py; change it there.\n" + yaml.safe_dump(
        {"version": 2, "sources": [source]}, sort_keys=False, width=110, allow_unicode=True
    )


if __name__ == "__main__":
    print(sources_yml(), end="")
