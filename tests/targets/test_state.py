"""The state that machines share: pulled before a run, pushed before readers see its result, one winner of two."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.errors import RivoError, SettingsError, WarehouseError
from pipelines.settings import PROJECT, Settings
from pipelines.warehouse import state as state_module
from pipelines.warehouse.state import StateMoved
from pipelines.webhooks.deliveries import SCHEMA, open_deliveries
from runs.shared_state import shared_state
from runs.shop import shop_to_read, shop_to_sync
from tests.harness.settings import environment, make_settings
from tests.targets.machines import Machine, check_objects, machine, numbers_of, pointer
from tests.targets.s3 import S3


@pytest.fixture(params=["s3", "folder"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Machine, Machine]:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return machine(tmp_path, "a"), machine(tmp_path, "b")
    url = (tmp_path / "drive").as_uri()
    return machine(tmp_path, "a", url=url), machine(tmp_path, "b", url=url)


def test_each_run_goes_on_from_the_last_one_of_any_machine(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    a.run()
    b.run()
    b.run()
    a.run()
    assert a.numbers == [1, 2, 3, 4]
    assert b.numbers == [1, 2, 3]
    assert [path.name for path in a.path.parent.iterdir() if "pu" in path.name] == []


def test_of_two_runs_at_once_the_second_to_end_is_discarded(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    a.run()
    b.run()
    with pytest.raises(StateMoved, match="Another machine has written the state"):
        a.run(during=b.run)
    assert (a.numbers, b.numbers) == ([1, 2], [1, 2, 3])
    assert not a.pending.exists()
    a.run()
    assert a.numbers == [1, 2, 3, 4]
    assert len(_objects(a)) == 4


def test_first_runs_of_two_machines_at_once_leave_one_state(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    with pytest.raises(StateMoved):
        a.run(during=b.run)
    assert not a.path.exists()
    a.run()
    assert a.numbers == [1, 2]


def test_unpublished_result_is_part_of_the_state(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    a.run()
    a.run(publishes=False)
    b.run(publishes=False)
    assert (b.numbers, numbers_of(b.pending)) == ([1], [1, 2, 3])
    a.run()
    assert a.numbers == [1, 2, 3, 4]
    b.run()
    assert b.numbers == [1, 2, 3, 4, 5]
    assert not b.pending.exists()


def test_files_are_only_pulled_if_another_machine_has_changed_them(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    a.run()
    s3.requests.clear()
    a.run()
    assert not [path for method, path in s3.requests if method == "GET" and path.endswith("/warehouse")]
    s3.requests.clear()
    b.run()
    assert [path for method, path in s3.requests if method == "GET" and path.endswith("/warehouse")]


def test_first_run_with_a_state_uploads_the_warehouse_that_is_there(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    Machine(a.path, url=str(tmp_path / "other")).run()
    a.warehouse.push_outbox()
    b.warehouse.pull()
    assert b.numbers == [1]
    check_objects(s3)


def test_warehouse_that_was_never_part_of_the_state_is_not_replaced(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b", url=str(tmp_path / "other"))
    a.run()
    b.run()
    b.run()
    with pytest.raises(WarehouseError, match="was never part of the state"):
        Machine(b.path).run()
    assert b.numbers == [1, 2]


def test_state_that_has_disappeared_is_reported(tmp_path: Path, s3: S3) -> None:
    a = machine(tmp_path, "a")
    a.run()
    for key in s3.list_keys():
        s3.client().delete_object(Bucket="lake", Key=key)
    with pytest.raises(WarehouseError, match=r"no state at s3://lake/state any more.*rivo\.state\.json"):
        a.run()
    (a.path.parent / "rivo.state.json").unlink()
    a.run()
    assert a.numbers == [1, 2]


def test_damaged_or_foreign_state_changes_nothing(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    a.run()
    key = f"state/{pointer(s3)['parts']['warehouse']['key']}"
    content = s3.content(key)
    s3.client().put_object(Bucket="lake", Key=key, Body=content[:-1] + b"x")
    with pytest.raises(WarehouseError, match="is damaged"):
        b.run()
    s3.client().delete_object(Bucket="lake", Key=key)
    with pytest.raises(WarehouseError, match="is incomplete"):
        b.run()
    s3.client().put_object(Bucket="lake", Key="state/current.json", Body=b"{}")
    with pytest.raises(WarehouseError, match="is not a state of rivo-warehouse"):
        b.run()
    assert not b.path.exists()


def test_each_shop_has_a_state_of_its_own(tmp_path: Path, s3: S3) -> None:
    de, fr = machine(tmp_path, "a", shop="de"), machine(tmp_path, "b", shop="fr")
    de.run()
    fr.run()
    fr.run()
    assert (de.numbers, fr.numbers) == ([1], [1, 2])
    assert {key.split("/")[1] for key in s3.list_keys()} == {"de", "fr"}
    with pytest.raises(WarehouseError, match="is that of the shop de, not of one without a name"):
        machine(tmp_path, "c", url="s3://lake/state/de").run()


def test_the_last_seven_states_are_kept_and_orphans_deleted_after_a_day(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = machine(tmp_path, "a")
    s3.client().put_object(Bucket="lake", Key="state/warehouse-states/crashed/warehouse", Body=b"x")
    s3.client().put_object(Bucket="lake", Key="state/of-the-user", Body=b"x")
    for _ in range(9):
        a.run()
    assert "state/warehouse-states/crashed/warehouse" in s3.list_keys()
    monkeypatch.setattr(state_module, "_ORPHAN_AGE", timedelta())
    a.run()
    left = s3.list_keys("state/warehouse-states/")
    assert len(left) == 8
    assert "state/of-the-user" in s3.list_keys()
    check_objects(s3)


def test_erasing_deletes_all_older_states_at_once(tmp_path: Path, s3: S3) -> None:
    a = machine(tmp_path, "a")
    for _ in range(3):
        a.run()
    a.run(erases=True)
    assert len(s3.list_keys("state/warehouse-states/")) == 1
    assert pointer(s3)["earlier"] == []


def test_older_states_are_deleted_once_an_erasure_that_was_held_back_is_published(
    tmp_path: Path, s3: S3
) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    a.run()
    a.run()
    a.run(publishes=False, erases=True)
    # The published warehouse, which still has the person, and the result without.
    assert len(s3.list_keys("state/warehouse-states/")) == 2
    b.run()
    assert len(s3.list_keys("state/warehouse-states/")) == 1


def test_erasing_fails_loudly_if_older_states_cannot_be_deleted(tmp_path: Path, s3: S3) -> None:
    a = machine(tmp_path, "a")
    a.run()
    s3.fails = lambda method, path: (403, "AccessDenied") if method == "POST" else None
    a.run()
    with pytest.raises(WarehouseError, match=r"still hold the erased data.*s3:DeleteObject"):
        a.run(erases=True)
    s3.fails = lambda _method, _path: None
    a.run()
    assert a.numbers == [1, 2, 3, 4]


def test_result_that_cannot_be_pushed_is_published_by_the_next_run(tmp_path: Path, s3: S3) -> None:
    a = machine(tmp_path, "a")
    a.run()
    s3.fails = lambda method, path: (403, "AccessDenied") if method == "PUT" else None
    with pytest.raises(RivoError, match="denies access"):
        a.run()
    assert a.numbers == [1]
    s3.fails = lambda _method, _path: None
    a.run()
    assert a.numbers == [1, 2, 3]


def test_deliveries_of_webhooks_are_merged_so_that_none_is_lost(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    _deliver(a, "one")
    a.run()
    _deliver(b, "two")
    _deliver(b, "one")
    # A receiver has the journal open all the time.
    with open_deliveries(b.path.with_name("rivo.webhooks.sqlite")) as receiver:
        b.run()
        assert [id for (id,) in receiver.execute("select id from deliveries order by id")] == ["one", "two"]
    a.run()
    assert _delivered(a) == ["one", "two"]


def _objects(where: Machine) -> list[str]:
    return [found.key for found in where.warehouse.state.objects.list("warehouse-states/")]  # type: ignore[union-attr]


def _deliver(where: Machine, id: str) -> None:
    with open_deliveries(where.path.with_name("rivo.webhooks.sqlite")) as journal:
        journal.execute(
            "insert into deliveries (id, form, received_at, pii) values (?, 'id_time_body', ?, 'keep')",
            [id, datetime.now(UTC).isoformat()],
        )


def _delivered(where: Machine) -> list[str]:
    assert "deliveries" in SCHEMA
    with closing(sqlite3.connect(where.path.with_name("rivo.webhooks.sqlite"))) as journal:
        return [id for (id,) in journal.execute("select id from deliveries order by id")]


def test_status_shows_where_the_state_is_and_its_age(tmp_path: Path, s3: S3) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    now = datetime.now(UTC) + timedelta(hours=3)
    before = shared_state(a.warehouse)
    a.run()
    here, there = shared_state(a.warehouse), shared_state(b.warehouse)
    s3.fails = lambda _method, _path: (403, "AccessDenied")
    denied = shared_state(a.warehouse)
    assert before is not None
    assert here is not None
    assert there is not None
    assert denied is not None
    assert "none yet" in before.sentence(now)
    assert here.sentence(now).startswith("s3://lake/state: written 3 hours ago by ")
    assert here.sentence(now).endswith("this machine has it")
    assert there.sentence(now).endswith("this machine has an older one or none")
    assert "denies access" in denied.sentence(now)


def test_setting_is_checked_and_a_demo_has_no_shared_state(tmp_path: Path) -> None:
    shared = make_settings(state="s3://lake/state", warehouse=str(tmp_path / "rivo.duckdb"), api_key="k" * 20)
    assert shop_to_sync(shared).warehouse.state
    keyless = make_settings(state="s3://lake/state", warehouse=str(tmp_path / "rivo.duckdb"), api_key=None)
    with pytest.raises(SettingsError, match="RIVO_STATE is set, but RIVO_API_KEY is not"):
        shop_to_sync(keyless)
    assert shop_to_read(keyless).warehouse.path == tmp_path / "rivo.duckdb"
    assert shop_to_sync(make_settings(api_key="k" * 20)).warehouse.state is None


def test_setting_with_a_secret_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVO_STATE", "s3://user:hidden@bucket/x")
    with pytest.raises(SettingsError, match="RIVO_STATE: write s3://bucket/prefix without keys") as caught:
        Settings.load()
    assert "hidden" not in str(caught.value)


def test_install_without_a_shared_state_imports_nothing_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; from runs.run import run; from pipelines.settings import Settings; "
        "from runs.shop import shop_to_sync; shop_to_sync(Settings.load()).warehouse.build().__enter__(); "
        "print({'boto3', 'pipelines.warehouse.state', 'pipelines.objects.s3'} & set(sys.modules))"
    )
    env = environment(tmp_path, RIVO_API_KEY="k" * 20, RIVO_WAREHOUSE=str(tmp_path / "rivo.duckdb"))
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
    assert not (tmp_path / "rivo.state.json").exists()
