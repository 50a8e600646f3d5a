"""DuckDB's settings during a build: memory, threads, how it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from dbt_like_sql.runner.sql import literal

MEMORY = "4.5GB"
"""Memory limit of a build. Half of the machine's memory if that is less; DuckDB spills the rest to disk."""
ROW_GROUP = 122_880
"""Rows that one thread of DuckDB scans at a time (https://duckdb.org/docs/stable/guides/performance/how_to_tune_workloads)."""

AT_ONCE = 2
"""Number of nodes that are built at once. While one is planned, tested or commented on, another one uses the processor.
More gain little, since DuckDB uses several threads for each, and need more memory."""
ROWS_TO_BUILD_ALONE = 5_000_000
"""Rows of the largest table from which on nodes are built one after the other: two at once need a fifth more memory and
save no time."""

_SETTINGS = {
    # A size of the log that no build reaches. The checkpoints that the build asks for are enough; those that DuckDB
    # makes by itself, after nearly every model of a large shop, take an eighth of the time.
    "wal_autocheckpoint": "1TB",
    # To try FSST on every text takes a twentieth of the time. Without it, the file is a twentieth larger.
    "disabled_compression_methods": "fsst",
}
"""DuckDB's settings during a build."""


@contextmanager
def resources(connection: duckdb.DuckDBPyConnection, memory: str) -> Iterator[int]:
    """Set DuckDB up for a build: memory up to `memory` and up to half of the machine's, and one thread for small data.

    A table of one row group is scanned by one thread. The others only wait for it: with them, the demo's models take a
    third more processor time, and twice as long on a machine that has other work.

    Yields:
        the number of nodes to build at once.
    """
    settings = {name: _setting(connection, name) for name in ("memory_limit", "threads", *_SETTINGS)}
    _limit_memory(connection, memory)
    for name, value in _SETTINGS.items():
        connection.execute(f"set {name} = {literal(value)}")
    [[largest]] = connection.execute(
        "select coalesce(max(estimated_size), 0) from duckdb_tables()"
    ).fetchall()
    if largest <= ROW_GROUP:
        connection.execute("set threads = 1")
    at_once = min(AT_ONCE, int(settings["threads"])) if largest <= ROWS_TO_BUILD_ALONE else 1
    try:
        yield at_once
    finally:
        for name, before in settings.items():
            connection.execute(f"set {name} = {literal(before)}")


def _limit_memory(connection: duckdb.DuckDBPyConnection, limit: str) -> None:
    connection.execute(f"set memory_limit = {literal(limit)}")
    allowed = _bytes(connection)
    connection.execute("reset memory_limit")  # DuckDB's default: 80 % of the machine's or container's memory
    connection.execute(f"set memory_limit = '{min(allowed, _bytes(connection) * 5 // 8)}B'")


def _bytes(connection: duckdb.DuckDBPyConnection) -> int:
    number, unit = _setting(connection, "memory_limit").split()
    return int(float(number) * 1024 ** ["bytes", "KiB", "MiB", "GiB", "TiB"].index(unit))


def _setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    [[value]] = connection.execute(f"select current_setting('{name}')").fetchall()
    return str(value)
