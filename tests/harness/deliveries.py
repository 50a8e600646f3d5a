"""Deliveries of webhooks in the journal of a warehouse, put there as the receiver does, without HTTP."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from pipelines.settings import Settings
from pipelines.warehouse import Warehouse
from pipelines.webhooks.receiver import Recorder
from pipelines.webhooks.signatures import Signed
from sandbox import Event


def keep(path: Path, settings: Settings, events: Iterable[Event]) -> list[bool]:
    """Keep the events in the journal beside a warehouse; return for each whether it was new."""
    recorder = Recorder(Warehouse(path), settings)
    try:
        recorder.begin(None)
        now = datetime.now(UTC)
        return [
            recorder.record(Signed(each.id, each.topic, "id_time_body", now), orjson.dumps(each.body))
            for each in events
        ]
    finally:
        recorder.close()


def journal(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the journal beside a warehouse."""
    connection = sqlite3.connect(path.with_name(f"{path.stem}.webhooks.sqlite"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def change(path: Path, sql: str) -> None:
    """Change the journal beside a warehouse by an SQL statement."""
    connection = sqlite3.connect(path.with_name(f"{path.stem}.webhooks.sqlite"))
    with connection:
        connection.execute(sql)
    connection.close()
