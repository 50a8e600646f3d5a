"""Tables and views of a Postgres database, and the statements that change them and keep what its users added.

A table that is still published is never dropped: columns and the key are altered, so grants, policies, indexes and
views of the users stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import command
from pipelines.sql import quoted
from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Column, Table
from pipelines.targets.marks import TargetError
from pipelines.targets.postgres_values import as_shown, identifier, place, postgres_type, shortened

if TYPE_CHECKING:
    import psycopg

_KINDS = "('r', 'v', 'm', 'p', 'f')"
_MOST_DEPENDENTS = 5
"""Number of views that an error names."""


@dataclass(frozen=True)
class Difference:
    """The columns in which a table of the database differs from the one to publish. Their order does not matter."""

    added: tuple[Column, ...]
    retyped: tuple[Column, ...]
    dropped: tuple[str, ...]

    @property
    def is_felt_by_views(self) -> bool:
        """Whether a view can keep the columns from being altered."""
        return bool(self.retyped or self.dropped)


def difference_of(table: Table, present: dict[str, str]) -> Difference:
    """Compare a table with the columns and types that the database has."""
    wanted = {shortened(column.name): column for column in table.columns}
    return Difference(
        added=tuple(column for name, column in wanted.items() if name not in present),
        retyped=tuple(
            column
            for name, column in wanted.items()
            if name in present and present[name] != as_shown(postgres_type(column.type))
        ),
        dropped=tuple(name for name in present if name not in wanted),
    )


def find_relations(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the columns of the tables and views in some schemas: label -> column -> type."""
    found: dict[str, dict[str, str]] = {}
    for schema, name, column, kind in connection.execute(
        "select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
        f"where n.nspname = any(%s) and c.relkind in {_KINDS} order by 1, 2, a.attnum",
        [list(schemas)],
    ):
        columns = found.setdefault(f"{schema}.{name}", {})
        if column is not None:
            columns[column] = kind
    return found


def create_table(connection: psycopg.Connection[Any], label: str, table: Table) -> None:
    """Create a table with its key."""
    columns = [f"{identifier(column.name)} {postgres_type(column.type)}" for column in table.columns]
    if table.key:
        columns.append(f"primary key ({_names(table.key)})")
    connection.execute(f"create table {place(label)} ({', '.join(columns)})")


def alter_table(
    connection: psycopg.Connection[Any],
    target: TargetSetting,
    label: str,
    table: Table,
    present: dict[str, str],
) -> bool:
    """Give a table of the database the columns and the key that it should have.

    Returns:
        whether its rows have been deleted, since all of them are to be written again.

    Raises:
        TargetError: something that a user has made depends on what has to change.
    """
    name, change = place(label), difference_of(table, present)
    constraint, key = _primary_key(connection, name)
    wanted = [shortened(column) for column in table.key]
    is_emptied = key != wanted or bool(change.retyped)
    if is_emptied:
        connection.execute(f"delete from {name}")
    actions = {
        "added": [f"add column {identifier(c.name)} {postgres_type(c.type)}" for c in change.added],
        "retyped": [
            f"alter column {identifier(c.name)} type {postgres_type(c.type)} using null"
            for c in change.retyped
        ],
        "dropped": [f"drop column {quoted(column)}" for column in change.dropped],
        "unlocked": [],
    }
    if key != wanted:
        kept = [column for column in key if column not in change.dropped]
        actions["unlocked"] = [f"drop constraint {quoted(constraint)}"] if constraint else []
        # The key made its columns so.
        actions["unlocked"] += [f"alter column {quoted(column)} drop not null" for column in kept]
    reasons = {
        "unlocked": f"the key of {label} has changed",
        "dropped": f"{label} has no {_listed(change.dropped)} any more",
        "retyped": f"{label} has another type of {_listed(shortened(c.name) for c in change.retyped)}",
        "added": f"{label} has got columns",
    }
    for step, reason in reasons.items():
        if actions[step]:
            with _explained(target, reason):
                connection.execute(f"alter table {name} {', '.join(actions[step])}")
    if table.key and key != wanted:
        _add_key(connection, name, table.key)
    return is_emptied


def _add_key(connection: psycopg.Connection[Any], name: str, key: Sequence[str]) -> None:
    """Add a primary key to a table whose rows have been deleted."""
    from psycopg import errors

    statement = f"alter table {name} add primary key ({_names(key)})"
    try:
        with connection.transaction():
            connection.execute(statement)
    except errors.ProgramLimitExceeded:
        # Deleted rows are indexed as well, until they are gone for readers, too.
        connection.execute(f"truncate {name}")
        connection.execute(statement)


def write_view(
    connection: psycopg.Connection[Any],
    target: TargetSetting,
    label: str,
    columns: Collection[str],
    select: str,
) -> list[str]:
    """Create a view, or replace it.

    Args:
        connection: in a transaction.
        target: for messages.
        label: schema and name of the view.
        columns: its columns.
        select: its SELECT.

    Returns:
        statements that restore what a user has set on the view that was replaced.

    Raises:
        TargetError: the view has to be dropped, and something that a user has made depends on it.
    """
    from psycopg import errors

    statement = f"view {place(label)} as {select}"
    settings = settings_of(connection, label, columns)
    try:
        with connection.transaction():
            connection.execute(f"create or replace {statement}")
    except errors.InvalidTableDefinition:
        # It has columns of other names or types.
        drop_view(connection, target, label)
        connection.execute(f"create {statement}")
    return settings


