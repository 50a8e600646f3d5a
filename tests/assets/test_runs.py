"""Runs of the job and of parts of it: materializations and checks in Dagster, publishing, and resumed runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.rivo.endpoints import ENDPOINTS
from runs.pictures import PICTURES
from tests.assets.conftest import KEY
from tests.harness.dagster import DagsterStore
from tests.harness.store import project

RESUME = "dagster/is_resume_retry"
"""The tag that the UI sets for Re-execute > From failure."""


def metadata(store: DagsterStore, key: str) -> dict[str, Any]:
    """Return the metadata of an asset's last materialization."""
    event = store.instance.get_latest_materialization_event(dg.AssetKey(key.split("/")))
    assert event
    assert event.asset_materialization
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{check.asset_key.to_user_string()}:{check.check_name}": check
        for check in result.get_asset_check_evaluations()
    }


def test_list_materialization_has_the_counts_of_the_sync_log(store: DagsterStore) -> None:
    figures = metadata(store, "rivo_raw/customers")

    [[rows, largest]] = store.query(
        "select count(*), max(id) from rivo_raw.customers where _deleted_at is null"
    )
    [[read, new, changed, requests]] = store.query(
        "select rows_read, rows_new, rows_changed, requests from rivo_raw.sync_log where list = 'customers' "
        "order by observed_at desc limit 1"
    )
    assert (figures["dagster/row_count"], figures["watermark_id"]) == (rows, largest)
    assert (figures["rows_read"], figures["rows_new"], figures["rows_changed"]) == (read, new, changed)
    assert (figures["requests"], figures["columns_added"]) == (requests, 0)
    assert figures["seconds"] > 0
    [[versions]] = store.query("select count(*) from rivo_raw.customers_history")
    assert metadata(store, "rivo_raw/customers_history")["dagster/row_count"] == versions


def test_reports_have_a_picture(store: DagsterStore) -> None:
    pictures = {
        relation: metadata(store, relation.replace(".", "/")).get("picture", "") for relation in PICTURES
    }
    assert {"reports.rpt_tier_migration", "reports.rpt_redemption_rates"} <= {*filter(pictures.get, pictures)}
    assert len([*filter(None, pictures.values())]) >= 6
    for picture in filter(None, pictures.values()):
        assert re.match(r"!\[[^]]+\]\(data:image/png;base64,iVBOR", picture)
        assert len(picture) < 60_000


def test_published_file_names_its_report_page(store: DagsterStore) -> None:
    page = Path(metadata(store, "published/warehouse")["report"])

    # This store is a copy of the one that made the run.
    assert page.name == f"{store.path.stem}.report.html"
    assert "Loyalty programme" in page.read_text()


def test_samples_show_rows_without_personal_data(store: DagsterStore) -> None:
    samples = [
        metadata(store, "/".join(row))["sample"]
        for row in store.query(
            "select table_schema, table_name from information_schema.tables where table_schema in ('marts', 'reports')"
        )
    ]
    shown = "\n".join(samples)

    assert len(samples) == len([s for s in samples if s.startswith("| ")])
    assert "Silver" in metadata(store, "marts/dim_tier")["sample"]
    people = store.query("select email, first_name, last_name, referral_code from rivo_raw.customers")
    words = {str(value) for row in people for value in row if value} - {"Silver", "Gold"}
    assert [word for word in words if re.search(rf"\b{re.escape(word)}\b", shown)] == []
    codes = [
        code for (code,) in store.query("select code from rivo_raw.points_redemptions where code is not null")
    ]
    assert codes
    assert [code for code in codes if code in shown] == []


def test_events_of_a_run_stay_small(store: DagsterStore) -> None:
    """Each day adds a run to Dagster's storage, and a year of runs must fit on a small disk."""
    [run] = store.instance.get_runs(limit=1)
    database = store.folder / "dagster" / "history" / "runs" / f"{run.run_id}.db"

    assert database.stat().st_size < 5_000_000


def test_model_materialization_has_numbers(store: DagsterStore) -> None:
    figures = metadata(store, "marts/dim_member")

    [[rows]] = store.query("select count(*) from marts.dim_member")
    assert figures["dagster/row_count"] == rows
    assert isinstance(figures["seconds"], float)
    assert figures["tests"] > 5


def test_list_alone_is_loaded_but_not_published(store: DagsterStore) -> None:
    before = store.path.stat().st_mtime_ns

    result = store.run_job("rivo_raw/vip_tiers", "rivo_raw/vip_tiers_history")

    assert result.success
    assert materialized(result) == {"rivo_raw/vip_tiers", "rivo_raw/vip_tiers_history"}
    # One request asks for a customer, to see that this is the same shop.
    assert {request.path.rsplit("/", 1)[-1] for request in store.server.requests} == {
        "customers",
        "vip_tiers",
    }
    assert len(store.sent("customers")) == 1
    assert store.path.stat().st_mtime_ns == before
    assert store.pending.exists()


def test_published_file_alone_fails_until_models_are_built(store: DagsterStore) -> None:
    assert store.run_job("rivo_raw/vip_tiers").success
    before = store.path.stat().st_mtime_ns

    result = store.run_job("published/warehouse")

    assert not result.success
    assert store.path.stat().st_mtime_ns == before
    [failure] = result.get_step_failure_events()
    assert "were not built since lists were last read" in str(failure.step_failure_data.error)
    # A run that builds the models publishes.
    assert store.run_job(job="models_only").success
    assert store.path.stat().st_mtime_ns > before


def test_selected_models_are_built_without_requests(store: DagsterStore) -> None:
    result = store.run_job("marts/dim_member", "reports/rpt_advocates")

    assert result.success
    assert materialized(result) == {"marts/dim_member", "reports/rpt_advocates"}
    assert store.server.requests == []


