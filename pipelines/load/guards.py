"""Refuses what is more likely a fault than news: a list that loses many rows at once, or the key of another shop."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np

from pipelines.errors import ApiError, ListError, SettingsError, command
from pipelines.load.landing import Landing
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Column
from pipelines.rivo.decode import Page
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import by_id
from pipelines.rivo.ranges import PAGE_SIZE
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Warehouse
from pipelines.warehouse.raw_tables import live_rows

SHRINK_LIMIT = 0.8
"""A read that finds less than this share of the known rows again is refused."""
_FEW_ROWS = 5
"""With fewer known rows, their ids prove nothing: all of them may have been deleted and others created."""
_PROBES = 10
"""Number of known customers of whom at least one must still be there."""


class LostRowsError(ListError):
    """More than a fifth of the known rows is gone."""


def refuse_other_shop(connection: duckdb.DuckDBPyConnection, client: Client) -> None:
    """Ask for customers that the warehouse knows, before anything is read: a warehouse belongs to one shop.

    Customer ids are Shopify's. They stay when Rivo's app is reinstalled, and no other shop has them. Usually this is
    one request, since the first customer that is found ends the search.

    Raises:
        ApiError: the server knows none of them.
    """
    missing = _missing_customers(connection, client)
    if not missing:
        return
    raise ApiError(
        f"{client.key_name} seems to be that of another shop: of {missing} customers that the warehouse knows, Rivo "
        "lists none. Nothing was changed. If the key is wrong, correct it. To load another shop as well, name both in "
        "RIVO_SHOPS. If it is the same shop and all its customers have new ids, run "
        f"`{command()} sync --allow-shrink {','.join(['customers', *_lists_of_facts()])}` once."
    )


def refuse_unadopted(settings: Settings, client: Client) -> None:
    """Refuse to begin the warehouse of one of several shops if RIVO_WAREHOUSE already is one of the same shop.

    Its histories would be left behind, and with an empty outbox actions would be sent again.

    Raises:
        SettingsError: it knows customers of this shop.
    """
    if not settings.shop or Warehouse.of_setting(settings.warehouse).base.exists:
        return
    single = Warehouse.of_setting(settings.single).base
    if not single.exists:
        return
    try:
        with single.read() as connection:
            if _missing_customers(connection, client) != 0:
                return
    except duckdb.CatalogException:
        # Another program's database.
        return
    raise SettingsError(
        f"{single} is the warehouse of {settings.shop} from the time before RIVO_SHOPS. Run `{command()} shops adopt "
        f"{settings.shop}`: its histories, and the record of what was sent to Rivo, go on. To begin again all the "
        "same, move it away. Nothing was changed."
    )


def _missing_customers(connection: duckdb.DuckDBPyConnection, client: Client) -> int | None:
    """Look for customers that a warehouse knows.

    Returns:
        0 if the server lists one of them, else how many were looked for; None if that proves nothing.
    """
    # Erased customers have negative keys in place of their ids.
    ids: Any = connection.execute(
        f"select id from {RAW}.customers where _deleted_at is null and id > 0 order by id"
    ).fetchnumpy()["id"]
    if ids.size < _FEW_ROWS:
        return None
    probes: list[int] = np.unique(ids[np.linspace(0, ids.size - 1, _PROBES).astype(int)]).tolist()
    try:
        for known in probes:
            if known in _ids_after(client, known - 1, 1):
                return 0
        first_page = _ids_after(client, 0, PAGE_SIZE)
    except ListError:
        # The list itself will fail, with its own sentence.
        return None
    # An empty list proves nothing, and is refused when it is read.
    if not first_page:
        return None
    return 0 if np.isin(first_page, ids).any() else len(probes)


def _ids_after(client: Client, since_id: int, limit: int) -> list[int]:
    customers = ENDPOINTS["customers"]
    rows = client.get(customers.path, by_id(since_id, limit), customers.title)["data"]
    return Page.of(rows).known_ids


def refuse_losses(landing: Landing, since_id: int) -> None:
    """Check the rows that were read after `since_id` before any of them is loaded.

    Raises:
        LostRowsError: more than a fifth of the known rows is gone.
        ListError: an attribute whose history is kept has lost all its
            values without being null: every customer would seem to have left the VIP tiers.
    """
    _refuse_missing_rows(landing, since_id)
    if since_id:
        return
    for column in landing.endpoint.columns:
        if column.name in landing.endpoint.history and landing.attributes:
            _refuse_vanished(landing, column)


def _refuse_missing_rows(landing: Landing, since_id: int) -> None:
    endpoint = landing.endpoint
    known: Any = landing.build.connection.execute(
        f"select id from {RAW}.{endpoint.name} where _deleted_at is null and id > ?", [since_id]
    ).fetchnumpy()["id"]
    came = np.unique(np.asarray(landing.seen))
    if endpoint.is_replaceable or known.size < _FEW_ROWS:
        found = min(came.size, known.size) if not since_id else known.size
    else:
        found = np.isin(known, came).sum()
    if found >= known.size * SHRINK_LIMIT:
        return
    accepted = _lists_of_facts() if endpoint.name in _lists_of_facts() else [endpoint.name]
    raise LostRowsError(
        f"{endpoint.title} was refused: {known.size - found:,} of the {known.size:,} known rows that this read should "
        f"have found are not among the {came.size:,} that Rivo returned. A list that loses more than a fifth of its "
        "rows at once is more often a fault, or the key of another shop, than a deletion. No row of this list was "
        "loaded. If the rows are really gone"
        + (", for example because Rivo's app was reinstalled" if len(accepted) > 1 else "")
        + f", run `{command()} sync --allow-shrink {','.join(accepted)}` once."
    )


def _lists_of_facts() -> list[str]:
    """Return the lists whose rows have new ids after Rivo's app was reinstalled."""
    return [endpoint.name for endpoint in ENDPOINTS.values() if endpoint.reading == "cursor"]


def _refuse_vanished(landing: Landing, column: Column) -> None:
    came = [landing.attributes[name] for name in column.sources if name in landing.attributes]
    is_null_everywhere = came and not any(came)
    if column.name in landing.filled or is_null_everywhere:
        return
    held = live_rows(landing.build.connection, landing.endpoint, f'"{column.name}" is not null')
    if held:
        attribute = f"a readable {column.name}" if came else " or ".join(column.sources)
        advice = (
            f"Please report it, with the file that `{command()} doctor --report FILE` writes. To load the list without "
            "these values all the same, run"
            if came
            else "If Rivo no longer sends the attribute, run"
        )
        raise ListError(
            f"{landing.endpoint.title} was refused: none of the {landing.counts.rows_read:,} rows that Rivo returned "
            f"has {attribute}, where the warehouse holds {held:,} values. Loading them would end all of these values "
            f"in the history. No row of this list was loaded. {advice} "
            f"`{command()} sync --allow-shrink {landing.endpoint.name}` once."
        )
