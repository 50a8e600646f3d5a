"""Where a column comes from, step by step, and what is affected when a column changes."""

from __future__ import annotations

from dataclasses import dataclass

from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.project import Model, Project, Seed, Source
from dbt_like_sql.runner.relation import Origin

Table = Model | Seed | Source

_COUNT = "a constant or a count"


@dataclass(frozen=True)
class Step:
    """A column on the way back to the raw columns, with those it is made of, one step back."""

    origin: Origin
    steps: tuple[Step, ...] = ()
    note: str = ""
    """Where it is made of no column: what it is instead. `steps` are then the columns that decide which rows
    its table has."""


@dataclass(frozen=True)
class Impact:
    """What depends on a column, or on a table."""

    origins: tuple[Origin, ...]
    columns: tuple[Origin, ...]
    """The columns made of it, in build order."""
    tables: tuple[str, ...]
    """The other tables that would change, in build order: it decides which rows they have (in a filter, join
    or group), they are made in Python, or they read such a table."""


def path_back(project: Project, column: str) -> Step:
    """Follow a column, as in 'dim_member.tier_name', to the raw columns it is made of.

    Raises:
        ProjectError: there is no such table or column.
    """
    table, found = _find(project, column)
    if not found:
        raise ProjectError(f"{column} is a table. Name one of its columns too: {column}.{_first(table)}.")
    back = _back(project, Origin(table.relation, found))
    if back.note == _COUNT and isinstance(table, Model) and table.conditions:
        decided = tuple(_back(project, origin) for origin in table.conditions)
        return Step(back.origin, decided, f"{_COUNT}; which rows there are is decided by")
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
    # What loads the raw tables makes some of their columns of others.
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


def _back(project: Project, origin: Origin) -> Step:
    table = project.tables[origin.relation]
    inputs = next((c.inputs for c in table.columns if c.name == origin.column), ())
    steps = tuple(_back(project, i) for i in inputs)
    if steps or isinstance(table, Source):
        return Step(origin, steps)
    if isinstance(table, Seed):
        return Step(origin, note=f"seed {table.path}")
    if table.language == "python":
        read = [*(project.node(name).relation for name in table.depends_on), *table.sources]
        return Step(origin, note=f"made in Python from {', '.join(read)}" if read else "made in Python")
    return Step(origin, note=_COUNT)


def _find(project: Project, name: str) -> tuple[Table, str]:
    """Find a table, or a column of one, by `schema.table.column`, `table.column`, `schema.table` or `table`."""
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
    """Whether some model reads a column that nobody has documented."""
    return any(origin in column.inputs for node in project.nodes.values() for column in node.columns)


def _first(table: Table) -> str:
    return table.columns[0].name if table.columns else "COLUMN"
