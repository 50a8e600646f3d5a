"""The raw tables as a dbt property file (`sources:`), so that the SQL project can be read and moved by itself.

`python -m pipelines.warehouse.sources_yml` prints `dbt_like_sql/models/staging/_rivo_raw__sources.yml`; a test checks
that the file is up to date.
"""

from __future__ import annotations

import yaml

from pipelines.rivo.columns import Column
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import duckdb_type
from pipelines.warehouse.action_tables import ACTIONS, action_tables
from pipelines.warehouse.raw_tables import RAW, history_name, raw_tables


def sources_yml() -> str:
    """Return the property file: every table of `rivo_raw` and `rivo_actions`, with columns, types and descriptions."""
    tables = [
        {
            "name": name,
            "description": description,
            "columns": [_column(name, c) for c in columns],
        }
        for name, (description, columns) in raw_tables().items()
    ]
    source = {
        "name": RAW,
        "description": "Rivo's lists as the API returns them, with their histories and the log of syncs.",
        "tables": tables,
    }
    actions = {
        "name": ACTIONS,
        "description": "Calls that change something in Rivo: what was planned, sent and answered.",
        "tables": [
            {"name": name, "description": description, "columns": [_column(name, c) for c in columns]}
            for name, (description, columns) in action_tables().items()
        ],
    }
    return "# Made by `make sources` from pipelines/rivo/endpoints.py; change it there.\n" + yaml.safe_dump(
        {"version": 2, "sources": [source, actions]}, sort_keys=False, width=110, allow_unicode=True
    )


def _column(table: str, column: Column) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": column.name,
        "data_type": duckdb_type(column).lower(),
        "description": column.description,
    }
    made_from = _made_from(table, column)
    meta: dict[str, object] = {"made_from": [made_from]} if made_from else {}
    if column.personal:
        meta["personal"] = column.personal
    if meta:
        entry["config"] = {"meta": meta}
    return entry


def _made_from(table: str, column: Column) -> str | None:
    """Return the raw column that a column repeats: of the list for a history, of the nested object for an id."""
    for endpoint in ENDPOINTS.values():
        columns = {c.name for c in endpoint.columns}
        if endpoint.history and table == history_name(endpoint) and column.name in columns:
            return f"{RAW}.{endpoint.name}.{column.name}"
        if table == endpoint.name and column.fallback in columns:
            return f"{RAW}.{endpoint.name}.{column.fallback}"
    return None


if __name__ == "__main__":
    print(sources_yml(), end="")
