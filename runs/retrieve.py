"""One customer or VIP tier as Rivo answers now, beside the row that the warehouse has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import duckdb

from pipelines.errors import RivoError, command
from pipelines.privacy.redaction import Redactor
from pipelines.rivo.arrow import ListTyper
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Page, Row
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.sql import scalar
from pipelines.warehouse import RAW
from runs.client import client_of, opened
from runs.shop import Shop, shop_to_sync

NOUNS = {"customers": "customer", "vip_tiers": "VIP tier"}
"""The lists of which Rivo answers one row, with the word for a row."""


@dataclass(frozen=True)
class Retrieved:
    """A row of a list: what Rivo answers now and what the warehouse has, by column, typed as a sync loads them."""

    name: str
    """The list."""
    id: int
    now: dict[str, Any]
    asked_at: datetime
    stored: dict[str, Any] | None
    """None if the warehouse has no such row, or if there is no warehouse."""
    observed_at: datetime | None
    """When the last complete read of the list was; None if it was never read."""
    deleted_at: datetime | None
    """When the warehouse noted that Rivo no longer listed the row; None if it did not."""
    is_demo: bool
    """Whether the demo store was asked instead of Rivo."""

    @property
    def differences(self) -> list[str]:
        """The columns in which Rivo's answer and the warehouse differ; none if the warehouse has no row."""
        if self.stored is None:
            return []
        return [name for name, value in self.now.items() if value != self.stored.get(name)]


def retrieve(settings: Settings, name: str, identifier: str) -> Retrieved:
    """Ask Rivo for one row, and look it up in the warehouse. RIVO_PII and erasures apply as in a sync.

    Args:
        settings: the shop; without a key, the demo store answers as of the demo's last sync.
        name: a list of NOUNS.
        identifier: an id, or a customer's e-mail address.

    Raises:
        RivoError: Rivo has no such row, or cannot be asked.
    """
    endpoint, shop = ENDPOINTS[name], shop_to_sync(settings)
    with opened(shop) as connection:
        observed_at = _observed_at(connection, name)
        with client_of(shop, observed_at) as client:
            row = client.find(f"{endpoint.path}/{quote(identifier.strip(), safe='@')}", endpoint.title)
        if row is None:
            raise RivoError(_missing(shop, name, identifier.strip()))
        now = _typed(endpoint, _redacted(connection, settings, endpoint, row))
        cursor = connection.execute(f"select * from {RAW}.{name} where id = ?", [now["id"]])
        found = cursor.fetchone()
        columns = [column[0] for column in cursor.description or ()]
    values = None if found is None else dict(zip(columns, found, strict=True))
    deleted_at = values and values["_deleted_at"]
    return Retrieved(
        name,
        now["id"],
        now,
        client.observed_at or datetime.now(UTC),
        _readable(endpoint, values) if values else None,
        observed_at,
        deleted_at.astimezone(UTC) if deleted_at else None,
        shop.is_demo,
    )


def _missing(shop: Shop, name: str, identifier: str) -> str:
    if shop.is_demo:
        key = shop.settings.variable("api_key")
        return f"The demo store has no {NOUNS[name]} {identifier!r}. {key} is not set, so Rivo was not asked."
    by = "id or e-mail address" if name == "customers" else "id"
    return (
        f"Rivo has no {NOUNS[name]} {identifier!r} (404). Check the {by}. If you set RIVO_API_URL, check it too: "
        f"`{command()} doctor`."
    )


def _observed_at(connection: duckdb.DuckDBPyConnection, name: str) -> datetime | None:
    latest = f"select max(observed_at) from {RAW}.sync_log where list = ? and complete"
    found: datetime | None = scalar(connection, latest, [name])
    return found.astimezone(UTC) if found else None


def _redacted(connection: duckdb.DuckDBPyConnection, settings: Settings, endpoint: Endpoint, row: Row) -> Row:
    redact = Redactor(connection, settings).redact
    return redact(endpoint, [row])[0] if redact else row


def _typed(endpoint: Endpoint, row: Row) -> dict[str, Any]:
    """Return the row's values by column, as a sync would load them.

    Raises:
        RivoError: a sync would quarantine the row.
    """
    typed = ListTyper(endpoint.columns)(Page.of([row]))
    if typed.rejected:
        raise RivoError(
            f"Rivo's answer cannot be parsed: {typed.rejected[0].reason}. A sync would quarantine this row."
        )
    [values] = typed.table.to_pylist()
    return _readable(endpoint, values)


def _readable(endpoint: Endpoint, values: dict[str, Any]) -> dict[str, Any]:
    """Return values without the columns that syncs add, with JSON parsed and times in UTC."""
    kinds = {column.name: column.type for column in endpoint.columns}

    def readable(name: str, value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo:
            return value.astimezone(UTC)
        return json.loads(value) if kinds.get(name) == "json" and value is not None else value

    return {name: readable(name, value) for name, value in values.items() if not name.startswith("_")}
