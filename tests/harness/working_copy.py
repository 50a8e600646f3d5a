"""A working copy for tests that read lists themselves, prepared as at the start of every run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.settings import Settings
from pipelines.warehouse import Build, Warehouse
from pipelines.warehouse.action_tables import load_outbox
from pipelines.warehouse.raw_tables import ensure_tables, write_settings


@contextmanager
def working_copy(warehouse: Warehouse, settings: Settings) -> Iterator[Build]:
    """Open the working copy of a warehouse, with all tables of this release, the outbox and the time zone."""
    with warehouse.build() as work:
        ensure_tables(work.connection)
        load_outbox(work.connection, warehouse.outbox)
        write_settings(work.connection, settings.timezone)
        yield work
