"""Backup and restore: a lost warehouse is restored with everything that cannot be read from Rivo again."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import NoWarehouse, RivoError, WarehouseError
from pipelines.privacy.erasure import erase, erase_again, erased_identifiers
from pipelines.privacy.redaction import apply_setting
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.warehouse import Build, Warehouse
from pipelines.warehouse.backup import MANIFEST, Backup, backup, load_backup, read_backup, refuse_to_replace
from pipelines.warehouse.raw_tables import ensure_tables
from tests.harness.store import Store
from tests.pipelines.privacy.conftest import OpenStore
from tests.pipelines.privacy.traces import traces


def restore(store: Store, made: Backup) -> list[str]:
    said: list[str] = []

    def prepare(work: Build) -> None:
        ensure_tables(work.connection)
        said.extend(load_backup(work, made))

    with Warehouse(store.path).build(is_fresh=True) as work:
        prepare(work)
        work.publish()
    return said


def test_restore_gives_back_a_lost_warehouse(open_store: OpenStore, tmp_path: Path) -> None:
    lucky, unlucky = open_store("synced"), open_store("synced")
    for store in (lucky, unlucky):
        [(gone,)] = store.query("select max(id) from rivo_raw.customers")
        store.wait()
        store.program.remove("customers", gone, at=store.now)
        store.sync("customers", "points_events")
    made = backup(unlucky.warehouse, unlucky.server.url, tmp_path / "backups" / "monday")
    shutil.rmtree(unlucky.path.parent)
    unlucky.path.parent.mkdir()

    assert restore(unlucky, read_backup(made.folder)) == []

    for store in (lucky, unlucky):
        store.wait()
        results = store.sync()
        assert all(result.complete for result in results.values())
    names = [name for name in made.tables if name not in ("sync_log", "settings", "_publication")]
    assert unlucky.contents(*names) == lucky.contents(*names)
    log = "select list, observed_at, kind, rows_read, rows_new, rows_changed, rows_deleted from rivo_raw.sync_log"
    assert unlucky.query(f"{log} order by all") == lucky.query(f"{log} order by all")
    moves = "select count(*), count(distinct valid_from) from rivo_raw.customers_history"
    assert unlucky.query(moves)[0][1] >= 3, "the lost warehouse had a history"


def test_backup_holds_the_unpublished_result_and_runs_beside_a_sync(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store("synced")
    with Warehouse(store.path).build() as work:
        work.connection.execute("update rivo_raw.customers set first_name = 'Waiting'")
        work.keep()
    with Warehouse(store.path).build():
        # A running sync does not delay the backup, and the other way round.
        made = backup(store.warehouse, store.server.url, tmp_path / "b")
    names = duckdb.sql(f"select distinct first_name from '{made.folder}/customers.parquet'").fetchall()
    assert names == [("Waiting",)]
    assert made.shop == store.server.url
    assert store.server.key not in (made.folder / MANIFEST).read_text()


def test_backup_is_written_completely_or_not_at_all(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("synced")
    folder = tmp_path / "here" / "b"
    with pytest.raises(NoWarehouse, match="nothing to back up"):
        backup(Warehouse(tmp_path / "no.duckdb"), "nowhere", folder)
    assert list(folder.parent.iterdir()) == []

    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    with pytest.raises(RivoError, match="already exists and is not empty"):
        backup(store.warehouse, store.server.url, folder)
    assert [file.name for file in folder.iterdir()] == ["letter.txt"]
    with pytest.raises(RivoError, match="is not a complete backup"):
        read_backup(folder)

    made = backup(store.warehouse, store.server.url, folder.with_name("c"))
    assert sorted(file.name for file in folder.parent.iterdir()) == ["b", "c"]
    file = made.folder / "customers_history.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-9] + b"x" + content[-8:])
    with pytest.raises(RivoError, match="is damaged: the content of customers_history differs"):
        read_backup(made.folder)
    file.unlink()
    with pytest.raises(RivoError, match="is not a complete backup"):
        read_backup(made.folder)


def test_restore_refuses_to_replace_a_warehouse_with_data(open_store: OpenStore) -> None:
    store = open_store("synced")
    with pytest.raises(
        WarehouseError, match=rf"already holds the log of {2 * len(ENDPOINTS)} list reads.*add --replace"
    ):
        refuse_to_replace(store.warehouse)
    store.path.write_bytes(b"not a database")
    with pytest.raises(WarehouseError, match="is not empty, and cannot be opened"):
        refuse_to_replace(store.warehouse)
    store.path.unlink()
    refuse_to_replace(store.warehouse)


def test_restore_accepts_columns_and_tables_of_other_releases(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store("synced")
    store.change(
        lambda work: work.connection.execute(
            "alter table rivo_raw.customers add column favourite varchar; "
            "update rivo_raw.customers set favourite = 'tea'; "
            "alter table rivo_raw.customers drop column dob; "
            "alter table rivo_raw.sync_log drop column seconds; "
            "create table rivo_raw.later as select 1 as one"
        )
    )
    made = backup(store.warehouse, store.server.url, tmp_path / "b")
    assert restore(store, read_backup(made.folder)) == [
        "customers: the backup has no column dob; it is null until the next complete read.",
        "later: this release does not know this table; it was restored unchanged.",
        "sync_log: the backup has no column seconds; it is null in the restored rows.",
    ]
    assert store.query("select distinct favourite, dob from rivo_raw.customers") == [("tea", None)]
    store.sync("customers", full=True)
    assert store.query("select count(dob) > 0, count(favourite) = 0 from rivo_raw.customers") == [
        (True, True)
    ]


def test_restore_erases_again_people_erased_after_the_backup(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store("synced")
    [(id, email)] = store.query(
        "select id, email from rivo_raw.customers where email <> '' order by id limit 1"
    )
    made = backup(store.warehouse, store.server.url, tmp_path / "b")
    store.change(lambda work: erase(work, store.settings, str(id)))
    known = erased_identifiers(store.warehouse)
    with Warehouse(store.path).build(is_fresh=True) as work:
        ensure_tables(work.connection)
        load_backup(work, read_backup(made.folder))
        apply_setting(work, store.settings)
        erase_again(work, store.settings, known)
        work.publish()
    assert traces(store, [str(id), email]) == []
    store.sync(full=True)
    assert traces(store, [str(id), email]) == []


def test_backup_during_syncs_is_consistent(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store("synced")
    failed: list[str] = []
    ended = threading.Event()

    def back_up() -> None:
        number = 0
        while not ended.is_set() or not number:
            number += 1
            try:
                made = backup(store.warehouse, store.server.url, tmp_path / f"b{number}")
                rows = json.loads((made.folder / MANIFEST).read_text())["tables"]["sync_log"]["rows"]
                failed.extend([f"{rows} rows of the log"] * (rows % len(ENDPOINTS) != 0))
            except RivoError as error:
                failed.append(str(error))

    thread = threading.Thread(target=back_up)
    thread.start()
    try:
        for _ in range(3):
            store.wait()
            store.sync()
    finally:
        ended.set()
        thread.join()
    assert failed == []
