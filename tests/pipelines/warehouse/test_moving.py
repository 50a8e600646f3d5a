"""A warehouse moves to another name with all that belongs to it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import NoWarehouse, WarehouseError
from pipelines.warehouse import Warehouse
from pipelines.warehouse.journals import open_journal, sole_use
from pipelines.warehouse.moving import move

FILES = (
    "rivo.duckdb",
    "rivo.pending.duckdb",
    "rivo.news.duckdb",
    "rivo.report.html",
    "rivo.report-2026-09.html",
    "rivo.outbox.sqlite",
    "rivo.webhooks.sqlite",
)


@pytest.fixture
def old(tmp_path: Path) -> Warehouse:
    for name in FILES:
        path = tmp_path / name
        if path.suffix == ".duckdb":
            duckdb.connect(str(path)).execute(f"create table t as select '{name}' as name").close()
        elif path.suffix == ".sqlite":
            with open_journal(path, "create table if not exists t(name); insert into t values ('sent')"):
                pass
        else:
            path.write_text(name)
    return Warehouse(tmp_path / "rivo.duckdb")


@pytest.fixture
def new(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "shops" / "de.duckdb")


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".lock"}


def test_all_files_move_and_come_back_unchanged(old: Warehouse, new: Warehouse) -> None:
    content = {name: (old.path.parent / name).read_bytes() for name in FILES if not name.endswith("sqlite")}

    moved = move(old, new)

    expected = {name.replace("rivo", "de", 1) for name in FILES}
    assert set(moved) == _names(new.path.parent) == expected
    assert _names(old.path.parent) == set()
    with open_journal(new.outbox, "") as journal:
        assert [tuple(row) for row in journal.execute("select name from t")] == [("sent",)]

    move(new, old)
    assert _names(old.path.parent) == set(FILES)
    assert {name: (old.path.parent / name).read_bytes() for name in content} == content


@pytest.mark.parametrize("renamed", range(len(FILES)))
def test_move_that_is_killed_goes_on_with_the_next_call(
    renamed: int, old: Warehouse, new: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    done: list[Path] = []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == renamed:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        move(old, new)
    assert old.exists, "the published file moves last"

    move(old, new)
    assert _names(new.path.parent) == {name.replace("rivo", "de", 1) for name in FILES}
    assert _names(old.path.parent) == set()


def test_nothing_moves_onto_a_warehouse_that_exists(old: Warehouse, new: Warehouse) -> None:
    new.path.parent.mkdir()
    new.outbox.write_bytes(b"the outbox of another shop")
    with pytest.raises(WarehouseError, match=r"de\.outbox\.sqlite exists already.*Nothing was moved"):
        move(old, new)
    assert _names(old.path.parent) == set(FILES)


def test_warehouse_in_use_does_not_move(old: Warehouse, new: Warehouse) -> None:
    with old.build(), pytest.raises(WarehouseError, match="Another command is using"):
        move(old, new)
    with sole_use(old.outbox, "busy"), pytest.raises(WarehouseError, match="Another command is using"):
        move(old, new)
    assert set(FILES) <= _names(old.path.parent)


def test_warehouse_does_not_move_to_a_shop_that_is_synced_now(old: Warehouse, new: Warehouse) -> None:
    with new.build() as work:
        with pytest.raises(WarehouseError, match=r"Another command is using .*de\.duckdb"):
            move(old, new)
        work.publish()
    with pytest.raises(WarehouseError, match=r"de\.duckdb exists already"):
        move(old, new)
    assert set(FILES) <= _names(old.path.parent)


def test_leftovers_of_a_killed_sync_do_not_stay_behind(old: Warehouse, new: Warehouse) -> None:
    leftovers = [old.path.with_name("rivo.build.duckdb"), old.path.with_name("rivo.scratch")]
    leftovers[0].write_text("rows of customers")
    leftovers[1].mkdir()
    move(old, new)
    assert not any(path.exists() for path in leftovers)


def test_there_must_be_a_warehouse(tmp_path: Path, new: Warehouse) -> None:
    with pytest.raises(NoWarehouse, match="nothing to move"):
        move(Warehouse(tmp_path / "rivo.duckdb"), new)