def test_unchanged_model_keeps_its_materialization_and_the_results_of_its_checks(store: DagsterStore) -> None:
    [first] = store.instance.get_runs(limit=1)
    evaluations = store.instance.all_logs(first.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    # Back to the moment of the last sync.
    store.wait(-1)

    again = store.run_job()

    observed = {
        event.asset_key.to_user_string() for event in again.get_asset_observation_events() if event.asset_key
    }
    assert "intermediate/int_ledger_entries" in observed
    assert not observed & materialized(again)
    assert "published/warehouse" in materialized(again)
    assert metadata(store, "intermediate/int_ledger_entries")["fingerprint"]
    # A run plans all checks: one without a result would show as skipped.
    assert len(evaluations) > len(ENDPOINTS)
    assert len(checks(again)) == len(evaluations)
    assert checks(again).keys() == {
        f"{check.asset_key.to_user_string()}:{check.check_name}"
        for check in (entry.get_dagster_event().asset_check_evaluation_data for entry in evaluations)
    }
    assert all(check.passed for check in checks(again).values())


def test_model_that_was_built_outside_dagster_is_built_and_shown_by_the_next_run(store: DagsterStore) -> None:
    model = "intermediate/int_ledger_entries"
    # Back to the moment of the last sync, which has built it.
    store.wait(-1)
    oldest = "update rivo_raw.points_events set order_id = 'x' where id = (select min(id) from rivo_raw.points_events)"
    store.build(lambda work: work.connection.execute(oldest))

    assert model in materialized(store.run_job())
    assert model not in materialized(store.run_job())


def test_resumed_run_reads_only_the_failed_list(store: DagsterStore) -> None:
    store.server.faults = ["http_404:rewards"]
    # The run that failed needs no models: what it has read is what the resumed run goes on from.
    failed = store.run_job(*(f"rivo_raw/{name}" for name in ENDPOINTS))
    assert not failed.success
    check = checks(failed)["rivo_raw/rewards:read_completely"]
    assert not check.passed
    assert "no such address (404), although it answered other requests" in str(check.description)
    assert "From failure" in str(check.metadata["next_step"].value)
    store.server.faults = []
    asked = len(store.server.requests)

    result = store.run_job(tags={RESUME: "true", "dagster/parent_run_id": failed.run_id})

    assert result.success
    lists = [request.path.rsplit("/", 1)[-1] for request in store.server.requests[asked:]]
    assert lists == ["customers", "rewards"], "one request for a customer, to see that this is the same shop"
    raw = {
        key for key in materialized(result) if key.startswith("rivo_raw/") and key.split("/")[1] in ENDPOINTS
    }
    assert raw == {"rivo_raw/rewards"}
    assert "published/warehouse" in materialized(result)


def test_re_executed_run_reads_all_its_lists(store: DagsterStore) -> None:
    failed = store.run_job("rivo_raw/vip_tiers", "published/warehouse")
    asked = len(store.server.requests)

    store.run_job("rivo_raw/vip_tiers", tags={"dagster/parent_run_id": failed.run_id})

    assert len(store.server.requests) > asked


def test_second_sync_at_the_same_time_fails_with_a_message(store: DagsterStore) -> None:
    with store.warehouse.build() as work:
        result = store.run_job()
        work.keep()

    assert not result.success
    [failure] = result.get_step_failure_events()
    assert "Another command is writing to" in str(failure.step_failure_data.error)


def test_queue_runs_one_run_at_a_time(store: DagsterStore) -> None:
    config = store.instance.get_concurrency_config().pool_config
    assert (config.default_pool_limit, str(config.pool_granularity)) == (1, "PoolGranularity.RUN")


def test_failing_checks_have_a_description_and_a_next_step(store: DagsterStore) -> None:
    [[event]] = store.query("select min(id) from rivo_raw.points_events where points_diff > 0")
    store.program.override(
        "points_events", event, at=store.now, customer=None, applied_at=None, occurred_at=None
    )
    store.wait(1)

    # The lists of the ledger, and tables whose checks find such an entry: a raw row, a balance, the whole.
    result = store.run_job(
        *(f"rivo_raw/{name}" for name in ("vip_tiers", "customers", "points_events", "points_redemptions")),
        *(
            f"{node.schema}/{node.name}"
            for node in project("+rpt_data_trust +rpt_ledger_reconciliation").nodes.values()
        ),
        run_config={"ops": {"sync": {"config": {"full": True}}}},
    )

    failing = {name: check for name, check in checks(result).items() if not check.passed}
    assert {name.partition(":")[0] for name in failing} >= {
        "staging/stg_rivo__points_events",
        "reports/rpt_ledger_reconciliation",
        "reports/rpt_data_trust",
    }
    for name, check in failing.items():
        assert check.metadata["next_step"].value, name
        assert check.description, name


@pytest.mark.parametrize("text", [KEY, "@shop", "@example"])
def test_event_log_holds_no_secret_and_no_address(store: DagsterStore, text: str) -> None:
    [run] = store.instance.get_runs(limit=1)
    database = store.folder / "dagster" / "history" / "runs" / f"{run.run_id}.db"

    assert text.encode() not in database.read_bytes()


def test_sync_succeeds_if_a_picture_fails(store: DagsterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_font(*_: object) -> None:
        raise KeyError("glyph")

    monkeypatch.setitem(PICTURES, "reports.rpt_tier_migration", ("select 1", no_font))
    assert store.run_job("reports/rpt_tier_migration").success
    key = dg.AssetKey(["reports", "rpt_tier_migration"])
    event = store.instance.get_latest_materialization_event(key)
    assert event
    assert event.asset_materialization
    picture = event.asset_materialization.metadata["picture"].value
    assert picture == "The picture could not be drawn (KeyError)."
