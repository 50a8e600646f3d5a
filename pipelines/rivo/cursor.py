"""Paging through one list by `since_id`, every page verified; by page number where the cursor is ignored.

Documented (reference/pagination): `pagination[since_id]` gives records with a greater id, ascending;
`pagination[limit]` is at most 250; the end is `links.next_since_id` null. Offset paging reaches page 500
of 250 rows, 125,000 rows in all. An older version of the page shows cursor answers without
`next_since_id`: there the largest id of the page is the next cursor.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from pipelines.errors import ListError
from pipelines.rivo.client import Client
from pipelines.rivo.endpoints import Endpoint

PAGE_SIZE = 250
MAX_OFFSET_PAGE = 500
LARGEST_ID = 2**63 - 1
_MAX_EMPTY_PAGES = 3

Row = dict[str, Any]


class _CursorIgnoredError(Exception):
    """The server's answer shows that it does not page by since_id."""


def resource_id(row: object) -> int | None:
    """The resource-level id of a row as a number (digits in quotes are read too), None where there is none."""
    return _number(row.get("id")) if isinstance(row, dict) else None


def likely_id(row: object) -> int | None:
    """The resource-level id, else the one in the attributes: a number or `[shop_id, id]`.

    Good enough to know again a row that came spoilt, not to load it.
    """
    found = resource_id(row)
    attributes = row.get("attributes") if isinstance(row, dict) else None
    if found is None and isinstance(attributes, dict):
        value = attributes.get("id")
        found = _number(value[-1] if isinstance(value, list) and value else value)
    return found


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    is_id = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_ID
    return value if is_id else None  # type: ignore[return-value]


def read_list(
    client: Client, endpoint: Endpoint, since_id: int, warn: Callable[[str], None]
) -> Iterator[list[Row]]:
    """Pages of the rows with an id greater than `since_id`; each row once.

    `warn` gets a sentence when the server ignored the cursor and offset paging had to be used.

    Raises:
        ListError: the list cannot be read whole; says what the server did.
    """
    # Rows handed out before the cursor turned out to be ignored must not come twice.
    handed_out = array("q")
    try:
        for rows in _by_cursor(client, endpoint, since_id):
            yield rows
            handed_out.extend(row_id for row_id in map(resource_id, rows) if row_id is not None)
    except _CursorIgnoredError as error:
        warn(
            f"{endpoint.title}: the server does not page by since_id ({error}); read by page number instead, "
            f"which can miss rows that arrive while reading and ends at {MAX_OFFSET_PAGE * PAGE_SIZE:,} rows."
        )
        seen = set(handed_out)
        for rows in _by_offset(client, endpoint):
            fresh = []
            for row in rows:
                row_id = resource_id(row)
                if row_id is None or (row_id > since_id and row_id not in seen):
                    fresh.append(row)
                    seen.add(row_id or 0)
            yield fresh


def _by_cursor(client: Client, endpoint: Endpoint, since_id: int) -> Iterator[list[Row]]:
    empty = 0
    while True:
        payload = client.get(
            endpoint.path,
            {"pagination[since_id]": since_id, "pagination[limit]": PAGE_SIZE},
            endpoint.title,
        )
        rows: list[Row] = payload["data"]
        following = _next_cursor(payload, rows, since_id)
        if rows:
            yield rows
        if following is None:
            return
        empty = 0 if rows else empty + 1
        if empty == _MAX_EMPTY_PAGES:
            raise ListError(
                f"{endpoint.title} could not be read whole: {_MAX_EMPTY_PAGES} pages in a row were empty although "
                "the server said that more rows follow. Nothing of it was loaded; the next sync tries again."
            )
        since_id = following


def _next_cursor(payload: dict[str, Any], rows: list[Row], since_id: int) -> int | None:
    """The next since_id, None at the end; raises _CursorIgnoredError where the page breaks the cursor's rules."""
    ids = [row_id for row_id in map(resource_id, rows) if row_id is not None]
    if ids and ids[0] <= since_id:
        raise _CursorIgnoredError(f"asked for ids above {since_id}, got {ids[0]}")
    if any(later <= earlier for earlier, later in pairwise(ids)):
        raise _CursorIgnoredError("ids do not ascend")
    links = payload.get("links")
    links = links if isinstance(links, dict) else {}
    if "next_since_id" in links:
        following = links["next_since_id"]
        if following is None:
            return None
        if not isinstance(following, int) or isinstance(following, bool):
            raise _CursorIgnoredError(f"next_since_id is {following!r}")
        if following <= since_id:
            raise _CursorIgnoredError(f"next_since_id stands still at {following}")
        if ids and following < ids[-1]:
            raise _CursorIgnoredError(f"next_since_id {following} lies before the page's last id {ids[-1]}")
        return following
    # The older answer: nothing says that this was the last page, so only an empty one ends the list.
    if not rows:
        return None
    if not ids:
        raise _CursorIgnoredError("a page of rows without ids and no next_since_id")
    return ids[-1]


def _by_offset(client: Client, endpoint: Endpoint) -> Iterator[list[Row]]:
    for page in range(1, MAX_OFFSET_PAGE + 1):
        payload = client.get(
            endpoint.path, {"pagination[page]": page, "pagination[per_page]": PAGE_SIZE}, endpoint.title
        )
        rows: list[Row] = payload["data"]
        links = payload.get("links")
        if rows:
            yield rows
        if not rows or not (isinstance(links, dict) and links.get("next")):
            return
    raise ListError(
        f"{endpoint.title} could not be read whole: the server ignores since_id, and the list is longer than the "
        f"{MAX_OFFSET_PAGE * PAGE_SIZE:,} rows that paging by number can reach. Nothing of it was loaded; "
        "please report this to Rivo's support."
    )
