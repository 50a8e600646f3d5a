"""A few rows of a table for its page in Dagster, without personal data."""

from __future__ import annotations

import duckdb

from dbt_like_sql.runner import Model, Origin, Seed
from dbt_like_sql.runner.masking import masked
from dbt_like_sql.runner.project import SEEDS
from pipelines.warehouse.raw_tables import raw_tables

LAYERS = ("marts", "reports")
"""The layers whose rows are shown: those that people read."""
_ROWS = 5
_WIDEST = 40
_HARMLESS = ("BIGINT", "INTEGER", "HUGEINT", "DOUBLE", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP")
_OF_THE_SHOP = ("vip_tiers", "rewards", "earning_rules")
"""Lists of what the shop itself wrote: names of tiers and rewards, not of people."""
_STATES = ("loyalty_status", "status")
"""Text of other lists that is one of a few words of Rivo's."""


def sample(connection: duckdb.DuckDBPyConnection, node: Model | Seed) -> str:
    """The first rows of a table, as a Markdown table.

    Numbers, days and ids are shown; text only where it comes from the shop's own lists, a seed, or the SQL itself
    (a period's type, a state). Other text of a customer's row is not, nor what cannot be traced.
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
    """Whether the values of a column may be shown to whoever reads Dagster."""
    if kind.startswith(_HARMLESS) and not kind.endswith("]"):
        return True
    column = next((column for column in node.columns if column.name == name.lower()), None)
    is_traced = isinstance(node, Model) and node.language == "sql" and not node.is_open
    if kind != "VARCHAR" or column is None or not is_traced:
        return False
    return all(map(_is_no_person, column.origins))


def _is_no_person(origin: Origin) -> bool:
    schema, _, table = origin.relation.partition(".")
    if schema == SEEDS or table.removesuffix("_history") in (*_OF_THE_SHOP, "sync_log", "settings"):
        return True
    _, columns = raw_tables().get(table, ("", ()))
    kind = next((column.type for column in columns if column.name == origin.column), "text")
    return kind not in ("text", "scalar", "json") or origin.column in _STATES


def _grain(node: Model | Seed) -> list[str]:
    grain = node.meta.get("grain") or []
    return [str(column).lower() for column in (grain if isinstance(grain, list) else [grain])]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = masked(str(value), "") if isinstance(value, str) else "" if value is None else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
