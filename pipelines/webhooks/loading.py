"""Loads deliveries from the journal into `rivo_raw.webhook_events` of a working copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from pipelines.settings import Settings
from pipelines.sql import scalar
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.files import base_of, sync_to_disk
from pipelines.warehouse.journals import WEBHOOKS, journal_path, shred
from pipelines.webhooks.deliveries import (
    KEEP_DAYS,
    copy_erased_people,
    deletable,
    delete_bodies,
    open_deliveries,
    replace_delivery,
    stored,
    transaction,
)
from pipelines.webhooks.treatment import COLUMNS, Delivery, Treatment, values_of

_TABLE = f"{RAW}.webhook_events"
_TYPES = {"object_id": pa.int64(), "customer_id": pa.int64(), "vip_tier_id": pa.int64()}


@dataclass(frozen=True)
class DeliveriesLoaded:
    """Deliveries of webhooks in `rivo_raw.webhook_events`: how many this run loaded, and how many there are."""

    rows_new: int
    rows_total: int


def load_deliveries(build: Build, settings: Settings, *, keeps_bodies: bool = False) -> DeliveriesLoaded:
    """Copy the deliveries that the working copy does not have from the journal.

    RIVO_PII and erasures are applied to the journal first. Bodies that the published file holds are deleted from the
    journal, unless `keeps_bodies` says that the working copy did not begin as a copy of that file.

    Raises:
        WarehouseError: the journal cannot be used.
        SettingsError: people were erased under another RIVO_PII_KEY, so they cannot be recognised.
    """
    path = journal_path(build.published, WEBHOOKS)
    new = 0
    if path.exists():
        connection = build.connection
        erased = connection.execute(
            f"select identifier, customer_key, key_check from {RAW}._forgotten"
        ).fetchall()
        with open_deliveries(path) as journal:
            copy_erased_people(journal, erased)
            if not keeps_bodies and base_of(build.published) == build.published:
                _delete_published_bodies(build, journal)
            treatment = Treatment(settings, erased)
            new = sum(_insert(connection, treated) for treated in _treated(journal, treatment))
    return DeliveriesLoaded(new, scalar(build.connection, f"select count(*) from {_TABLE}"))


def _delete_published_bodies(build: Build, journal: sqlite3.Connection) -> None:
    """Delete bodies of deliveries that the working copy began with, since the published file holds them."""
    if not build.published.exists():
        return
    before = datetime.now(UTC) - timedelta(days=KEEP_DAYS)
    build.connection.register(
        "candidates", pa.table({"id": pa.array(deletable(journal, before), pa.string())})
    )
    published = build.connection.execute(
        f"select id from candidates where id in (select delivery_id from {_TABLE})"
    ).fetchall()
    build.connection.unregister("candidates")
    if not published:
        return
    # The rename that published the file may not have reached the disk yet.
    sync_to_disk(build.published)
    sync_to_disk(build.published.parent)
    delete_bodies(journal, [id for (id,) in published], before)


def _treated(journal: sqlite3.Connection, treatment: Treatment) -> Iterator[list[Delivery]]:
    """Yield all deliveries as they may be stored, and replace those in the journal that differ."""
    has_deleted = False
    for deliveries in stored(journal):
        treated = [treatment.apply(delivery) for delivery in deliveries]
        changes = [(old, new) for old, new in zip(deliveries, treated, strict=True) if old != new]
        if changes:
            with transaction(journal):
                for old, new in changes:
                    replace_delivery(journal, old, new)
        has_deleted |= any((o.body, o.customer_id) != (n.body, n.customer_id) for o, n in changes)
        yield treated
    if has_deleted:
        shred(journal)


def _insert(connection: duckdb.DuckDBPyConnection, deliveries: Sequence[Delivery]) -> int:
    """Insert the deliveries whose id the table does not have; return their number."""
    if not deliveries:
        return 0
    columns = dict(zip(COLUMNS, zip(*map(values_of, deliveries), strict=True), strict=True))
    table = pa.table(
        {name: pa.array(values, _TYPES.get(name, pa.string())) for name, values in columns.items()}
    )
    connection.register("arrived", table)
    [[count]] = connection.execute(
        f"""
        insert into {_TABLE} by name
        select
            id as delivery_id,
            * exclude (id, pii) replace (
                received_at::timestamptz as received_at,
                sent_at::timestamptz as sent_at,
                started_at::timestamptz as started_at,
                body::json as body
            )
        from arrived
        where id not in (select delivery_id from {_TABLE})
        """
    ).fetchall()
    connection.unregister("arrived")
    return int(count)
