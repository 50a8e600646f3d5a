"""The API of a shop, and its warehouse, for commands that ask Rivo about single rows or change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import duckdb
from pydantic import SecretStr

from pipelines.errors import WarehouseError, command
from pipelines.rivo.client import Client
from pipelines.warehouse.raw_tables import ensure_tables
from runs.demo import demo_store
from runs.shop import Shop


@contextmanager
def client_of(
    shop: Shop, observed_at: datetime | None, notice: Callable[[str], None] = lambda _sentence: None
) -> Iterator[Client]:
    """Return a client of the shop's API; for the demo, of the sandbox store as of the demo's last sync."""
    if not shop.is_demo:
        yield Client.of_settings(shop.settings, notice)
        return
    with demo_store(shop.name) as store:
        if observed_at:
            store.set_clock(observed_at)
        values = {"api_key": SecretStr(store.key), "api_url": store.url, "rate_limit": 10_000.0}
        yield Client.of_settings(shop.settings.model_copy(update=values), notice)


@contextmanager
def opened(shop: Shop) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse, or an empty one in memory if there is none.

    Raises:
        WarehouseError: an older release wrote the file, and a table is missing.
    """
    if shop.warehouse.exists:
        with shop.warehouse.read() as connection:
            try:
                yield connection
            except duckdb.CatalogException:
                raise WarehouseError(
                    f"{shop.warehouse} was written by an older release. Run `{command()} sync` to bring it up to date."
                ) from None
    else:
        with duckdb.connect() as connection:
            ensure_tables(connection)
            yield connection
