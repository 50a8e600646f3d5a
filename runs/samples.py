"""Sample rows of a table for its page in Dagster, without personal data."""

from __future__ import annotations

import duckdb

from dbt_like_sql.runner import Model, Origin, Seed
from dbt_like_sql.runner.masking import masked
from dbt_like_sql.runner.project import SEEDS
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.warehouse.raw_tables import raw_tables

LAYERS = ("marts", "reports")
"""The layers whose tables get samples: those that analysts read."""
_ROWS = 5
_WIDEST = 40
_HARMLESS = ("BIGINT", "INTEGER", "HUGEINT", "DOUBLE", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP")
"""Types whose values are always shown."""
_SHOP_LISTS = frozenset(
    endpoint.name
    for endpoint in ENDPOINTS.values()
    if not any(
        column.is_customer or column.personal or column.nested == "customers" for column in endpoint.columns
    )
)
"""Lists whose text was written by the shop, such as the names of tiers, because no column is about a customer."""
_STATES = ("loyalty_status", "status")
"""Text columns of the other lists whose values come from a short list of Rivo's own words."""


def sample(connection: duckdb.DuckDBPyConnection, node: Model | Seed) -> str:
    """Return the first rows of a table as a Markdown table.

    Shows numbers, dates and ids. Shows text only if it comes from lists without customers, from a seed, or from the SQL
    itself (such as a period type). Leaves out all other text, and columns without lineage.
    """
    described: list[tuple[str, str]] = [
        (name, kind)
        for name, kind, *_ in connection.execute(f"describe {node.relation}").fetchall()
        if is_harmless(node, name, kind)
    ]
    if not described:
        return ""
    names = ", ".join('"' + name.replace('"', '""') + '"' for name, _ in described)
    grain = [name for name, _ in described if name in _grain(node)] or [described[0][0]]
    rows = connection.execute(
        f"select {names} from {node.relation} order by "
        + ", ".join(f'"{name}"' for name in grain)
        + f" limit {_ROWS}"
    ).fetchall()
    lines = [
        [name for name, _ in described],
        ["---"] * len(described),
        *([_cell(v) for v in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def is_harmless(node: Model | Seed, name: str, kind: str) -> bool:
    """Return whether the values of a column may be shown in Dagster, whose UI has no access control."""
    if has_harmless_type(kind):
        return True
    column = next((column for column in node.columns if column.name == name.lower()), None)
    is_traced = isinstance(node, Model) and node.language == "sql" and not node.is_open
    if kind != "VARCHAR" or column is None or not is_traced:
        return False
    return all(map(is_impersonal, column.origins))


def has_harmless_type(kind: str) -> bool:
    """Return whether values of a type, such as numbers and dates, may be shown wherever they come from."""
    return kind.startswith(_HARMLESS) and not kind.endswith("]")


def is_impersonal(origin: Origin) -> bool:
    """Return whether a raw or seed column holds no text about a person: numbers, dates, or the shop's own words."""
    schema, _, table = origin.relation.partition(".")
    if schema == SEEDS or table.removesuffix("_history") in (*_SHOP_LISTS, "sync_log", "settings"):
        return True
    _, columns = raw_tables().get(table, ("", ()))
    kind = next((column.type for column in columns if column.name == origin.column), "text")
    return kind not in ("text", "scalar", "json") or origin.column in _STATES


def _grain(node: Model | Seed) -> list[str]:
    return [column.lower() for column in node.texts("grain")]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = masked(str(value), "") if isinstance(value, str) else "" if value is None else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
