"""`rivo status`: what it says of a warehouse, and by which code it can be watched."""

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

from cli import exits
from cli.terminal.status import GRACE, Status, look, show
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from tests.cli.conftest import KEY, Rivo

CRON, ZONE = "30 4 * * *", "America/New_York"


def settings(path: Path) -> Settings:
    return Settings(api_key=SecretStr(KEY), warehouse=str(path), sync_cron=CRON, timezone=ZONE)


@pytest.fixture
def observed_at(filled: Path) -> datetime:
    with duckdb.connect(str(filled), read_only=True) as connection:
        [[moment]] = connection.execute("select max(observed_at) from rivo_raw.sync_log").fetchall()
    return moment.astimezone(UTC)


def test_fresh_until_the_schedule_has_come_round(filled: Path, observed_at: datetime) -> None:
    fresh = look(settings(filled), now=observed_at + timedelta(minutes=1))

    assert (fresh.exit_code, fresh.problems, fresh.is_stale) == (exits.DONE, (), False)
    # 04:30 in New York in summer.
    due = fresh.next_sync_at
    assert (due.hour, due.minute, due.tzinfo) == (8, 30, UTC)
    assert observed_at < due <= observed_at + timedelta(days=1)
    assert fresh.next_full_sweep_at >= observed_at + timedelta(days=7)
    assert look(settings(filled), now=due + GRACE - timedelta(minutes=1)).exit_code == exits.DONE
    assert look(settings(filled), now=due + GRACE + timedelta(minutes=1)).exit_code == exits.STALE


def test_a_sync_dated_in_time_to_come_is_not_fresh(
    warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update rivo_raw.sync_log set observed_at = now() + interval 1 year")

    status = look(settings(warehouse))

    assert status.exit_code == exits.STALE
    show(status, as_json=False)
    assert "later than this machine's clock" in capsys.readouterr().out


def test_a_list_that_failed_is_what_it_says(warehouse: Path, observed_at: datetime) -> None:
    later = observed_at + timedelta(hours=1)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into rivo_raw.sync_log (list, observed_at, kind, complete, error) "
            "values ('rewards', ?, 'full', false, 'Rewards could not be read.')",
            [later],
        )

    status = look(settings(warehouse), now=later)

    assert status.exit_code == exits.FAILED
    assert status.problems == ("Rewards could not be read.",)
    assert (status.last_sync.lists_read, status.last_sync.lists_failed) == (0, 1)


def test_two_syncs_within_a_second_are_not_added_up(warehouse: Path, observed_at: datetime) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into rivo_raw.sync_log select * replace (false as complete, 'No.' as error) from rivo_raw.sync_log"
        )
    shutil.copyfile(warehouse, warehouse.with_name("rivo.pending.duckdb"))

    status = look(settings(warehouse), now=observed_at)

    assert (status.last_sync.lists_read, status.last_sync.lists_failed) == (0, len(ENDPOINTS))
    assert status.problems[:-1] == ("No.",) * len(ENDPOINTS)
    assert "was left as it was, because no list could be read." in status.problems[-1]


def test_what_waits_unpublished_is_told(warehouse: Path, observed_at: datetime) -> None:
    warehouse.with_name("rivo.pending.duckdb").write_bytes(warehouse.read_bytes())

    status = look(settings(warehouse), now=observed_at)

    assert status.exit_code == exits.FAILED
    assert "was left as it was, because a model or a blocking check failed" in status.problems[-1]


def test_without_models_nothing_is_called_content(
    warehouse: Path, observed_at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look(settings(warehouse), now=observed_at).trust is not None
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("drop table reports.rpt_data_trust")

    status = look(settings(warehouse), now=observed_at)
    show(status, as_json=False)

    assert status.trust is None
    told = capsys.readouterr().out
    assert "no model has been built yet" in told
    assert "content" not in told


def test_lists_that_must_be_read_again_are_due_with_the_next_sync(
    warehouse: Path, observed_at: datetime
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update rivo_raw.settings set reread_since = ?", [observed_at])

    status = look(settings(warehouse), now=observed_at)

    assert status.next_full_sweep_at == status.next_sync_at


def test_a_program_that_writes_into_the_published_file_is_told(
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

    assert problem.startswith("Another program writes into ")
    assert look(settings(warehouse), now=observed_at).problems == ()


def test_the_document_has_every_field(filled: Path, rivo: Rivo) -> None:
    result = rivo("status", "--json", RIVO_WAREHOUSE=str(filled))

    told = json.loads(result.stdout)
    assert result.returncode == told["exit_code"]
    assert told["state"] == {0: "ok", 1: "failed", 4: "stale"}[result.returncode]
    fields = set(Status.__dataclass_fields__)
    assert set(told) == {"state", "exit_code"} | fields
    assert told["last_sync"]["lists_read"] == len(ENDPOINTS)
    assert KEY not in result.stdout


def test_a_person_reads_it_line_by_line(
    filled: Path, observed_at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    show(look(settings(filled), now=observed_at + timedelta(days=3)), as_json=False)

    lines = capsys.readouterr().out.splitlines()
    titles = [line[:11].strip() for line in lines]
    assert titles[:3] == ["Warehouse", "Last sync", "Freshness"]
    assert titles[-3:] == ["Quarantine", "Next sync", "Full sweep"]
    assert "STALE" in lines[2]
    assert f"{len(ENDPOINTS)} of {len(ENDPOINTS)} lists" in lines[1]
