"""The list of tables that `show tables` returns, and the search path with which a table's name needs no schema."""

from __future__ import annotations

import re

import duckdb

from cli.terminal.tables import first_sentence
from pipelines.errors import RivoError
from pipelines.sql import literal, quoted, scalar

SCHEMAS = ("reports", "marts", "intermediate", "staging", "seeds", "rivo_actions", "meta", "rivo_raw")
"""Order in which schemas are listed and searched: those that analysts read first, then any others."""

_SHOW_TABLES = re.compile(r'\s*show\s+tables(?:\s+from\s+("?)(?P<schema>\w+)\1)?\s*;?\s*', re.IGNORECASE)
_RELATIONS = """
select schema_name, table_name, comment, true as is_counted from duckdb_tables()
where not internal and database_name = current_database()
union all
select schema_name, view_name, comment, false as is_counted from duckdb_views()
where not internal and database_name = current_database()
"""


def search_all_schemas(connection: duckdb.DuckDBPyConnection) -> None:
    """Let queries name tables without their schema.

    If two schemas have a table of the same name, the first of SCHEMAS is used.
    """
    found = connection.execute(
        "select schema_name from duckdb_schemas() where database_name = current_database() and not internal"
    ).fetchall()
    path = sorted((schema for [schema] in found), key=rank)
    if path:
        connection.execute(f"set search_path = {literal(','.join(map(quoted, path)))}")


def asks_for_tables(sql: str) -> bool:
    """Return whether a statement is SHOW TABLES."""
    return _SHOW_TABLES.fullmatch(sql) is not None


def list_tables(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation | None:
    """Return schema, name, rows and description of all tables if the SQL is SHOW TABLES; else None.

    DuckDB's own SHOW TABLES returns only names, and only those of the current schema. Rows of views are not counted.

    Raises:
        RivoError: SHOW TABLES FROM names a schema that does not exist.
    """
    asked = _SHOW_TABLES.fullmatch(sql)
    if asked is None:
        return None
    relations = connection.execute(_RELATIONS).fetchall()
    if schema := (asked["schema"] or "").lower():
        known = sorted({each for each, *_ in relations}, key=rank)
        relations = [each for each in relations if each[0].lower() == schema]
        if not relations:
            raise RivoError(f"There is no schema {schema} in the warehouse. Its schemas: {', '.join(known)}.")
    listed = []
    for schema_name, name, comment, is_counted in sorted(
        relations, key=lambda each: (rank(each[0]), each[1])
    ):
        count = f"select count(*) from {quoted(schema_name)}.{quoted(name)}"
        rows = scalar(connection, count) if is_counted else "null"
        texts = [literal(each) for each in (schema_name, name, first_sentence(comment or ""))]
        listed.append(f"({texts[0]}, {texts[1]}, {rows}::bigint, {texts[2]})")
    # Literals, because DuckDB imports pandas to bind a parameter. A warehouse without tables gives a row of nulls.
    values = ", ".join(listed) or "(null, null, null, null)"
    found: duckdb.DuckDBPyRelation = connection.sql(
        f'select * from (values {values}) as tables("schema", "name", "rows", "description") where "name" is not null'
    )
    return found


def rank(schema: str) -> tuple[int, str]:
    """Return the place of a schema in lists, for sorting."""
    return (SCHEMAS.index(schema) if schema in SCHEMAS else len(SCHEMAS), schema)