def drop_view(connection: psycopg.Connection[Any], target: TargetSetting, label: str) -> None:
    """Drop a view that is to be created again.

    Raises:
        TargetError: something that a user has made depends on it.
    """
    with _explained(target, f"the view {label} has other columns, or its tables have"):
        connection.execute(f"drop view {place(label)}")


def drop_relations(connection: psycopg.Connection[Any], target: TargetSetting, labels: Iterable[str]) -> None:
    """Drop tables and views that are no longer published.

    Raises:
        TargetError: something that a user has made depends on one, or limits who can read it.
    """
    kinds = {label: _kind(connection, label) for label in labels}
    # Views keep the tables that they read from being dropped.
    for label in sorted(kinds, key=lambda each: kinds[each] != "view"):
        if kinds[label] == "table" and _is_protected(connection, label):
            raise TargetError(
                f"{target.variable}: {label} is no longer published, but it has row level security, policies or "
                "grants on columns, and a later table of this name would be without them. Nothing was published. Drop "
                f"it yourself (`drop table {place(label)}`), then run `{command()} publish {target.name}`."
            )
        with _explained(target, f"{label} is no longer published"):
            connection.execute(f"drop {kinds[label]} {place(label)}")


def settings_of(connection: psycopg.Connection[Any], label: str, columns: Collection[str]) -> list[str]:
    """Return the statements that restore the grants on a view and on some of its columns, and its options.

    There are none for a view that does not exist.
    """
    name = place(label)
    grants = connection.execute(
        """
        with granted as (
            select g.*, null::name as attname, c.relowner from pg_class c, aclexplode(c.relacl) g
            where c.oid = to_regclass(%(name)s)
            union all
            select g.*, a.attname, c.relowner from pg_class c
            join pg_attribute a on a.attrelid = c.oid and not a.attisdropped, aclexplode(a.attacl) g
            where c.oid = to_regclass(%(name)s)
        )
        select
            g.privilege_type,
            g.attname,
            case when g.grantee = 0 then 'public' else quote_ident(r.rolname) end,
            g.is_grantable
        from granted g left join pg_roles r on r.oid = g.grantee
        where g.grantee <> g.relowner
        """,
        {"name": name},
    ).fetchall()
    statements = [
        f"grant {privilege}{f' ({quoted(column)})' if column else ''} on {name} to {role}"
        f"{' with grant option' if option else ''}"
        for privilege, column, role, option in grants
        if not column or column in columns
    ]
    options = connection.execute(
        "select array_to_string(reloptions, ', ') from pg_class where oid = to_regclass(%s)", [name]
    ).fetchone()
    if options and options[0]:
        statements.append(f"alter view {name} set ({options[0]})")
    return statements


def _kind(connection: psycopg.Connection[Any], label: str) -> str:
    row = connection.execute(
        "select relkind from pg_class where oid = %s::regclass", [place(label)]
    ).fetchone()
    return "view" if row and row[0] == "v" else "table"


def _is_protected(connection: psycopg.Connection[Any], label: str) -> bool:
    """Return whether a table has row level security, policies or grants on columns."""
    row = connection.execute(
        "select relrowsecurity or exists (select 1 from pg_policy where polrelid = c.oid) "
        "or exists (select 1 from pg_attribute where attrelid = c.oid and attacl is not null and not attisdropped) "
        "from pg_class c where c.oid = %s::regclass",
        [place(label)],
    ).fetchone()
    return bool(row and row[0])


def _primary_key(connection: psycopg.Connection[Any], name: str) -> tuple[str, list[str]]:
    """Return the name of the constraint and its columns; nothing if the table has no primary key."""
    rows = connection.execute(
        "select c.conname, a.attname from pg_constraint c "
        "cross join unnest(c.conkey) with ordinality as k(attnum, place) "
        "join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum "
        "where c.conrelid = %s::regclass and c.contype = 'p' order by k.place",
        [name],
    ).fetchall()
    return (rows[0][0] if rows else ""), [column for _, column in rows]


@contextmanager
def _explained(target: TargetSetting, reason: str) -> Iterator[None]:
    """Turn the server's refusal to change what something depends on into a sentence. The names are in its detail."""
    from psycopg import errors

    try:
        yield
    except (errors.DependentObjectsStillExist, errors.FeatureNotSupported) as error:
        if not error.diag.message_detail:
            raise
        details = error.diag.message_detail.splitlines()
        more = len(details) - _MOST_DEPENDENTS
        text = "; ".join(details[:_MOST_DEPENDENTS]) + (f"; and {more} more" if more > 0 else "")
        raise TargetError(
            f"{target.variable}: {reason}, but in the database {text}. Nothing was published. Drop what depends on it, "
            "or have dbt build it as a table, which is a copy; then run "
            f"`{command()} publish {target.name}`. `dbt build` makes its views again."
        ) from None


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(identifier, columns))


def _listed(columns: Iterable[str]) -> str:
    names = list(columns)
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
