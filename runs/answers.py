"""First rows of the example queries, for the documentation page: of a real shop, only those of aggregates."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from dbt_like_sql.runner import Model, Origin, Project, Seed, lineage
from dbt_like_sql.runner.docs import Answer
from dbt_like_sql.runner.project import Source
from dbt_like_sql.runner.relation import Relation
from runs.samples import has_harmless_type, is_impersonal

_ROWS = 8
_LEFT_OUT = (
    "The rows of this query can be about single customers, so this page leaves them out. Run it to see them."
)
_IDS_OF_THE_SHOP = ("tier_id", "reward_id", "earning_rule_id")
"""Endings of ids that name what a shop defines. Any other id belongs to a customer, or to what one did."""
_PERSONAL = ("email", "code", "remote_ip")
_WORDS_OF_THE_SHOP = (
    "customers.vip_tier",
    "customers.points_expire_at",
    "points_events.source",
    "points_redemptions.reward",
    "webhook_events.delivery_id",
    "outbox.action",
)
"""Texts in lists of customers and events that are names of tiers, rewards, ways to earn and actions, or a date."""


def answers(
    project: Project, connection: duckdb.DuckDBPyConnection, *, is_simulated: bool
) -> dict[str, Answer]:
    """Run the example query of each model, and return its first rows by relation.

    Of a real shop, only aggregates are returned: see `is_aggregate`. Leaves out examples of tables that do not exist
    yet.
    """
    found = {}
    for node in project.models:
        for example in node.texts("example")[:1]:
            try:
                cursor = connection.execute(example)
            except duckdb.Error:
                continue
            columns = {name: str(kind) for name, kind, *_ in cursor.description or []}
            if not (is_simulated or is_aggregate(project, example, columns)):
                found[node.relation] = Answer(note=_LEFT_OUT)
                continue
            rows = cursor.fetchmany(_ROWS + 1)
            if not is_simulated and _has_address(rows):
                found[node.relation] = Answer(note=_LEFT_OUT)
                continue
            found[node.relation] = Answer(tuple(columns), tuple(rows[:_ROWS]), is_all=len(rows) <= _ROWS)
    return found


def is_aggregate(project: Project, sql: str, columns: dict[str, str]) -> bool:
    """Return whether no row of a query is about one customer, and no value is about a person.

    A row is about a customer if the query reads a table whose grain has the id of a customer, an event or the like, and
    does not group its rows. In doubt, this returns False.

    Args:
        project: The project whose tables the query reads.
        sql: The query.
        columns: Its columns, with DuckDB's names of their types.
    """
    query = lineage.parse(sql, project.root / "example")
    is_grouped = lineage.is_grouped(query)
    for reference in lineage.references(query):
        table = project.tables.get(reference.name)
        if table is None or not (is_grouped or _has_rows_of_groups(table)):
            return False
    output = lineage.output_columns(query, _relations(project))
    read = output.all_origins() | output.conditions
    if any(_is_about_a_person(origin.column) for origin in read):
        return False
    return all(_is_shown(project, output, name.lower(), kind) for name, kind in columns.items())


def _has_rows_of_groups(table: Model | Seed | Source) -> bool:
    if isinstance(table, Seed):
        return True
    grain = table.texts("grain") if isinstance(table, Model) else []
    return bool(grain) and not any(_is_about_a_person(column.lower()) for column in grain)


def _is_about_a_person(column: str) -> bool:
    is_id = column.endswith("_id") and not column.endswith(_IDS_OF_THE_SHOP)
    return is_id or column in ("id", *_PERSONAL)


def _is_shown(project: Project, output: Relation, name: str, kind: str) -> bool:
    if name not in output.columns:
        return False
    if has_harmless_type(kind):
        return True
    return kind == "VARCHAR" and all(_is_shops_text(project, origin) for origin in output.columns[name])


def _is_shops_text(project: Project, origin: Origin) -> bool:
    table = project.tables.get(origin.relation)
    if not isinstance(table, Model) or table.language != "sql" or table.is_open:
        return isinstance(table, Seed)
    column = next((column for column in table.columns if column.name == origin.column), None)
    return column is not None and all(is_impersonal(o) or _is_word_of_the_shop(o) for o in column.origins)


def _is_word_of_the_shop(origin: Origin) -> bool:
    table = origin.relation.partition(".")[2].removesuffix("_history")
    return f"{table}.{origin.column}" in _WORDS_OF_THE_SHOP


def _has_address(rows: Iterable[tuple[object, ...]]) -> bool:
    return any(isinstance(value, str) and "@" in value for row in rows for value in row)


def _relations(project: Project) -> dict[str, Relation]:
    return {
        relation: lineage.table(
            relation,
            [column.name for column in table.columns],
            is_open=isinstance(table, Source) or (isinstance(table, Model) and table.is_open),
        )
        for relation, table in project.tables.items()
    }
