"""The tables of `rivo_actions`: a copy of the outbox, which every sync and model build brings up to date.

Values that identify a person stay in the outbox and are not copied.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from pipelines.rivo.columns import Column
from pipelines.rivo.types import duckdb_type
from pipelines.sql import quoted
from pipelines.warehouse.journals import open_journal

ACTIONS = "rivo_actions"
"""The schema of these tables."""

OUTBOX: tuple[Column, ...] = (
    Column("action_id", "bigint", "Number of the action in the outbox."),
    Column("action", "text", "Name of the action, or its kind for a single one or one from a file."),
    Column("kind", "text", "What it does: add_points, redeem_reward and others."),
    Column(
        "action_key", "text", "Values that make it unique within its action, as JSON. It is sent only once."
    ),
    Column(
        "state",
        "text",
        "planned, sending, done, refused (by Rivo), unknown (sent, and the outcome is not known yet) or skipped (left "
        "out after it was planned).",
    ),
    Column("customer_id", "bigint", "Shopify's id of the customer."),
    Column("parameters", "json", "Values that were sent, without those that identify a person."),
    Column("points_amount", "bigint", "Points that it adds, or takes if negative."),
    Column("credits_amount", "decimal", "Store credits that it adds, or takes if negative."),
    Column(
        "value",
        "decimal",
        "What it costs in the shop's currency, as estimated when planned; null if unknown.",
    ),
    Column("token", "text", "Text in the internal note of its points event."),
    Column("since_id", "bigint", "Largest id of the list that it appears in, before it was sent."),
    Column("planned_at", "timestamp", "When it was planned."),
    Column("sent_at", "timestamp", "When it was last sent; null if it never was."),
    Column("finished_at", "timestamp", "When its state last changed."),
    Column("attempts", "bigint", "Number of times that it was sent."),
    Column("rivo_id", "bigint", "Id of the object that it made or changed in Rivo."),
    Column("message", "text", "Why it has its state."),
    Column("verified_at", "timestamp", "When its effect was read back from Rivo."),
    Column("difference", "text", "What Rivo showed instead of what was asked for; null if it agreed."),
)

RESULTS: tuple[Column, ...] = (
    Column("action_id", "bigint", "Number of the action in the outbox."),
    Column("attempt", "bigint", "Number of the attempt, from 1."),
    Column("sent_at", "timestamp", "When the request was sent."),
    Column("answered_at", "timestamp", "When the answer came; null without one."),
    Column("http_status", "bigint", "Status of the answer; null without one."),
    Column(
        "outcome",
        "text",
        "done, refused, unknown, sending (the command ended before the answer came) or planned (not sent).",
    ),
    Column("message", "text", "Why it was refused or is unknown."),
)

TABLES: dict[str, tuple[str, str, tuple[Column, ...]]] = {
    "outbox": ("actions", "Actions: calls that change something in Rivo, with their state.", OUTBOX),
    "results": ("results", "Attempts to carry out an action, with their answers.", RESULTS),
}
"""By table: the outbox's table that it copies, its description, its columns."""

IMPERSONAL = (
    *("customer_id", "reward_id", "redemption_id", "vip_tier_id", "points_amount", "credits_amount"),
    *("custom_action_name", "applied_at"),
)
"""The parameters that are copied and kept. Any other can identify a person, or is free text that may."""


def action_tables() -> dict[str, tuple[str, tuple[Column, ...]]]:
    """Return every table of `rivo_actions`: name -> (description, columns)."""
    return {table: (description, columns) for table, (_, description, columns) in TABLES.items()}


def load_outbox(connection: duckdb.DuckDBPyConnection, outbox: Path) -> None:
    """Replace the rows of `rivo_actions` by the content of the outbox. Without an outbox they stay as they are.

    Raises:
        WarehouseError: the outbox cannot be read.
    """
    if not outbox.exists():
        return
    # Imported here, since commands that only read the warehouse need no Arrow, and it takes long to import.
    import pyarrow as pa

    # SQLite returns every other column as text.
    types = {"bigint": pa.int64()}
    with open_journal(outbox, "") as journal:
        present = {name for (name,) in journal.execute("select name from sqlite_master")}
        for table, (copied, _, columns) in TABLES.items():
            rows = (
                journal.execute(f"select * from {copied} order by action_id").fetchall()
                if copied in present
                else []
            )
            if not rows:
                # An outbox that was lost and created again must not delete the only copy of what was sent.
                continue
            arrays = {
                c.name: pa.array([_value(c, row[c.name]) for row in rows], types.get(c.type, pa.string()))
                for c in columns
            }
            connection.register("copied", pa.table(arrays))
            values = ", ".join(f"cast({quoted(c.name)} as {duckdb_type(c)})" for c in columns)
            connection.execute(f"delete from {ACTIONS}.{table}")
            connection.execute(f"insert into {ACTIONS}.{table} select {values} from copied")
            connection.unregister("copied")


def _value(column: Column, value: Any) -> Any:
    if column.name != "parameters":
        return value
    try:
        given = json.loads(value)
    except ValueError:
        return None
    return json.dumps({name: each for name, each in given.items() if name in IMPERSONAL})
