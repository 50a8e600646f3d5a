"""Create the table or view of a node, with its comments, and explain why that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb

from dbt_like_sql.runner import python_models
from dbt_like_sql.runner.checking import error_text
from dbt_like_sql.runner.project import Model, Project, Seed
from dbt_like_sql.runner.sql import literal, quoted, tables

_RETURNED = "_returned_by_python"


def create(connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed) -> int | None:
    """Create the table or view of a node. Returns the number of rows of a table.

    Raises:
        duckdb.Error: its SQL or its CSV file has an error, or a table that it reads does not exist.
        PythonModelError: its Python function has an error.
    """
    if isinstance(node, Model) and node.language == "python":
        return _create_from_python(connection, project, node)
    code = _seed(project, node) if isinstance(node, Seed) else node.code
    created = connection.execute(f"create {node.materialized} {node.relation} as\n{code}").fetchall()
    return int(created[0][0]) if created else None


def _seed(project: Project, node: Seed) -> str:
    # Fix the CSV dialect; otherwise DuckDB guesses it from the contents.
    options = "header = true, delim = ',', quote = '\"', escape = '\"', sample_size = -1"
    if node.column_types:
        types = ", ".join(f"{literal(c)}: {literal(t)}" for c, t in node.column_types.items())
        options += f", types = {{{types}}}"
    return f"select * from read_csv({literal(str(project.root / node.path))}, {options})"


def _create_from_python(connection: duckdb.DuckDBPyConnection, project: Project, node: Model) -> int:
    relations = python_models.names([project.node(name).relation for name in node.depends_on], node.sources)
    arguments = {
        parameter: connection.execute(f"select * from {relations[parameter]}").df()
        for parameter in python_models.parameters(node.code, node.path)
    }
    frame = python_models.run(node.code, project.root / node.path, node.path, arguments)
    types = {column.name: column.data_type for column in node.columns}
    columns = [
        f"{quoted(c)}::{types[c.lower()]} as {quoted(c)}" if types.get(c.lower()) else quoted(c)
        for c in frame.columns
    ]
    connection.register(_RETURNED, frame)
    try:
        [[rows]] = connection.execute(
            f"create table {node.relation} as select {', '.join(columns)} from {_RETURNED}"
        ).fetchall()
        return int(rows)
    finally:
        connection.unregister(_RETURNED)


def comment(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, columns: Sequence[str]
) -> None:
    """Store the descriptions as comments in the database, where BI tools show them."""
    comments = {c.name: c.description for c in node.columns}
    statements = [f"comment on {node.materialized} {node.relation} is {literal(node.description or None)}"]
    for column in columns:
        text = comments.get(column.lower()) or project.column_descriptions.get(column.lower())
        if text:
            statements.append(f"comment on column {node.relation}.{quoted(column)} is {literal(text)}")
    # One transaction: DuckDB writes each to the disk otherwise.
    connection.execute(";\n".join(["begin", *statements, "commit"]))


def explain(
    connection: duckdb.DuckDBPyConnection, project: Project, node: Model | Seed, error: duckdb.Error
) -> str:
    """Return why a table could not be built, with the file and, for SQL, the line."""
    existing = tables(connection)
    for name in node.depends_on:
        read = project.node(name)
        if (read.schema, read.name) not in existing:
            return (
                f"{node.path} reads {read.relation}, which has not been built yet. "
                f"Build it too: --select +{node.name}"
            )
    for source in node.sources:
        schema, _, name = source.partition(".")
        if (schema, name) not in existing:
            return f"{node.path} reads {source}, which is not in this database. Run a sync to load it."
    if isinstance(error, duckdb.OutOfMemoryException):
        [[limit]] = connection.execute("select current_setting('memory_limit')").fetchall()
        return (
            f"{node.path}: the build ran out of memory (limit {limit}), and DuckDB could not spill the rest to disk. "
            f"Free some disk space, or simplify the model. ({str(error).splitlines()[0]})"
        )
    for name in project.upstream(node.name):
        view = project.node(name)
        if isinstance(view, Model) and view.materialized == "view":
            try:
                # A view computes its rows only when it is read, so its error comes up in the first model that does.
                connection.execute(f"select max(hash(rows_of)) from {view.relation} as rows_of")
            except duckdb.Error as of_view:
                return f"{node.path} reads {view.relation}, and {view.path}: {error_text(of_view, view.code)}"
    line = re.search(r"\n\nLINE (\d+):", str(error))
    is_sql = isinstance(node, Model) and node.language == "sql"
    # DuckDB counts the `create table ... as` line before the file's own text.
    place = f", line {int(line[1]) - 1}" if line and is_sql else ""
    return (
        f"{node.path}{place}: {error_text(error, node.code if isinstance(node, Model) else str(node.path))}"
    )
