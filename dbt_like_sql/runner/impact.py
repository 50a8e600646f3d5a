"""Trace a column back to the raw columns, and find what depends on a column or table."""

from __future__ import annotations

from dataclasses import dataclass

from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.project import Model, Project, Seed, Source
from dbt_like_sql.runner.relation import Origin

Table = Model | Seed | Source

_COUNT = "a constant or a count"


@dataclass(frozen=True)
class LineageStep:
    """Node in the lineage tree of a column: the column, and the columns it is computed from."""

    origin: Origin
    steps: tuple[LineageStep, ...] = ()
    note: str = ""
    """What the column is if it is computed from no other column. `steps` are then the columns that determine
    which rows its table has."""


@dataclass(frozen=True)
class Impact:
    """Columns and tables that depend on a column, or on a table."""

    origins: tuple[Origin, ...]
    columns: tuple[Origin, ...]
    """Columns computed from it, in build order."""
    tables: tuple[str, ...]
    """Other tables that may change, in build order: they use it in a filter, join or group, they are Python
    models that read it, or they read such a table."""


def path_back(project: Project, column: str) -> LineageStep:
    """Trace a column, such as 'dim_member.tier_name', back to the raw columns it is computed from.

    Raises:
        ProjectError: there is no such table or column.
    """
    table, found = _find(project, column)
    if not found:
        raise ProjectError(
            f"{column} is a table, but lineage needs a column. For example: {column}.{_first(table)}"
        )
    back = _back(project, Origin(table.relation, found))
    if back.note == _COUNT and isinstance(table, Model) and table.conditions:
        decided = tuple(_back(project, origin) for origin in table.conditions)
        return LineageStep(back.origin, decided, f"{_COUNT}; its rows are determined by")
    return back


def impact(project: Project, name: str) -> Impact:
    """Find all columns and tables that depend on a column, or on all columns of a table.

    Raises:
        ProjectError: there is no such table or column.
    """
    table, column = _find(project, name)
    names = [column] if column else [c.name for c in table.columns]
    start = tuple(Origin(table.relation, name) for name in names)
    touched, columns = set(start), []
    changed = set() if column else {table.relation}
    tables = []
    # Some raw columns are computed from other raw columns when they are loaded (`made_from`).
    grown = True
    while grown:
        made = [
            Origin(source.relation, c.name)
            for source in project.sources.values()
            for c in source.columns
            if touched.intersection(c.inputs) and Origin(source.relation, c.name) not in touched
        ]
        columns += made
        touched.update(made)
        grown = bool(made)
    for node in project.nodes.values():
        made = [Origin(node.relation, c.name) for c in node.columns if touched.intersection(c.inputs)]
        columns += made
        touched.update(made)
        read = {*(project.node(n).relation for n in node.depends_on), *node.sources}
        conditions = set(node.conditions) if isinstance(node, Model) else set()
        is_opaque = isinstance(node, Model) and node.language == "python"
        through_python = is_opaque and any(origin.relation in read for origin in touched)
        if through_python or touched & conditions or read & changed:
            changed.add(node.relation)
            if not made:
                tables.append(node.relation)
    return Impact(start, tuple(columns), tuple(tables))


def _back(project: Project, origin: Origin) -> LineageStep:
    table = project.tables[origin.relation]
    inputs = next((c.inputs for c in table.columns if c.name == origin.column), ())
    steps = tuple(_back(project, i) for i in inputs)
    if steps or isinstance(table, Source):
        return LineageStep(origin, steps)
    if isinstance(table, Seed):
        return LineageStep(origin, note=f"seed {table.path}")
    if table.language == "python":
        read = [*(project.node(name).relation for name in table.depends_on), *table.sources]
        return LineageStep(
            origin, note=f"computed in Python from {', '.join(read)}" if read else "computed in Python"
        )
    return LineageStep(origin, note=_COUNT)


def _find(project: Project, name: str) -> tuple[Table, str]:
    """Find a table or column by `schema.table.column`, `table.column`, `schema.table` or `table`.

    The column is '' if the name is that of a table.
    """
    wanted = name.strip().lower()
    table_name, _, column = wanted.rpartition(".")
    if wanted in project.tables or not table_name:
        return project.table(wanted), ""
    try:
        table = project.table(table_name)
    except ProjectError:
        columns = [f"{relation}.{c.name}" for relation, t in project.tables.items() for c in t.columns]
        hint = did_you_mean(wanted, [*columns, *project.tables])
        raise ProjectError(f"No table or column is called {name}.{hint}") from None
    columns = [c.name for c in table.columns]
    is_open = isinstance(table, Source) or (isinstance(table, Model) and table.is_open)
    if column not in columns and not (is_open and _is_read(project, Origin(table.relation, column))):
        raise ProjectError(f"{table.relation} has no column {column}.{did_you_mean(column, columns)}")
    return table, column


def _is_read(project: Project, origin: Origin) -> bool:
    """Whether a model reads this column, which no property file describes."""
    return any(origin in column.inputs for node in project.nodes.values() for column in node.columns)


def _first(table: Table) -> str:
    return table.columns[0].name if table.columns else "COLUMN"
