"""How published files are opened for queries: nothing else can be read, and the time zone is UTC."""

from __future__ import annotations

from typing import Any

import duckdb


def reading_config(spill: str | None) -> dict[str, Any]:
    """Return DuckDB's configuration of a connection that reads; it spills into the folder `spill`, if given."""
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # Otherwise SQL could read a Python variable as a table.
        "python_enable_replacements": False,
    }
    return config | ({"temp_directory": spill} if spill else {})


def restrict(connection: duckdb.DuckDBPyConnection) -> None:
    """Set the time zone to UTC, and keep the connection from reading any file that is not open yet, for good."""
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
