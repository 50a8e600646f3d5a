"""Thirty daily syncs with every kind of fault: at the end the raw tables equal the store."""

from __future__ import annotations

from pipelines.errors import ApiError
from pipelines.rivo.endpoints import ENDPOINTS
from sandbox.faults import OF_READING
from tests.harness.compare import differences
from tests.harness.store import Store
from tests.pipelines.conftest import OpenStore

# Transient faults for one request in ten; the waits that a server asks for are short.
PASSING = (
    *("rate_limited=0.012@0.1", "rate_limited_date=0.012@0.1", "rate_limited_bare=0.004"),
    *("http_500=0.012", "http_502=0.012", "http_503=0.012", "http_504=0.012"),
    *("html=0.012", "truncated=0.012", "dropped=0.012"),
)
# Thirty days, each with one fault in a list or in all of them; then a day without.
DAYS = (
    *("http_401", "http_403:customers", "http_404:rewards", "http_500:points_events", "http_502:vip_tiers"),
    *("http_503:referrals", "http_504:customers", "html:earning_rules", "truncated:points_events"),
    *("dropped:points_redemptions", "hang:rewards@0.05", "slow=0.2@20", "rate_limited:vip_tiers@0.1"),
    *("rate_limited_date:customers=0.5@0.1", "rate_limited_bare:rewards=0.5", "cursor_ignored"),
    *("cursor_ignored:customers=0.5", "cursor_stuck", "old_links", "next_missing", "next_null:points_events"),
    *(
        "empty_page:customers",
        "empty_page:points_events=0.3",
        "short_page=0.3",
        "new_attribute=0.3",
        "type_change=0.2",
    ),
    *("null_id=0.1", "missing_id=0.1", "missing_diff=0.2", "missing_attribute:customers", "bad_date=0.2"),
)

TWICE = " union all ".join(
    f"select '{name}', id from rivo_raw.{name} group by id having count(*) > 1" for name in ENDPOINTS
)


def all_differences(store: Store) -> list[str]:
    return [
        said
        for name, endpoint in ENDPOINTS.items()
        for said in differences(endpoint, store.table(name), store.objects(name))
    ]


def test_thirty_days_cover_every_kind_of_fault() -> None:
    assert {day.split(":")[0].split("=")[0].split("@")[0] for day in DAYS} == set(OF_READING)


def test_raw_tables_equal_the_store_after_thirty_days_of_faults(open_store: OpenStore) -> None:
    store = open_store(loaded=True)
    store.options = {"patience_seconds": 1.0, "full_sweep_days": 7}
    incomplete, requests, quarantined = 0, 0, 0
    for day in range(len(DAYS) + 1):
        store.wait()
        # Rotated day by day, so that different requests fail.
        passing = [*PASSING[day % len(PASSING) :], *PASSING[: day % len(PASSING)]]
        faults = [*passing, *DAYS[day : day + 1]]
        is_last = day == len(DAYS)
        if is_last:
            store.options["patience_seconds"] = 20
        try:
            results = store.sync(full=is_last, faults=faults)
        except ApiError:
            assert DAYS[day] == "http_401"
            continue
        assert not is_last or all(result.complete for result in results.values()), results
        incomplete += sum(not result.complete for result in results.values())
        quarantined += sum(result.counts.rows_quarantined for result in results.values())
        requests += sum(result.requests for result in results.values())
        assert store.query(TWICE) == [], f"a list has a row twice after day {day}"

    assert all_differences(store) == []
    assert store.query("from rivo_raw._quarantine") == []
    # They were there, all those days.
    assert incomplete >= 5
    assert quarantined > 50
    assert requests > len(DAYS) * 7
