"""Where the rows of an action come from: a SELECT of the project, a CSV file, or one row given on the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from dbt_like_sql.runner import Action, Project
from pipelines.actions.kinds import KINDS, Kind
from pipelines.actions.plan import Limits
from pipelines.errors import RivoError, command

Row = Mapping[str, Any]
COMMAND_LINE = "the command line"
"""Where the row of a single action comes from."""


@dataclass(frozen=True)
class Definition:
    """An action to plan or apply.

    Attributes:
        name: its name in the outbox.
        kind: what its rows do.
        key: columns that make a row unique; empty for all columns.
        read: returns the names of the columns, and the rows.
        where: the file that it comes from, for messages.
        limits: by scope, the most to send.
        disabled: why it must not be applied; empty if it may be.
        send_email: whether Rivo may send mails.
        allow_negative: whether balances may become negative.
    """

    name: str
    kind: Kind
    key: Sequence[str]
    read: Callable[[duckdb.DuckDBPyConnection], tuple[list[str], list[Row]]]
    where: str
    limits: Mapping[str, Limits] = field(default_factory=dict)
    disabled: str = ""
    send_email: bool = False
    allow_negative: bool = False


def from_project(project: Project, name: str) -> Definition:
    """Return the action `actions/<name>.sql`.

    Raises:
        RivoError: there is no such action.
    """
    action = project.actions.get(name)
    if action is None:
        known = ", ".join(project.actions) or "none"
        raise RivoError(
            f"There is no action {name}. The actions in dbt_like_sql/actions are: {known}. For rows from a file, name "
            f"one of {', '.join(KINDS)} and use --from FILE."
        )
    return Definition(
        action.name,
        KINDS[action.action],
        action.key,
        lambda connection: _select(connection, action),
        f"dbt_like_sql/{action.path}",
        _limits(action.limits),
        "" if action.enabled else _disabled(action),
        action.send_email,
        action.allow_negative,
    )


def from_file(project: Project, name: str, file: Path, key: Sequence[str]) -> Definition:
    """Return an action whose rows are those of a CSV file: of a kind, or with the properties of an action.

    Raises:
        RivoError: there is no such kind or action, or the file cannot be read.
    """
    columns, rows = _csv(file)
    if name in KINDS:
        return Definition(name, KINDS[name], key, lambda _connection: (columns, rows), str(file))
    action = from_project(project, name)
    return Definition(
        action.name,
        action.kind,
        key or action.key,
        lambda _connection: (columns, rows),
        str(file),
        action.limits,
        action.disabled,
        action.send_email,
        action.allow_negative,
    )


def from_row(kind: str, row: Row, *, repeat: int = 0) -> Definition:
    """Return an action of one row. `repeat` makes its key differ from that of an equal one that was sent before."""
    given = {name: value for name, value in row.items() if value is not None}
    keyed = {**given, "repeat": repeat} if repeat else given
    return Definition(kind, KINDS[kind], [], lambda _connection: (list(keyed), [keyed]), COMMAND_LINE)


def all_of(project: Project) -> Iterator[Definition]:
    """Yield the actions of the project by name."""
    for name in sorted(project.actions):
        yield from_project(project, name)


def _select(connection: duckdb.DuckDBPyConnection, action: Action) -> tuple[list[str], list[Row]]:
    try:
        cursor = connection.execute(action.code)
        names = [str(column[0]).lower() for column in cursor.description or ()]
        return names, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except duckdb.CatalogException as error:
        raise RivoError(
            f"dbt_like_sql/{action.path} cannot be run: {_first_line(error)}. If the table is new, run "
            f"`{command()} sync`, or `{command()} models build` after a change of the SQL."
        ) from None
    except duckdb.Error as error:
        raise RivoError(f"dbt_like_sql/{action.path} cannot be run: {_first_line(error)}.") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _csv(file: Path) -> tuple[list[str], list[Row]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows: list[Row] = list(reader)
    except OSError as error:
        raise RivoError(f"{file} cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RivoError(f"{file} is not a CSV file in UTF-8 ({error}). Save it as CSV UTF-8.") from None
    if not names or len(set(names)) < len(names) or "" in names:
        raise RivoError(
            f"{file}: the first line must name each column once, and it is: {', '.join(names) or 'empty'}."
        )
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise RivoError(
                f"{file}, line {number} has another number of values than the first line has names."
            )
    return names, rows


def _limits(scopes: Mapping[str, Mapping[str, Decimal]]) -> dict[str, Limits]:
    def whole(value: Decimal | None) -> int | None:
        return None if value is None else int(value)

    return {
        scope: Limits(whole(most.get("max_rows")), whole(most.get("max_points")), most.get("max_value"))
        for scope, most in scopes.items()
    }


def _disabled(action: Action) -> str:
    return (
        f"{action.name} is disabled. If its plan is what you want (`{command()} actions plan {action.name}`), set "
        "`enabled: true` for it in the property file in dbt_like_sql/actions."
    )


def readable(value: Any) -> str:
    """Return a value of a row as text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
