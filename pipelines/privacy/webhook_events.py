"""Personal data in `rivo_raw.webhook_events`: converted to another RIVO_PII, and erased with a person."""

from __future__ import annotations

from collections.abc import Collection

import duckdb
import orjson

from pipelines.privacy.personal import Replacer
from pipelines.privacy.webhook_bodies import redact_body
from pipelines.warehouse import RAW

_TABLE = f"{RAW}.webhook_events"


def rewrite_bodies(connection: duckdb.DuckDBPyConnection, replacer: Replacer) -> None:
    """Replace every personal text in the bodies of deliveries."""
    rows = connection.execute(
        f"select delivery_id, topic, body::varchar from {_TABLE} where body is not null"
    ).fetchall()
    changes = [
        (orjson.dumps(redact_body(topic, orjson.loads(body), replacer)).decode(), id)
        for id, topic, body in rows
    ]
    if changes:
        connection.executemany(f"update {_TABLE} set body = ? where delivery_id = ?", changes)


def replace_in_deliveries(
    connection: duckdb.DuckDBPyConnection, words: Collection[str], person_id: int | None, key: int
) -> int:
    """Replace a person's id by a pseudonym, and delete the bodies that name the person.

    Args:
        connection: to the working copy.
        words: the ids, addresses and codes of the person, in whatever capitals.
        person_id: the Shopify id; None for a person who is no customer.
        key: the pseudonym.

    Returns:
        the number of deliveries that named the person.
    """
    lowered = sorted(word.lower() for word in words)
    in_body = "len(list_filter($words, lambda word: contains(lower(body::varchar), word))) > 0"
    [[changed]] = connection.execute(
        f"update {_TABLE} set body = null, customer_id = if(customer_id = $id, $key, customer_id) "
        f"where customer_id = $id or {in_body}",
        {"id": person_id, "words": lowered, "key": key},
    ).fetchall()
    return int(changed)


def customers_of_deliveries(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the ids of all customers whom deliveries name."""
    rows = connection.execute(
        f"select distinct customer_id from {_TABLE} where customer_id is not null"
    ).fetchall()
    return [id for (id,) in rows]
