"""Reads one list by cursor (`since_id`), or by page number where the server ignores the cursor.

Every page is verified, and long lists are read by several workers in parallel.

Documented (reference page pagination): `pagination[since_id]` returns records with a greater id, ascending;
`pagination[limit]` is at most 250; `links.next_since_id` is null on the last page. Paging by number reaches page 500
of 250 rows, which is 125,000 rows. An older version of that page shows responses without `next_since_id`; for these,
the largest id of the page is the next cursor.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from queue import Empty, Queue
from threading import Thread
from typing import Any

from pipelines.errors import ListError, command
from pipelines.rivo.client import Client
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.decode import Page, Row, as_id, page_decoder
from pipelines.rivo.ranges import PAGE_SIZE, Range, ReadPlan, plan_ranges
from pipelines.rivo.repair import REPAIRS, Repair, sentences

MAX_OFFSET_PAGE = 500
WORKERS = 8
"""Maximum number of concurrent requests: enough for 15 requests per second that take half a second each."""
_LATENCY_PER_WORKER = 0.02
"""Seconds of latency per worker. With faster responses, decoding dominates and more threads do not help."""
_END_CONFIRMATIONS = 2
"""How often to re-request the end of a list when later rows are known."""
_MAX_PAGES_WITHOUT_ROWS = 3
_SECONDS_TO_END = 2.0


def by_id(since_id: int, limit: int) -> dict[str, int]:
    """Return the parameters that request the first `limit` rows (at most 250) after `since_id`, by ascending id."""
    return {"pagination[since_id]": since_id, "pagination[limit]": limit}


def by_number(page: int, per_page: int) -> dict[str, int]:
    """Return the parameters that request page `page`, counted from 1, with `per_page` rows (at most 250) per page."""
    return {"pagination[page]": page, "pagination[per_page]": per_page}


class _CursorIgnoredError(Exception):
    """A response shows that the server does not page by since_id."""


@dataclass
class _Reading:
    """One read of a list: its requests, and what was odd in the responses but did no harm."""

    client: Client
    endpoint: Endpoint
    repeated: list[int] = field(default_factory=list)
    """Ids of the rows that were listed twice."""
    repairs: list[Repair] = field(default_factory=list)

    def page(self, params: Mapping[str, int], since_id: int | None = None) -> tuple[dict[str, Any], Page]:
        """Request a page; return the response, and its rows without repeated ones."""
        endpoint = self.endpoint
        payload = self.client.get(endpoint.path, params, endpoint.title, page_decoder(endpoint))
        page, repeated = Page.of(payload["data"]).without_repeats(since_id)
        self.repairs += payload.get(REPAIRS, ())
        self.repeated += repeated
        return payload, page

    def oddities(self) -> list[str]:
        """Return one sentence for each kind of oddity."""
        title = self.endpoint.title
        found = sentences(title, self.repairs)
        if self.repeated:
            count = len(self.repeated)
            rows, each = (f"{count:,} rows were", "Each") if count > 1 else ("1 row was", "It")
            found.append(
                f"{title}: {rows} listed twice, for example the one with id {self.repeated[0]}. "
                f"{each} was loaded once, as it was listed last."
            )
        return found


def read_list(
    client: Client,
    endpoint: Endpoint,
    since_id: int,
    warn: Callable[[str], None],
    known_ids: Sequence[int] | None = None,
    quarantined_ids: Sequence[int] = (),
    workers: int = WORKERS,
) -> Iterator[Page]:
    """Yield pages of the rows with an id greater than `since_id`: each row once, long lists in no particular order.

    Args:
        client: the client for the requests.
        endpoint: the list.
        since_id: the id after which to read; 0 for all rows.
        warn: called with a message when the server ignores the cursor, so that the list is read by page number.
        known_ids: ascending ids of the rows in the warehouse, by which the list is divided among the workers and a
            premature end is noticed; None if the list was never read before.
        quarantined_ids: ids up to `since_id` of quarantined rows to be read as well.
        workers: maximum number of concurrent requests.

    Raises:
        ListError: the list cannot be read completely; the message says what the server did.
    """
    # Rows that were yielded before the server ignored the cursor must not be yielded again.
    yielded = array("q")
    reading = _Reading(client, endpoint)
    try:
        plan = plan_ranges(since_id, known_ids, workers, quarantined_ids)
        for page in _by_cursor(reading, plan, workers):
            yield page
            yielded.extend(page.known_ids)
    except _CursorIgnoredError as error:
        warn(
            f"{endpoint.title}: the server does not page by since_id ({error}). The list is read by page number "
            f"instead, which reaches {MAX_OFFSET_PAGE * PAGE_SIZE:,} rows and can miss rows that are added meanwhile."
        )
        yield from _by_page_number(
            reading, since_id, set(yielded), known_ids, quarantined_ids, because=str(error)
        )
    for sentence in reading.oddities():
        warn(sentence)


def read_newest(
    client: Client, endpoint: Endpoint, since_id: int, most_pages: int
) -> tuple[list[Row], int, bool]:
    """Read the rows after `since_id`, at most `most_pages` pages of them, in order.

    Returns:
        The rows, the since_id with which to continue, and whether there may be more rows.

    Raises:
        ListError: the server does not page by since_id, so new rows cannot be found without reading the whole list.
    """
    rows: list[Row] = []
    position = since_id
    reading = _Reading(client, endpoint)
    for _ in range(most_pages):
        payload, page = reading.page(by_id(position, PAGE_SIZE), position)
        try:
            following = _next_cursor(payload, page, position)
        except _CursorIgnoredError as error:
            raise ListError(
                f"{endpoint.title}: the server does not page by since_id ({error}), so new rows cannot be found "
                "without reading the whole list. The next sync does that."
            ) from None
        rows += page
        position = max([position, *page.known_ids])
        if following is None or len(payload["data"]) < PAGE_SIZE:
            return rows, position, False
    return rows, position, True


def _by_page_number(
    reading: _Reading,
    since_id: int,
    seen: set[int],
    known_ids: Sequence[int] | None,
    quarantined_ids: Sequence[int],
    *,
    because: str,
) -> Iterator[Page]:
    """Yield the rows that are not in `seen`, and read the list a second time if a known row is missing.

    A row that is deleted during the read moves another row to a page that was read before. That row would then be
    taken for deleted. `because` says what was wrong with the pages by cursor.
    """
    for attempt in range(2):
        for page in _by_offset(reading, because):
            fresh: list[Row] = []
            for row, row_id in zip(page.rows, page.ids, strict=True):
                if row_id is None:
                    fresh += [row] * (attempt == 0)
                elif row_id not in seen and (row_id > since_id or row_id in quarantined_ids):
                    fresh.append(row)
                    seen.add(row_id)
            yield Page.of(fresh)
        if known_ids is None or seen.issuperset(map(int, known_ids)):
            return


def _by_cursor(reading: _Reading, plan: ReadPlan, workers: int) -> Iterator[Page]:
    """Yield pages by cursor, sequentially at first and in parallel once there are enough pages to divide."""

    def useful_workers() -> int:
        return min(workers, math.ceil(reading.client.latency / _LATENCY_PER_WORKER))

    for current in plan.ranges:
        while not current.done and not (plan.is_worth_sharing and useful_workers() > 1):
            if page := _read_page(reading, plan, current):
                yield page
    if not all(current.done for current in plan.ranges):
        yield from _in_parallel(lambda current: _read_page(reading, plan, current), plan, useful_workers())


def _in_parallel(read_page: Callable[[Range], Page], plan: ReadPlan, workers: int) -> Iterator[Page]:
    """Yield pages as the workers read them. An error of one worker ends all of them and is raised here."""
    # Bounded, so that fast workers wait for a slow consumer and memory use stays constant.
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
        # A worker that is retrying a page is not waited for: it ends later, and its page is discarded.
        until = time.monotonic() + _SECONDS_TO_END
        while any(thread.is_alive() for thread in threads) and running and time.monotonic() < until:
            # A worker can be blocked on the full queue with its last page.
            with suppress(Empty):
                got = pages.get(timeout=0.1)
                running -= got is None or isinstance(got, BaseException)


def _read_page(reading: _Reading, plan: ReadPlan, current: Range) -> Page:
    """Read the page after the position of a range, record it in the plan, and return its rows within the range.

    The end of the list is accepted immediately if the page has rows and is not full, or if the warehouse knows no
    later rows. Otherwise it is requested again, because a transient empty page would make all later rows look deleted.
    """
    position = current.position
    rows = Page([], [])
    for attempt in range(_MAX_PAGES_WITHOUT_ROWS):
        payload, page, following = _checked_page(reading, position)
        ids = page.known_ids
        rows = rows + page if rows else page
        if ids or (
            following is None and (page or attempt >= _END_CONFIRMATIONS or plan.expects_end_at(position))
        ):
            break
        position = following or position
    else:
        raise ListError(
            f"{reading.endpoint.title} could not be read completely: {_MAX_PAGES_WITHOUT_ROWS} consecutive pages were "
            "empty, although the server says that more rows follow. No row of this list was loaded; "
            "the next sync tries again."
        )
    ended = following is None and not (
        ids and len(payload["data"]) >= PAGE_SIZE and not plan.expects_end_at(ids[-1])
    )
    gap = (ids[-1] - ids[0]) / len(ids) if ids else 1.0
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    end = plan.advance(current, first, following or last, gap, ended=ended)
    return rows if end is None or not ids or ids[-1] <= end else rows.up_to(end)


def _checked_page(reading: _Reading, position: int) -> tuple[dict[str, Any], Page, int | None]:
    """Return the response for the page after `position`, its rows, and the next cursor.

    A page that breaks the rules of the cursor is requested once more, since a cache or a proxy can be the reason.

    Raises:
        _CursorIgnoredError: the page breaks them again.
    """
    payload, page = reading.page(by_id(position, PAGE_SIZE), position)
    try:
        return payload, page, _next_cursor(payload, page, position)
    except _CursorIgnoredError:
        payload, page = reading.page(by_id(position, PAGE_SIZE), position)
        return payload, page, _next_cursor(payload, page, position)


def _has_next_key(payload: dict[str, Any]) -> bool:
    """Return whether a response has `next_since_id`, which is null at the end; older versions of the API omit it."""
    return isinstance(payload.get("links"), dict) and "next_since_id" in payload["links"]


def _next_cursor(payload: dict[str, Any], page: Page, since_id: int) -> int | None:
    """Return the next since_id, or None at the end of the list.

    Raises:
        _CursorIgnoredError: the page breaks the rules of the cursor.
    """
    ids = page.known_ids
    if ids and ids[0] <= since_id:
        raise _CursorIgnoredError(f"it returned id {ids[0]} when asked for ids above {since_id}")
    if any(later <= earlier for earlier, later in pairwise(ids)):
        raise _CursorIgnoredError("ids are not in ascending order")
    if _has_next_key(payload):
        value = payload["links"]["next_since_id"]
        if value is None:
            return None
        following = as_id(value)
        if following is None:
            raise _CursorIgnoredError(f"next_since_id is {value!r}")
        if following <= since_id:
            raise _CursorIgnoredError(
                f"next_since_id {following} is not above the requested since_id {since_id}"
            )
        if ids and following < ids[-1]:
            raise _CursorIgnoredError(
                f"next_since_id {following} is below the last id of the page, {ids[-1]}"
            )
        return following
    # Without next_since_id, nothing marks the last page, so only an empty page ends the list.
    if not page:
        return None
    if not ids:
        raise _CursorIgnoredError("no row of the page has an id, and there is no next_since_id")
    return ids[-1]


def _by_offset(reading: _Reading, because: str) -> Iterator[Page]:
    """Yield pages by number. Continue after a full page whatever its links say, and request an empty page twice."""
    title = reading.endpoint.title
    before: list[Row] = []
    page, empty = 1, 0
    while page <= MAX_OFFSET_PAGE:
        payload, distinct = reading.page(by_number(page, PAGE_SIZE))
        rows: list[Row] = payload["data"]
        links = payload.get("links")
        goes_on = isinstance(links, dict) and bool(links.get("next"))
        if rows and rows == before:
            raise _unreachable(title, because, f"page {page} repeats the rows of the page before")
        if rows:
            yield distinct
            page, empty = page + 1, 0
            if len(rows) < PAGE_SIZE and not goes_on:
                return
        else:
            empty += 1
            if empty == 2:
                return
        before = rows or before
    reach = f"the list fills all {MAX_OFFSET_PAGE} pages that can be reached, so it may be longer"
    raise _unreachable(title, because, reach)


def _unreachable(title: str, by_cursor: str, by_number: str) -> ListError:
    return ListError(
        f"{title} could not be read completely. Paging by since_id: {by_cursor}. Paging by number: {by_number}. No row "
        "of this list was loaded; the next sync tries again. If it fails every time, report it, with the file that "
        f"`{command()} doctor --report FILE` writes."
    )
