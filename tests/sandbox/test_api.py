"""The sandbox API over HTTP: key, paths, paging by cursor and by page number, clock, rate limit."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from http.client import HTTPConnection

import pytest

from sandbox import DEFAULT_END, LISTS, Program, ProgramOptions, Server, serve

from .client import call, cursor, walk
from .conftest import Lists, days


def test_walking_a_list_returns_the_snapshot(server: Server, lists: Lists) -> None:
    for name in LISTS:
        assert walk(server, name) == lists[name]


@pytest.mark.parametrize("key", ["", "wrong", "Bearer sandbox-key"])
def test_other_keys_are_refused_with_401(server: Server, key: str) -> None:
    answer = call(server, "/customers", key=key)
    assert answer.status == 401
    assert answer.json["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/vip-tiers",
        "/earning-rules",
        "/memberships",
        "/subscriptions",
        "/credits_events",
        "/customers/1/rewards",
        "/",
    ],
)
def test_unknown_paths_answer_404(server: Server, path: str) -> None:
    assert call(server, path).status == 404


def test_single_rows_are_found_by_id_or_email(server: Server, lists: Lists) -> None:
    customer = lists["customers"][5]
    email = customer["attributes"]["email"]
    assert call(server, f"/customers/{customer['id']}").json["data"] == customer
    assert call(server, f"/customers/{email}").json["data"] == customer
    assert call(server, "/customers/1").status == 404
    assert call(server, "/vip_tiers/552288").json["data"] == lists["vip_tiers"][1]
    assert call(server, "/rewards/594155").status == 404


def test_answers_have_date_and_content_type(server: Server) -> None:
    answer = call(server, "/vip_tiers")
    assert answer.headers["Date"] == "Mon, 05 Oct 2026 06:00:00 GMT"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert set(answer.json) == {"links", "data"}
    assert set(answer.json["data"][0]) == {"id", "type", "attributes"}


def test_cursor_returns_rows_after_an_id(server: Server, lists: Lists) -> None:
    ids = [row["id"] for row in lists["referrals"]]
    answer = cursor(server, "referrals", ids[9], 10)
    assert answer.ids == ids[10:20]
    assert answer.json["links"] == {"since_id": ids[9], "limit": 10, "next_since_id": ids[19]}
    last = cursor(server, "referrals", ids[-3])
    assert last.ids == ids[-2:]
    assert last.json["links"]["next_since_id"] is None
    assert cursor(server, "referrals", ids[-1]).ids == []


def test_cursor_has_the_quirks_of_rivo(server: Server, lists: Lists) -> None:
    ids = [row["id"] for row in lists["points_events"]]
    assert len(cursor(server, "points_events", limit=None).ids) == 25
    clamped = cursor(server, "points_events", limit=1000)
    assert clamped.json["links"]["limit"] == len(clamped.ids) == 250
    unsorted = cursor(server, "points_events", params={"sort[order_direction]": "desc"})
    assert unsorted.ids == ids[:250]
    # per_page silently disables the cursor.
    fallen = cursor(server, "points_events", since_id=ids[99], params={"pagination[per_page]": "5"})
    assert fallen.ids == ids[:5]
    assert "next_since_id" not in fallen.json["links"]
    assert call(server, "/referrals", params={"pagination[since_id]": "x"}).status == 400


def test_page_numbers_return_pages_and_links(server: Server, lists: Lists) -> None:
    ids = [row["id"] for row in lists["referrals"]]
    first = call(server, "/referrals")
    assert first.ids == ids[:25]
    assert "next" in first.json["links"]
    page = {"pagination[page]": 2, "pagination[per_page]": 250}
    assert call(server, "/referrals", params=page).ids == ids[250:500]
    page["pagination[page]"] = len(ids) // 250 + 1
    last = call(server, "/referrals", params=page)
    assert last.ids == ids[len(ids) // 250 * 250 :]
    assert "next" not in last.json["links"]
    page["pagination[page]"] = 500
    beyond = call(server, "/referrals", params=page)
    assert beyond.ids == []
    assert "next" not in beyond.json["links"]
    for wrong in ({"pagination[page]": 501}, {"pagination[per_page]": 251}):
        assert call(server, "/referrals", params=wrong).status == 400


def test_page_numbers_support_sorting(server: Server) -> None:
    params = {"sort[order_type]": "applied_at", "sort[order_direction]": "desc", "pagination[per_page]": 250}
    applied = [
        row["attributes"]["applied_at"][:19]
        for row in call(server, "/points_events", params=params).json["data"]
    ]
    assert applied == sorted(applied, reverse=True)


def test_filters_restrict_lists(server: Server, lists: Lists) -> None:
    customer_id = lists["points_redemptions"][0]["attributes"]["customer"]["id"]
    for name in ("points_events", "points_redemptions"):
        expected = [row["id"] for row in lists[name] if row["attributes"]["customer"]["id"] == customer_id]
        assert cursor(server, name, params={"filters[customer_identifier]": str(customer_id)}).ids == expected
    unused = [row["id"] for row in lists["points_redemptions"] if row["attributes"]["used_at"] is None]
    assert cursor(server, "points_redemptions", params={"filters[used]": "false"}).ids == unused[:250]
    assert cursor(server, "points_redemptions", params={"filters[unheard_of]": "1"}).status == 200


def test_request_log_has_method_path_and_parameters(server: Server) -> None:
    cursor(server, "rewards", 0, 10)
    request = server.requests[-1]
    assert (request.method, request.path, request.status) == ("GET", "/merchant_api/v1/rewards", 200)
    assert request.params == {"pagination[since_id]": "0", "pagination[limit]": "10"}


def test_clock_can_be_set_and_advanced(program: Program, server: Server) -> None:
    server.now -= days(100)
    assert (
        walk(server, "points_redemptions") == program.snapshot(DEFAULT_END - days(100))["points_redemptions"]
    )
    moved = call(server, "/_sandbox/clock", "POST", key="", body=json.dumps({"advance_seconds": 86_400}))
    assert moved.json == {"now": "2026-06-28T06:00:00Z"}
    assert server.now == DEFAULT_END - days(99)
    call(server, "/_sandbox/clock", "POST", key="", body=json.dumps({"now": "2026-10-20T00:00:00Z"}))
    answer = call(server, "/customers")
    assert answer.headers["Date"] == "Tue, 20 Oct 2026 00:00:00 GMT"
    assert call(server, "/_sandbox/clock", key="").json == {"now": "2026-10-20T00:00:00Z"}
    assert call(server, "/_sandbox/clock", "POST", body="{}").status == 400
    assert call(server, "/_sandbox/other").status == 404


def test_faults_can_be_set_over_http(server: Server) -> None:
    body = json.dumps({"faults": ["http_500:rewards", {"name": "html", "rate": 0.5}]})
    reported = call(server, "/_sandbox/faults", "POST", key="", body=body).json
    assert [fault["name"] for fault in reported["faults"]] == ["http_500", "html"]
    assert "truncated" in reported["known"]
    assert call(server, "/rewards").status == 500
    assert call(server, "/_sandbox/faults", "POST", body='["nonsense"]').status == 400


def test_rate_limit_answers_429_with_retry_after(program: Program) -> None:
    with serve(program, rate_limit=15) as server:
        statuses = [call(server, "/vip_tiers") for _ in range(30)]
        refused = [answer for answer in statuses if answer.status == 429]
        assert refused
        assert refused[0].headers["Retry-After"] == "1"
        time.sleep(1)
        assert call(server, "/vip_tiers").status == 200


def test_many_open_connections_are_served(server: Server, lists: Lists) -> None:
    host = server.root.removeprefix("http://")
    sizes: list[int] = []

    def work() -> None:
        connection = HTTPConnection(host, timeout=60)
        for page in range(1, 11):
            connection.request(
                "GET",
                f"/merchant_api/v1/points_events?pagination[page]={page}&pagination[per_page]=250",
                headers={"Authorization": server.key},
            )
            sizes.append(len(json.loads(connection.getresponse().read())["data"]))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [250] * 80


def test_store_answers_sixty_pages_a_second(server: Server) -> None:
    """The store must answer sixty pages of 250 events per second of CPU time."""
    pages = [100 * number for number in range(1, 31)]
    ids = server.program.view(DEFAULT_END).ids("points_events")
    began = time.process_time()
    for place in pages:
        cursor(server, "points_events", ids[place])
    assert len(pages) / (time.process_time() - began) > 60


def test_serve_refuses_addresses_other_than_loopback(program: Program) -> None:
    with pytest.raises(ValueError, match="loopback"), serve(program, host="0.0.0.0"):
        pass


def test_empty_and_small_shops_answer_every_list() -> None:
    for options in (
        ProgramOptions(customers=0),
        ProgramOptions(customers=1),
        ProgramOptions(customers=40, tiers=False),
    ):
        with serve(Program(options), rate_limit=0) as server:
            assert all(cursor(server, name).status == 200 for name in LISTS)
            server.now += timedelta(days=3)
            assert len(walk(server, "customers")) >= options.customers
