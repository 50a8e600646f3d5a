"""Reading of a complete list: both kinds of paging, older responses, and servers that break the rules of the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from pipelines.errors import ListError
from pipelines.rivo import paging as reading
from pipelines.rivo.client import Client
from pipelines.rivo.decode import likely_id, resource_id
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import read_list
from sandbox import Program, ProgramOptions, Server, paging, serve
from tests.harness.settings import make_settings
from tests.harness.stub import Asked, Reply, answering, page

EVENTS = ENDPOINTS["points_events"]
CURSOR = {"pagination[since_id]", "pagination[limit]"}
OFFSET = {"pagination[page]", "pagination[per_page]"}


@pytest.fixture(scope="module")
def program() -> Program:
    """A program with about 700 events: three pages, of which the last is not full."""
    return Program(ProgramOptions(seed=7, customers=80, months=7))


@pytest.fixture
def server(program: Program) -> Iterator[Server]:
    with serve(program, rate_limit=0) as running:
        yield running


def read(url: str, since_id: int = 0, name: str = "points_events") -> tuple[list[Any], list[str], Client]:
    """Return the ids of a list in order, the warnings, and the client that read it."""
    client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=url))
    warnings: list[str] = []
    ids = [
        likely_id(row)
        for rows in read_list(client, ENDPOINTS[name], since_id, warnings.append)
        for row in rows
    ]
    return ids, warnings, client


def known(server: Server, name: str = "points_events") -> list[int]:
    return server.program.view(server.now).ids(name)


def modes(server: Server) -> list[str]:
    """Return how each request pages, "cursor" or "offset", and fail on requests with other parameters."""
    said = []
    for request in server.requests:
        assert request.params.keys() in (CURSOR, OFFSET), request.params
        assert request.params.get("pagination[limit]", request.params.get("pagination[per_page]")) == "250"
        said.append("cursor" if request.params.keys() == CURSOR else "offset")
    return said


def since_ids(server: Server) -> list[int]:
    return [
        int(r.params["pagination[since_id]"]) for r in server.requests if "pagination[since_id]" in r.params
    ]


def test_cursor_reads_a_list_page_by_page(server: Server) -> None:
    ids, warnings, client = read(server.url)
    assert ids == known(server)
    assert warnings == []
    assert modes(server) == ["cursor"] * 3
    assert since_ids(server) == [0, ids[249], ids[499]]
    assert client.requests == 3


@pytest.mark.parametrize("start", [0, 249, 250, 400, -2, -1])
def test_cursor_starts_after_any_id(server: Server, start: int) -> None:
    everything = known(server)
    since_id = everything[start]
    ids, warnings, _ = read(server.url, since_id)
    assert ids == [id for id in everything if id > since_id]
    assert warnings == []
    assert since_ids(server)[0] == since_id


@pytest.mark.parametrize("fault", ["old_links", "next_missing", "next_null"])
@pytest.mark.parametrize("since", [0, 300])
def test_cursor_reads_to_the_end_without_next_since_id(server: Server, fault: str, since: int) -> None:
    server.faults = [fault]
    everything = known(server)
    since_id = everything[since] if since else 0
    ids, warnings, _ = read(server.url, since_id)
    assert ids == [id for id in everything if id > since_id]
    assert warnings == []
    assert set(modes(server)) == {"cursor"}
    assert all(later > earlier for earlier, later in pairwise(dict.fromkeys(since_ids(server))))


@pytest.mark.parametrize("fault", ["cursor_ignored", "cursor_stuck"])
@pytest.mark.parametrize("since", [0, 300])
def test_ignored_cursor_warns_and_falls_back_to_page_numbers(server: Server, fault: str, since: int) -> None:
    server.faults = [fault]
    everything = known(server)
    since_id = everything[since] if since else 0
    ids, warnings, _ = read(server.url, since_id)
    assert sorted(ids) == [id for id in everything if id > since_id]
    assert len(warnings) == 1
    assert warnings[0].startswith("Points Events: the server does not page by since_id (")
    assert "125,000" in warnings[0]
    offset = [int(r.params["pagination[page]"]) for r in server.requests if r.params.keys() == OFFSET]
    assert offset == [1, 2, 3]
    # Each page is requested again before the list is read by page number.
    assert modes(server).count("cursor") <= 3


def test_ignored_cursor_after_the_first_page_yields_no_row_twice(server: Server) -> None:
    # Only the second request is answered with the first page.
    server.faults = [{"name": "cursor_ignored", "rate": 0.6}]
    ids, warnings, _ = read(server.url)
    assert sorted(ids) == known(server)
    assert len(warnings) == len({"offset"} & set(modes(server)))


def test_ignored_cursor_is_harmless_for_a_list_of_one_page(server: Server) -> None:
    server.faults = ["cursor_ignored"]
    ids, warnings, _ = read(server.url, name="rewards")
    assert (ids, warnings) == (known(server, "rewards"), [])


def test_cursor_yields_rows_without_ids_once(server: Server) -> None:
    server.faults = ["null_id:points_events=0.1"]
    ids, warnings, _ = read(server.url)
    assert ids == known(server)
    assert warnings == []


@pytest.mark.parametrize("pages", [1, 2])
def test_list_too_long_for_page_numbers_is_an_error(
    server: Server, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    # Both sides end before page 500, and the last page of the sandbox has no link to a next page.
    monkeypatch.setattr(reading, "MAX_OFFSET_PAGE", pages)
    monkeypatch.setattr(paging, "LAST_PAGE", pages)
    server.faults = ["cursor_ignored"]
    with pytest.raises(ListError, match=r"^Points Events could not be read completely") as raised:
        read(server.url)
    # It says what was seen, and blames nobody.
    assert "Paging by since_id: it returned id " in str(raised.value)
    assert f"Paging by number: the list fills all {pages} pages" in str(raised.value)


def test_list_that_just_fits_page_numbers_is_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_OFFSET_PAGE", 3)
    monkeypatch.setattr(paging, "LAST_PAGE", 3)
    server.faults = ["cursor_ignored"]
    assert sorted(read(server.url)[0]) == known(server)


def test_transient_empty_page_does_not_end_a_list(server: Server) -> None:
    for place in range(3):
        server.faults = [{"name": "slow", "value": 1}]
        server.requests.clear()
        # The fault affects the request after `place` good ones.
        client = Client.of_settings(make_settings(api_key="sandbox-key", api_url=server.url))
        pages = read_list(client, EVENTS, 0, pytest.fail)
        ids = []
        for _ in range(place):
            ids += [resource_id(row) for row in next(pages)]
        server.faults = [{"name": "empty_page", "times": 1}]
        ids += [resource_id(row) for rows in pages for row in rows]
        assert ids == known(server), place


def test_empty_list_yields_no_rows() -> None:
    with serve(Program(ProgramOptions(customers=0)), rate_limit=0) as empty:
        assert read(empty.url)[:2] == ([], [])
        assert len(empty.requests) <= 3
        empty.faults = ["old_links"]
        assert read(empty.url)[:2] == ([], [])


# -- responses that the sandbox cannot give -----------------------------------------------------------


def scripted(*replies: Reply) -> Any:
    """Give these replies in turn, then repeat the last one; fail after fifty requests, which are an endless loop."""

    def answer(asked: Asked, number: int) -> Reply:
        assert number < 50, "an endless loop"
        return replies[min(number, len(replies) - 1)]

    return answer


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        # Every page says that more rows follow.
        ([page([], next_since_id=n) for n in range(10, 20)], "empty, although"),
        ([page([None], next_since_id=n) for n in range(10, 20)], "empty, although"),
    ],
)
def test_empty_pages_with_a_next_cursor_are_an_error(replies: list[Reply], message: str) -> None:
    with answering(scripted(*replies)) as stub:
        with pytest.raises(ListError, match=message):
            read(stub.url)
        assert len(stub.asked) < 10


@pytest.mark.parametrize(
    "first",
    [
        page([5, 4], next_since_id=5),
        page([1, 9], next_since_id=5),
        page([1, 2], next_since_id="abc"),
        page([1, 2], next_since_id=True),
        page([1, 2], next_since_id=1.5),
        page([1, 2], next_since_id=-3),
        page([1, 2], next_since_id=1),
        page([None, None]),
    ],
)
def test_page_that_breaks_the_cursor_rules_leads_to_page_numbers(first: Reply) -> None:
    def answer(asked: Asked, number: int) -> Reply:
        assert number < 20, "an endless loop"
        if asked.params.keys() == CURSOR:
            return first
        return page([1, 2, 3]) if asked.params["pagination[page]"] == "1" else page([])

    with answering(answer) as stub:
        ids, warnings, _ = read(stub.url)
    assert ids == [1, 2, 3]
    assert len(warnings) == 1


def test_next_since_id_can_be_text_or_greater_than_the_last_id() -> None:
    with answering(
        scripted(page([1, 2], next_since_id="2"), page([3], next_since_id=40), page([41], next_since_id=None))
    ) as stub:
        assert read(stub.url)[:2] == ([1, 2, 3, 41], [])
        assert [a.params["pagination[since_id]"] for a in stub.asked] == ["0", "2", "40"]


def test_links_can_be_missing_or_malformed() -> None:
    strange: list[Any] = [None, [], "x"]
    for links in strange:
        body = {"links": links, "data": [{"id": 1, "attributes": {}}]}
        with answering(scripted(Reply(body), page([]))) as stub:
            assert read(stub.url)[:2] == ([1], [])
    with answering(scripted(Reply({"data": [{"id": 1, "attributes": {}}]}), page([]))) as stub:
        assert read(stub.url)[:2] == ([1], [])


def test_page_numbers_read_to_the_end_without_links() -> None:
    def answer(asked: Asked, number: int) -> Reply:
        if asked.params.keys() == CURSOR:
            return page([2, 1])
        first = (int(asked.params["pagination[page]"]) - 1) * 250 + 1
        return page(list(range(first, min(first + 250, 601))))

    with answering(answer) as stub:
        ids, warnings, _ = read(stub.url)
    assert ids == list(range(1, 601))
    assert len(warnings) == 1


def test_ignored_page_numbers_are_an_error() -> None:
    with answering(lambda asked, number: page(list(range(250, 0, -1)), next="more")) as stub:
        with pytest.raises(ListError, match="repeats the rows of the page before"):
            read(stub.url)
        assert len(stub.asked) < 10


@pytest.mark.parametrize(
    ("value", "id"),
    [
        (1, 1),
        ("12", 12),
        (2**63 - 1, 2**63 - 1),
        (2**53 + 1, 2**53 + 1),
        (2**63, None),
        (True, None),
        (1.0, None),
        ("", None),
        ("12a", None),
        ("²", None),
        ("٣", None),
        ("9" * 5000, None),
        ([1], None),
        (None, None),
    ],
)
def test_resource_id_accepts_numbers_and_digits(value: Any, id: int | None) -> None:
    assert resource_id({"id": value}) == id


def test_likely_id_falls_back_to_the_id_in_the_attributes() -> None:
    assert likely_id({"id": 1, "attributes": {"id": 2}}) == 1
    assert likely_id({"id": None, "attributes": {"id": 2}}) == 2
    assert likely_id({"attributes": {"id": [9, 2]}}) == 2
    nameless: list[Any] = [None, 5, {}, {"attributes": []}, {"attributes": {"id": []}}]
    assert [likely_id(row) for row in nameless] == [None] * 5
