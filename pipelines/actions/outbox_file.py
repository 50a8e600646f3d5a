"""The file of the outbox: its tables, its secret, and filling it from the copy in a warehouse."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import duckdb

from pipelines.actions.outbox import Outbox
from pipelines.warehouse.action_tables import ACTIONS
from pipelines.warehouse.journals import open_journal, write_secret

_SCHEMA = """
create table if not exists actions (
    action_id integer primary key,
    action text not null,
    kind text not null,
    action_key text not null,
    state text not null check (state in ('planned', 'sending', 'done', 'refused', 'unknown', 'skipped')),
    customer_id integer,
    parameters text not null,
    points_amount integer not null,
    credits_amount text not null,
    value text,
    token text not null unique,
    since_id integer,
    points_before integer,
    planned_at text not null,
    sent_at text,
    sent_clock real,
    finished_at text,
    attempts integer not null default 0,
    rivo_id integer,
    message text,
    verified_at text,
    difference text,
    unique (action, action_key)
);
create index if not exists actions_state on actions (state);
create table if not exists results (
    action_id integer not null,
    attempt integer not null,
    sent_at text not null,
    answered_at text,
    http_status integer,
    outcome text not null,
    message text,
    primary key (action_id, attempt)
);
create table if not exists secrets (secret text not null);
create table if not exists shops (shop text not null);
create table if not exists tried_calls (call text primary key, tried_at text not null);
"""

_COPIED = {
    **dict.fromkeys(
        ("action_id", "action", "kind", "action_key", "state", "customer_id", "parameters"), False
    ),
    **dict.fromkeys(("points_amount", "credits_amount", "value", "token", "since_id"), False),
    **dict.fromkeys(("planned_at", "sent_at", "finished_at"), True),
    **dict.fromkeys(("attempts", "rivo_id", "message"), False),
    "verified_at": True,
    "difference": False,
}
"""The columns that the warehouse has a copy of, and whether each is a time."""


@contextmanager
def open_outbox(path: Path) -> Iterator[Outbox]:
    """Open the outbox, and create it if there is none.

    Raises:
        WarehouseError: the file cannot be used.
    """
    with open_journal(path, _SCHEMA) as connection:
        yield Outbox(connection, _secret(connection, _secret_file(path)))


@contextmanager
def look_into_outbox(path: Path) -> Iterator[Outbox]:
    """Open the outbox; without one, an empty one in memory, so that looking creates no file.

    Raises:
        WarehouseError: the file cannot be used.
    """
    with open_journal(path if path.exists() else Path(":memory:"), _SCHEMA) as connection:
        file = _secret_file(path)
        yield Outbox(connection, _secret(connection, file if file.exists() else None))


def _secret_file(outbox: Path) -> Path:
    """Return the file with the secret of an outbox, such as `rivo.outbox.key`."""
    return outbox.with_suffix(".key")


def restore_copy(outbox: Outbox, warehouse: duckdb.DuckDBPyConnection) -> int:
    """Fill an empty outbox from the copy in a warehouse, so that after a loss or a move nothing is sent twice.

    Returns:
        The number of actions.
    """
    found = warehouse.execute(
        "select column_name from information_schema.columns where table_schema = ? and table_name = 'outbox'",
        [ACTIONS],
    ).fetchall()
    present = {name for (name,) in found}
    # A release can have added columns since.
    copied = {name: is_time for name, is_time in _COPIED.items() if name in present}
    if not copied or outbox.count():
        return 0
    columns = ", ".join(
        f"strftime({name} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%g+00:00')" if is_time else f'"{name}"'
        for name, is_time in copied.items()
    )
    cursor = warehouse.execute(f"select {columns} from {ACTIONS}.outbox order by action_id")
    rows = [[str(each) if isinstance(each, Decimal) else each for each in row] for row in cursor.fetchall()]
    outbox.fill(list(copied), rows)
    return len(rows)


def _secret(connection: sqlite3.Connection, file: Path | None) -> str:
    """Return the secret of an outbox. It is kept in a file as well, so that a lost outbox does not lose it."""
    found = connection.execute("select secret from secrets").fetchone()
    kept = file.read_text().strip() if file and file.exists() else ""
    secret = str(found[0]) if found else kept or secrets.token_hex(32)
    if file and secret != kept:
        write_secret(file, secret)
    if not found:
        connection.execute("insert into secrets values (?)", [secret])
    return secret
