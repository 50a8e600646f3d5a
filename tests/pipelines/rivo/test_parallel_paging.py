"""Parallel reading of one list over HTTP: exactly its rows, with errors and early ends included."""

from __future__ import annotations

import re
import time
from bisect import bisect_right

import pytest

from pipelines.errors import ListError
from pipelines.rivo import paging
from pipelines.rivo.client import Client
from pipelines.rivo.decode import resource_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_list
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, answering, page

EVENTS = ENDPOINTS["points_events"]
IDS = [7_000_000_000 + n * 330 - n * n // 100 + (10**7 if n > 2_000 else 0) for n in range(6_000)]


@pytest.fixture(autouse=True)
def _parallel_at_any_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_LATENCY_PER_WORKER", 1e-9)


def answer(asked: Asked, number: int) -> Reply:
    """Answer as a server with the rows IDS that follows the rules of the cursor."""
    start = bisect_right(IDS, int(asked.params["pagination[since_id]"]))
    rows = IDS[start : start + 250]
    more = start + 250 < len(IDS)
    return page(rows, next_since_id=rows[-1] if more else None)


def read(url: str, known: list[int] | None, since_id: int = 0) -> tuple[list[int | None], Client]:
    client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=url))
    reading = read_list(client, EVENTS, since_id, pytest.fail, known)
    return [resource_id(row) for rows in reading for row in rows], client


@pytest.mark.parametrize(
    "known", [None, IDS, IDS[:3_000], IDS[1_000:4_000:3]], ids=["none", "all", "half", "some"]
)
def test_parallel_workers_yield_every_row_once(known: list[int] | None) -> None:
    with answering(answer) as stub:
        ids, client = read(stub.url, known)

    assert sorted(filter(None, ids)) == IDS
    # Requests were concurrent, otherwise the rows would be in order.
    assert ids != sorted(filter(None, ids))
    assert client.requests < 1.6 * len(IDS) / 250


def test_unchanged_list_is_read_without_extra_requests() -> None:
    with answering(answer) as stub:
        _, client = read(stub.url, IDS)
        assert client.requests == len(IDS) / 250
        _, client = read(stub.url, IDS, since_id=IDS[-1])
        assert client.requests == 1


def test_error_of_one_worker_is_raised_for_the_list() -> None:
    def refusing(asked: Asked, number: int) -> Reply:
        if int(asked.params["pagination[since_id]"]) > IDS[3_000]:
            return Reply({"error": "no"}, status=403)
        return answer(asked, number)

    with answering(refusing) as stub, pytest.raises(ListError, match="403"):
        read(stub.url, IDS)


def test_closed_reader_stops_its_workers() -> None:
    with answering(answer) as stub:
        client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=stub.url))
        reading = read_list(client, EVENTS, 0, pytest.fail, IDS)
        next(reading)
        reading.close()  # type: ignore[attr-defined]

        sent = client.requests
        time.sleep(0.2)
        assert client.requests == sent < len(IDS) / 250


@pytest.mark.parametrize("times", [1, 2])
def test_page_that_ignores_the_cursor_is_requested_again_before_page_numbers(times: int) -> None:
    left: dict[str, int] = {}

    def ignores_a_cursor(asked: Asked, number: int) -> Reply:
        if "pagination[page]" in asked.params:
            start = (int(asked.params["pagination[page]"]) - 1) * 250
            return page(IDS[start : start + 250], next="more" if start + 250 < len(IDS) else None)
        since_id = asked.params["pagination[since_id]"]
        if number == 12:
            left[since_id] = times
        if left.get(since_id):
            left[since_id] -= 1
            return page(IDS[:250], next_since_id=IDS[249])
        return answer(asked, number)

    warnings: list[str] = []
    with answering(ignores_a_cursor) as stub:
        client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=stub.url))
        reading = read_list(client, EVENTS, 0, warnings.append, IDS)
        ids = [resource_id(row) for rows in reading for row in rows]

    assert sorted(filter(None, ids)) == IDS
    assert len(warnings) == times - 1


@pytest.mark.parametrize("known", [None, IDS])
def test_rows_listed_twice_are_read_once_in_a_list_too_long_for_page_numbers(
    known: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_OFFSET_PAGE", 1)

    def repeats(asked: Asked, number: int) -> Reply:
        since_id = int(asked.params["pagination[since_id]"])
        position = bisect_right(IDS, since_id)
        rows = IDS[position : position + 250]
        following = rows[-1] if position + 250 < len(IDS) else None
        # One row in twenty twice in a row, and each page begins with the last row of the page before.
        doubled = [each for row in rows for each in [row] * (1 + (row % 20 == 0))]
        before = [since_id] * (since_id in IDS)
        return page([*before, *doubled], next_since_id=following)

    warnings: list[str] = []
    with answering(repeats) as stub:
        client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=stub.url))
        reading = read_list(client, EVENTS, 0, warnings.append, known)
        ids = [resource_id(row) for rows in reading for row in rows]

    assert sorted(filter(None, ids)) == IDS
    assert len(warnings) == 1
    assert re.fullmatch(
        r"Points Events: \d[\d,]* rows were listed twice, for example the one with id \d+\. "
        r"Each was loaded once, as it was listed last\.",
        warnings[0],
    )
