"""The journal of deliveries: `rivo.webhooks.sqlite` beside the warehouse, which holds every delivery once.

A delivery is in it before Rivo gets its answer. Its body stays until the published file holds it. Its id, topic and
times stay for `KEEP_DAYS`, so that a repeated delivery is recognised and sensors can read what arrived.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.warehouse import Warehouse
from pipelines.warehouse.journals import WEBHOOKS, open_journal, shred
from pipelines.webhooks.treatment import COLUMNS, Delivery, Identifier, values_of

KEEP_DAYS = 90
"""Number of days for which the journal keeps a delivery that the published file holds. `rivo_raw` keeps all."""

SCHEMA = """
create table if not exists deliveries (
    position integer primary key autoincrement,
    id text not null unique,
    topic text,
    form text not null,
    received_at text not null,
    sent_at text,
    started_at text,
    object_id integer,
    customer_id integer,
    vip_tier_id integer,
    pii text not null,
    body text
);
create index if not exists deliveries_by_customer on deliveries (customer_id);
create table if not exists erased (
    identifier text primary key,
    customer_key integer not null,
    key_check text not null
);
"""
_CHUNK = 5_000
"""Number of deliveries that are in memory at once; a body has at most a megabyte, and usually two kilobytes."""
_COLUMNS = ", ".join(COLUMNS)
_PLACES = ", ".join("?" for _ in COLUMNS)


@dataclass(frozen=True)
class Arrived:
    """A delivery as sensors see it. `position` ascends in the order of arrival; `occurred_at` is UTC in ISO 8601."""

    position: int
    topic: str | None
    customer_id: int | None
    vip_tier_id: int | None
    occurred_at: str


@contextmanager
def open_deliveries(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the journal, and create it if it is new; as `open_journal`."""
    with open_journal(path, SCHEMA) as journal:
        yield journal


