"""`rivo status`: its lines, its JSON document and its exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from pydantic import SecretStr

from assets.schedule import SyncSchedule
from cli import exits
from cli.terminal.status import exit_code, show
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from runs import status as runs_status
from runs.status import GRACE, Status
from sandbox import Event
from tests.cli.conftest import KEY, Rivo
from tests.harness.deliveries import keep


def look(settings: Settings, now: datetime | None = None) -> Status:
    """Return the state of a warehouse with the schedule of the settings."""
    return runs_status.look(settings, SyncSchedule(settings.sync_cron, settings.timezone), now)


CRON, ZONE = "30 4 * * *", "America/New_York"


def settings(path: Path) -> Settings:
    return Settings(api_key=SecretStr(KEY), warehouse=str(path), sync_cron=CRON, timezone=ZONE)


@pytest.fixture
def observed_at(filled: Path) -> datetime:
    with duckdb.connect(str(filled), read_only=True) as connection:
        [[moment]] = connection.execute("select max(observed_at) from rivo_raw.sync_log").fetchall()
    return moment.astimezone(UTC)


def test_status_is_stale_two_hours_after_a_missed_sync(filled: Path, observed_at: datetime) -> None:
    fresh = look(settings(filled), now=observed_at + timedelta(minutes=1))

    assert (exit_code(fresh), fresh.problems, fresh.is_stale) == (exits.DONE, (), False)
    # 04:30 in New York in summer.
    due = fresh.next_sync_at
    assert (due.hour, due.minute, due.tzinfo) == (8, 30, UTC)
    assert observed_at < due <= observed_at + timedelta(days=1)
    assert fresh.next_full_sweep_at >= observed_at + timedelta(days=7)
    assert exit_code(look(settings(filled), now=due + GRACE - timedelta(minutes=1))) == exits.DONE
    assert exit_code(look(settings(filled), now=due + GRACE + timedelta(minutes=1))) == exits.STALE


def test_status_is_stale_when_the_last_sync_is_dated_in_the_future(
    warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update rivo_raw.sync_log set observed_at = now() + interval 1 year")

    status = look(settings(warehouse))

    assert exit_code(status) == exits.STALE
    show(status, as_json=False)
    assert "later than this machine's clock" in capsys.readouterr().out


def test_status_reports_a_list_that_failed(warehouse: Path, observed_at: datetime) -> None:
    later = observed_at + timedelta(hours=1)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into rivo_raw.sync_log (list, observed_at, kind, complete, error) "
            "values ('rewards', ?, 'full', false, 'Rewards could not be read.')",
            [later],
        )

    status = look(settings(warehouse), now=later)

    assert exit_code(status) == exits.FAILED
    assert status.problems == ("Rewards could not be read.",)
    assert (status.last_sync.lists_read, status.last_sync.lists_failed) == (0, 1)


def test_status_counts_only_the_second_of_two_syncs_within_a_second(
    warehouse: Path, observed_at: datetime
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            """
            alter table rivo_raw.sync_log add column if not exists log_position bigint;
            update rivo_raw.sync_log set log_position = rowid;
            -- First in the table, to show that the order of rows does not matter.
            create table rivo_raw.both as
                select * replace (log_position + 100 as log_position, false as complete, 'No.' as error)
                from rivo_raw.sync_log
                union all by name from rivo_raw.sync_log;
            drop table rivo_raw.sync_log;
            alter table rivo_raw.both rename to sync_log
            """
        )
    shutil.copyfile(warehouse, warehouse.with_name("rivo.pending.duckdb"))

    status = look(settings(warehouse), now=observed_at)

    assert (status.last_sync.lists_read, status.last_sync.lists_failed) == (0, len(ENDPOINTS))
    *failures, last = status.problems
    assert failures == ["No."] * len(ENDPOINTS)
    assert "was not replaced, because no list could be read." in last


def test_status_reads_a_file_without_log_positions(warehouse: Path, observed_at: datetime) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("alter table rivo_raw.sync_log drop column if exists log_position")

    status = look(settings(warehouse), now=observed_at)

    assert (status.last_sync.lists_read, status.last_sync.lists_failed) == (len(ENDPOINTS), 0)


def test_status_reports_a_result_that_was_not_published(warehouse: Path, observed_at: datetime) -> None:
    warehouse.with_name("rivo.pending.duckdb").write_bytes(warehouse.read_bytes())

    status = look(settings(warehouse), now=observed_at)

    assert exit_code(status) == exits.FAILED
    assert "was not replaced, because a model or a blocking check failed" in status.problems[-1]


def test_status_reports_no_trust_before_models_are_built(
    warehouse: Path, observed_at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look(settings(warehouse), now=observed_at).trust is not None
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("drop table reports.rpt_data_trust")

    status = look(settings(warehouse), now=observed_at)
    show(status, as_json=False)

    assert status.trust is None
    printed = capsys.readouterr().out
    assert "no model has been built yet" in printed
    assert "trust checks pass" not in printed


def test_status_plans_a_full_sweep_with_the_next_sync_after_a_change_of_rivo_pii(
    warehouse: Path, observed_at: datetime
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update rivo_raw.settings set reread_since = ?", [observed_at])

    status = look(settings(warehouse), now=observed_at)

    assert status.next_full_sweep_at == status.next_sync_at


def test_status_reports_a_program_that_writes_to_the_published_file(
    warehouse: Path, observed_at: datetime
) -> None:
    program = (
        "import duckdb, os, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "os.replace(sys.argv[2], sys.argv[1])\n"
        "connection.execute('create table marts.mine as select 1 as x')\n"
        "print('written', flush=True)\n"
        "input()\n"
        "connection.close()\n"
    )
    tomorrow = warehouse.with_name("tomorrow.duckdb")
    tomorrow.write_bytes(warehouse.read_bytes())
    with subprocess.Popen(
        [sys.executable, "-c", program, warehouse, tomorrow],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "written\n"
        [problem] = look(settings(warehouse), now=observed_at).problems
        writer.communicate("\n")

    assert problem.startswith("Another program is writing to ")
    assert look(settings(warehouse), now=observed_at).problems == ()


def test_status_json_contains_every_field(filled: Path, rivo: Rivo) -> None:
    result = rivo("status", "--json", RIVO_WAREHOUSE=str(filled))

    document = json.loads(result.stdout)
    assert result.returncode == document["exit_code"]
    assert document["state"] == {0: "ok", 1: "failed", 4: "stale"}[result.returncode]
    fields = set(Status.__dataclass_fields__)
    assert set(document) == {"state", "exit_code"} | fields
    assert document["last_sync"]["lists_read"] == len(ENDPOINTS)
    assert KEY not in result.stdout


def test_status_prints_one_line_per_topic(
    filled: Path, observed_at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    show(look(settings(filled), now=observed_at + timedelta(days=3)), as_json=False)

    lines = capsys.readouterr().out.splitlines()
    titles = [line[:11].strip() for line in lines]
    assert titles[:3] == ["Warehouse", "Last sync", "Freshness"]
    assert titles[-3:] == ["Quarantine", "Next sync", "Full sweep"]
    assert "STALE" in lines[2]
    assert f"{len(ENDPOINTS)} of {len(ENDPOINTS)} lists" in lines[1]


def test_status_says_when_the_last_webhook_arrived(
    warehouse: Path, observed_at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    before = look(settings(warehouse), now=observed_at)
    keep(warehouse, settings(warehouse), [Event("points_event/created", {"id": 1})])

    status = look(settings(warehouse), now=observed_at)

    assert before.last_delivery_at is None
    assert status.last_delivery_at is not None
    show(status, as_json=False)
    assert (
        f"the last delivery arrived at {status.last_delivery_at:%Y-%m-%d %H:%M} UTC"
        in capsys.readouterr().out
    )
