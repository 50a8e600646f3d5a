"""Reading one list by `since_id`, every page verified, long lists by several workers side by side; by page number
where the cursor is ignored.

Documented (reference/pagination): `pagination[since_id]` gives records with a greater id, ascending;
`pagination[limit]` is at most 250; the end is `links.next_since_id` null. Offset paging reaches page 500
of 250 rows, 125,000 rows in all. An older version of the page shows cursor answers without
`next_since_id`: there the largest id of the page is the next cursor.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from queue import Empty, Queue
from threading import Thread
from typing import Any

from pipelines.errors import ListError
from pipelines.rivo.client import Client, by_id, by_number
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Page, Row, as_id, page_decoder
from pipelines.rivo.ranges import PAGE_SIZE, Range, ReadPlan, plan_ranges

MAX_OFFSET_PAGE = 500
WORKERS = 8
"""So many requests under way at once, at most: 15 a second at half a second each."""
_LATENCY_WORTH_A_WORKER = 0.02
"""Seconds. Where answers come faster, reading them is what takes the time, and threads of Python only compete."""
_DOUBTS = 2
"""So often an end is asked for again where the warehouse knows of rows behind it."""
_MAX_PAGES_WITHOUT_ROWS = 3
_SECONDS_TO_END = 2.0


class _CursorIgnoredError(Exception):
    """The server's answer shows that it does not page by since_id."""


def read_list(
    client: Client,
    endpoint: Endpoint,
    since_id: int,
    warn: Callable[[str], None],
    known_ids: Sequence[int] | None = None,
    apart: Sequence[int] = (),
    workers: int = WORKERS,
) -> Iterator[Page]:
    """Pages of the rows with an id greater than `since_id`; each row once, long lists in no particular order.

    `warn` gets a sentence when the server ignored the cursor and offset paging had to be used. `known_ids` are
    those that the warehouse holds, ascending: where to cut the list for the workers, and where it should not end;
    None where it was never read before. The rows `apart`, with ids up to `since_id`, are read as well.

    Raises:
        ListError: the list cannot be read whole; says what the server did.
    """
    # Rows handed out before the cursor turned out to be ignored must not come twice.
    handed_out = array("q")
    try:
        for page in _by_cursor(client, endpoint, plan_ranges(since_id, known_ids, workers, apart), workers):
            yield page
            handed_out.extend(page.known_ids)
    except _CursorIgnoredError as error:
        warn(
            f"{endpoint.title}: the server does not page by since_id ({error}); read by page number instead, "
            f"which can miss rows that arrive while reading and ends at {MAX_OFFSET_PAGE * PAGE_SIZE:,} rows."
        )
        yield from _by_page_number(client, endpoint, since_id, set(handed_out), known_ids, apart)


def read_newest(
    client: Client, endpoint: Endpoint, since_id: int, most_pages: int
) -> tuple[list[Row], int, bool]:
    """Rows behind `since_id`, of the first few pages; for whoever only wants to know what is new.

    Returns:
        the rows, the id to go on behind, and whether there may be more.

    Raises:
        ListError: the server does not page by since_id, so that new rows cannot be told without reading all.
    """
    rows: list[Row] = []
    position = since_id
    for _ in range(most_pages):
        payload = client.get(
            endpoint.path,
            by_id(position, PAGE_SIZE),
            endpoint.title,
        )
        page = Page.of(payload["data"])
        try:
            following = _next_cursor(payload, page, position)
        except _CursorIgnoredError as error:
            raise ListError(
                f"{endpoint.title}: the server does not page by since_id ({error}), so what is new cannot be told "
                "without reading the whole list. The daily sync does that."
            ) from None
        rows += page
        position = max([position, *page.known_ids])
        if following is None or len(page) < PAGE_SIZE:
            return rows, position, False
    return rows, position, True


def _by_page_number(
    client: Client,
    endpoint: Endpoint,
    since_id: int,
    seen: set[int],
    known_ids: Sequence[int] | None,
    apart: Sequence[int],
) -> Iterator[Page]:
    """The rows that `seen` does not hold. Read twice where a known row did not come.

    A row that goes while pages are counted moves another one to a page that was read before, which would then
    pass for deleted.
    """
    for reading in range(2):
        for page in _by_offset(client, endpoint):
            fresh: list[Row] = []
            for row, row_id in zip(page.rows, page.ids, strict=True):
                if row_id is None:
                    fresh += [row] * (reading == 0)
                elif row_id not in seen and (row_id > since_id or row_id in apart):
                    fresh.append(row)
                    seen.add(row_id)
            yield Page.of(fresh)
        if known_ids is None or seen.issuperset(map(int, known_ids)):
            return


def _by_cursor(client: Client, endpoint: Endpoint, plan: ReadPlan, workers: int) -> Iterator[Page]:
    """Pages by cursor: one after the other while there is little to share, else side by side."""

    def useful_workers() -> int:
        return min(workers, math.ceil(client.latency / _LATENCY_WORTH_A_WORKER))

    for current in plan.ranges:
        while not current.done and not (plan.is_worth_sharing and useful_workers() > 1):
            if page := _read_page(client, endpoint, plan, current):
                yield page
    if not all(current.done for current in plan.ranges):
        yield from _side_by_side(
            lambda current: _read_page(client, endpoint, plan, current), plan, useful_workers()
        )