@contextmanager
def transaction(journal: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end of the block, durably, or undo all of it after an error. Other writers wait."""
    journal.execute("begin immediate")
    try:
        yield
    except BaseException:
        journal.execute("rollback")
        raise
    journal.execute("commit")


def add(journal: sqlite3.Connection, delivery: Delivery) -> bool:
    """Add a delivery; return whether it was new. One whose id the journal has is ignored."""
    sql = f"insert into deliveries ({_COLUMNS}) values ({_PLACES}) on conflict (id) do nothing"
    return journal.execute(sql, values_of(delivery)).rowcount > 0


def replace_delivery(journal: sqlite3.Connection, old: Delivery, new: Delivery) -> None:
    """Replace a delivery by what may be stored of it."""
    journal.execute(
        "update deliveries set customer_id = ?, pii = ?, body = ? where id = ?",
        (new.customer_id, new.pii, new.body, old.id),
    )


def stored(journal: sqlite3.Connection) -> Iterator[list[Delivery]]:
    """Yield all deliveries of the journal in the order of their arrival, `_CHUNK` at a time."""
    position = 0
    while rows := journal.execute(
        f"select position, {_COLUMNS} from deliveries where position > ? order by position limit {_CHUNK}",
        (position,),
    ).fetchall():
        position = rows[-1][0]
        yield [Delivery(*row[1:]) for row in rows]


def deletable(journal: sqlite3.Connection, received_before: datetime) -> list[str]:
    """Return the ids of deliveries that have a body or arrived before a time in UTC."""
    sql = "select id from deliveries where body is not null or received_at < ?"
    return [id for (id,) in journal.execute(sql, (received_before.isoformat(),)).fetchall()]


def erased_people(journal: sqlite3.Connection) -> list[Identifier]:
    """Return the identifiers of erased people that the journal has a copy of."""
    sql = "select identifier, customer_key, key_check from erased order by identifier"
    return [tuple(row) for row in journal.execute(sql).fetchall()]


def copy_erased_people(journal: sqlite3.Connection, erased: Sequence[Identifier]) -> None:
    """Replace the journal's copy of the identifiers of erased people, by which the receiver recognises them."""
    if sorted(erased) != erased_people(journal):
        with transaction(journal):
            journal.execute("delete from erased")
            journal.executemany("insert into erased values (?, ?, ?)", erased)


def delete_bodies(journal: sqlite3.Connection, published: Sequence[str], received_before: datetime) -> None:
    """Delete the bodies of deliveries that the published file holds, and those received before a time completely.

    Args:
        journal: the journal.
        published: ids of deliveries in the published file, which must have been flushed to the disk.
        received_before: a time in UTC.
    """
    with transaction(journal):
        journal.executemany(
            "update deliveries set body = null where id = ? and body is not null", [(id,) for id in published]
        )
        journal.executemany(
            "delete from deliveries where id = ? and received_at < ?",
            [(id, received_before.isoformat()) for id in published],
        )
    # Deleted bytes stay in the write-ahead log until it is emptied.
    journal.execute("pragma wal_checkpoint(truncate)")


def arrived(warehouse: Warehouse, prefix: str, after: int) -> list[Arrived]:
    """Return the deliveries of topics that begin with `prefix` and arrived after a position, in order of arrival.

    Raises:
        WarehouseError: the journal cannot be read.
    """
    path = warehouse.journal(WEBHOOKS)
    if not path.exists():
        return []
    with open_deliveries(path) as journal:
        rows = journal.execute(
            "select position, topic, customer_id, vip_tier_id, coalesce(started_at, sent_at, received_at) "
            "from deliveries where position > ? and topic >= ? and topic < ? order by position",
            (after, prefix, f"{prefix}\U0010ffff"),
        ).fetchall()
    return [Arrived(*row) for row in rows]


def last_position(warehouse: Warehouse) -> int:
    """Return the position of the delivery that arrived last; 0 if there is none.

    Raises:
        WarehouseError: the journal cannot be read.
    """
    path = warehouse.journal(WEBHOOKS)
    if not path.exists():
        return 0
    with open_deliveries(path) as journal:
        [found] = journal.execute("select coalesce(max(position), 0) from deliveries").fetchone()
    return int(found)


def last_arrival(warehouse: Warehouse) -> datetime | None:
    """Return when the last delivery arrived, by the clock of the machine that received it; None if there is none.

    Raises:
        WarehouseError: the journal cannot be read.
    """
    path = warehouse.journal(WEBHOOKS)
    if not path.exists():
        return None
    with open_deliveries(path) as journal:
        [found] = journal.execute("select max(received_at) from deliveries").fetchone()
    return datetime.fromisoformat(found) if found else None


def erase_person(
    warehouse: Warehouse, words: set[str], person_id: int | None, key: int, erased: Sequence[Identifier]
) -> int:
    """Erase a person from the journal, and let the receiver recognise the person from now on.

    Args:
        warehouse: the shop's warehouse. Without a journal, nothing is done.
        words: every id, address and code that identifies the person.
        person_id: the Shopify id, which `key` replaces; None for a person who is no customer.
        key: the person's pseudonym.
        erased: the rows of `_forgotten`, this person's among them.

    Returns:
        the number of deliveries that named the person.

    Raises:
        WarehouseError: the journal cannot be written.
    """
    path = warehouse.journal(WEBHOOKS)
    if not path.exists():
        return 0
    lowered = [word.lower() for word in words]
    with open_deliveries(path) as journal:
        copy_erased_people(journal, erased)
        with transaction(journal):
            found = [
                id
                for id, customer_id, body in journal.execute("select id, customer_id, body from deliveries")
                if (person_id is not None and customer_id == person_id)
                or (body is not None and any(word in body.lower() for word in lowered))
            ]
            journal.executemany("update deliveries set body = null where id = ?", [(id,) for id in found])
            if person_id is not None:
                journal.execute(
                    "update deliveries set customer_id = ? where customer_id = ?", (key, person_id)
                )
        shred(journal)
    return len(found)