def _side_by_side(read_page: Callable[[Range], Page], plan: ReadPlan, workers: int) -> Iterator[Page]:
    """Pages as the workers read them. An error of one worker ends all of them and is raised here."""
    # Bounded, so that fast workers wait for a slow consumer and memory stays flat.
    pages: Queue[Page | BaseException | None] = Queue(maxsize=4)

    def work() -> None:
        try:
            while (current := plan.claim()) is not None:
                while not current.done and not plan.stopped:
                    if page := read_page(current):
                        pages.put(page)
            pages.put(None)
        except BaseException as error:
            pages.put(error)

    threads = [Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    running = workers
    try:
        while running:
            got = pages.get()
            if isinstance(got, BaseException):
                raise got
            if got is None:
                running -= 1
            else:
                yield got
    finally:
        plan.stop()
        # Who is trying a page again and again is not waited for: it ends by itself, and nobody takes its page.
        until = time.monotonic() + _SECONDS_TO_END
        while any(thread.is_alive() for thread in threads) and running and time.monotonic() < until:
            # A worker may be waiting for a place to put its last page.
            with suppress(Empty):
                got = pages.get(timeout=0.1)
                running -= got is None or isinstance(got, BaseException)


def _read_page(client: Client, endpoint: Endpoint, plan: ReadPlan, current: Range) -> Page:
    """The rows of the page behind the range's position that belong to it; the plan is told of them.

    An end is believed at once where a short page has it, or where the warehouse knows of no rows behind. Else
    it is asked for again: empty answers would pass for the end, and the rows behind it for deleted.
    """
    position = current.position
    rows = Page([], [])
    for attempt in range(_MAX_PAGES_WITHOUT_ROWS):
        payload = client.get(
            endpoint.path,
            by_id(position, PAGE_SIZE),
            endpoint.title,
            page_decoder(endpoint),
        )
        page = Page.of(payload["data"])
        following = _next_cursor(payload, page, position)
        ids = page.known_ids
        rows = rows + page if rows else page
        if ids or (following is None and (page or attempt >= _DOUBTS or plan.expects_end_at(position))):
            break
        position = following or position
    else:
        raise ListError(
            f"{endpoint.title} could not be read whole: {_MAX_PAGES_WITHOUT_ROWS} pages in a row were empty although "
            "the server said that more rows follow. Nothing of it was loaded; the next sync tries again."
        )
    ended = following is None and not (ids and len(page) >= PAGE_SIZE and not plan.expects_end_at(ids[-1]))
    gap = (ids[-1] - ids[0]) / len(ids) if ids else 1.0
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    end = plan.advance(current, first, following or last, gap, ended=ended)
    return rows if end is None or not ids or ids[-1] <= end else rows.up_to(end)


def _has_next_key(payload: dict[str, Any]) -> bool:
    """Whether this is an answer of the present kind, which names the next cursor or says that there is none."""
    return isinstance(payload.get("links"), dict) and "next_since_id" in payload["links"]


def _next_cursor(payload: dict[str, Any], page: Page, since_id: int) -> int | None:
    """The next since_id, None at the end; raises _CursorIgnoredError where the page breaks the cursor's rules."""
    ids = page.known_ids
    if ids and ids[0] <= since_id:
        raise _CursorIgnoredError(f"asked for ids above {since_id}, got {ids[0]}")
    if any(later <= earlier for earlier, later in pairwise(ids)):
        raise _CursorIgnoredError("ids do not ascend")
    if _has_next_key(payload):
        said = payload["links"]["next_since_id"]
        if said is None:
            return None
        following = as_id(said)
        if following is None:
            raise _CursorIgnoredError(f"next_since_id is {said!r}")
        if following <= since_id:
            raise _CursorIgnoredError(f"next_since_id stands still at {following}")
        if ids and following < ids[-1]:
            raise _CursorIgnoredError(f"next_since_id {following} lies before the page's last id {ids[-1]}")
        return following
    # The older answer: nothing says that this was the last page, so only an empty one ends the list.
    if not page:
        return None
    if not ids:
        raise _CursorIgnoredError("a page of rows without ids and no next_since_id")
    return ids[-1]


def _by_offset(client: Client, endpoint: Endpoint) -> Iterator[Page]:
    """Pages by number. A full page is followed whatever its links say; an empty one is asked for twice."""
    before: list[Row] = []
    page, empty = 1, 0
    while page <= MAX_OFFSET_PAGE:
        payload = client.get(endpoint.path, by_number(page, PAGE_SIZE), endpoint.title)
        rows: list[Row] = payload["data"]
        links = payload.get("links")
        goes_on = isinstance(links, dict) and bool(links.get("next"))
        if rows and rows == before:
            raise ListError(
                f"{endpoint.title} could not be read whole: the server ignores since_id, and page number {page} "
                "is the same page again. Nothing of it was loaded; please report this to Rivo's support."
            )
        if rows:
            yield Page.of(rows)
            page, empty = page + 1, 0
            if len(rows) < PAGE_SIZE and not goes_on:
                return
        else:
            empty += 1
            if empty == 2:
                return
        before = rows or before
    raise ListError(
        f"{endpoint.title} could not be read whole: the server ignores since_id, and the list is longer than the "
        f"{MAX_OFFSET_PAGE * PAGE_SIZE:,} rows that paging by number can reach. Nothing of it was loaded; "
        "please report this to Rivo's support."
    )
