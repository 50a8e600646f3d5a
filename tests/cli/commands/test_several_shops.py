"""The commands in an install with two shops."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import duckdb
import pytest

from sandbox import Server
from tests.cli.test_files import damage
from tests.harness.prepared import prepare_once
from tests.harness.rivo_shops import KEYS, TwoShops, two_stores
from tests.harness.settings import RIVO

T = TypeVar("T")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    with two_stores() as servers:
        yield servers


@pytest.fixture(scope="module")
def synced(servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an install after one sync of both shops."""

    def make(folder: Path) -> None:
        done = TwoShops(servers, folder).rivo("sync", "--json")
        (folder / "first.json").write_text(done.stdout)
        (folder / "first.err").write_text(done.stderr)

    return prepare_once(tmp_path_factory, "two-shops", make)


@pytest.fixture
def install(synced: Path, servers: dict[str, Server], tmp_path: Path) -> TwoShops:
    """A copy of it."""
    shutil.copytree(synced, tmp_path / "install")
    return TwoShops(servers, tmp_path / "install")


def test_sync_without_an_option_syncs_every_shop(install: TwoShops) -> None:
    document = json.loads((install.folder / "first.json").read_text())
    said = (install.folder / "first.err").read_text()

    assert (document["outcome"], document["exit_code"]) == ("done", 0)
    assert list(document["shops"]) == ["de", "fr"]
    for name, of_shop in document["shops"].items():
        assert of_shop["warehouse"]["path"].endswith(f"/data/shops/{name}.duckdb")
        assert of_shop["warehouse"]["published"]
        assert len(of_shop["lists"]) == 7
    customers = {name: each["lists"] for name, each in document["shops"].items()}
    assert {name: _rows(lists, "customers") for name, lists in customers.items()} == {"de": 60, "fr": 40}
    lines = said.splitlines()
    assert lines[0].startswith("Syncing 2 shops")
    assert sum(line.startswith(("de", "fr")) for line in lines) == 2
    assert "2 of 2 shops published" in said
    assert not any(key in said + json.dumps(document) for key in KEYS.values())


def _rows(lists: list[dict[str, object]], name: str) -> object:
    [found] = [each["rows_total"] for each in lists if each["list"] == name]
    return found


def test_shop_with_a_wrong_key_leaves_the_other_alone(install: TwoShops) -> None:
    before = {name: install.file(name).read_bytes() for name in ("de", "fr")}

    done = install.rivo("sync", RIVO_SHOP_FR_API_KEY="not-the-key-of-fr")

    assert done.returncode == 1
    assert "RIVO_SHOP_FR_API_KEY must be the raw key" in done.stdout
    assert "1 of 2 shops published" in done.stdout
    assert "not done: fr" in done.stdout
    assert install.file("fr").read_bytes() == before["fr"]
    assert install.file("de").read_bytes() != before["de"]
    assert sorted(path.name for path in install.file("fr").parent.glob("fr*")) == [
        "fr.duckdb",
        "fr.lock",
        "fr.report.html",
    ]


def test_shop_with_the_key_of_the_other_shop_is_refused_before_anything_is_written(install: TwoShops) -> None:
    before = install.file("fr").read_bytes()
    done = install.rivo(
        "sync",
        "--shop",
        "fr",
        RIVO_SHOPS="fr,de",
        RIVO_SHOP_FR_API_KEY=KEYS["de"],
        RIVO_SHOP_FR_API_URL=install.servers["de"].url,
        RIVO_SHOP_DE_API_KEY="another",
    )
    assert done.returncode == 1
    assert "RIVO_SHOP_FR_API_KEY seems to be that of another shop" in done.stdout
    assert install.file("fr").read_bytes() == before


def test_shop_without_a_key_fails_by_itself(install: TwoShops) -> None:
    done = install.rivo("sync", "--shop", "fr", RIVO_SHOP_FR_API_KEY="")
    assert done.returncode == 1
    assert "RIVO_SHOP_FR_API_KEY is not set. Create a key" in done.stdout


def test_status_shows_a_line_a_shop_and_the_worst_exit_code(install: TwoShops) -> None:
    both = install.rivo("status", "--json")
    document = json.loads(both.stdout)
    assert list(document["shops"]) == ["de", "fr"]
    assert document["shops"]["de"]["timezone"] == "Europe/Berlin"
    assert (
        both.returncode
        == document["exit_code"]
        == max(each["exit_code"] for each in document["shops"].values())
    )

    install.file("fr").unlink()
    text = install.rivo("status")
    assert text.returncode == 3
    assert "no warehouse" in text.stdout
    assert "fr: There is no warehouse at" in text.stdout

    one = install.rivo("status", "--shop", "DE")
    assert "Warehouse   data/shops/de.duckdb" in one.stdout


def test_commands_ask_for_a_shop_where_it_matters(install: TwoShops) -> None:
    for arguments in (
        ["query", "select 1"],
        ["report"],
        ["backup", "folder"],
        ["models", "build"],
        ["actions", "list"],
        ["customer", "1"],
        ["forget", "1"],
        ["restore", "data"],
    ):
        done = install.rivo(*arguments)
        assert done.returncode == 2, arguments
        assert "There are several shops: de, fr. Choose with --shop NAME" in done.stderr
    for guard in (["--allow-shrink", "customers"], ["--rewind"]):
        unguarded = install.rivo("sync", *guard)
        assert unguarded.returncode == 2, unguarded.stdout
        assert f"{guard[0]} turns a guard off" in unguarded.stderr
    wrong = install.rivo("sync", "--shop", "it")
    assert (wrong.returncode, "There is no shop it: RIVO_SHOPS has de, fr." in wrong.stderr) == (2, True)
    both = install.rivo("sync", "--shop", "de", "--all-shops")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)


def test_one_shop_in_rivo_shops_needs_no_option(install: TwoShops) -> None:
    done = install.rivo("status", "--json", RIVO_SHOPS="de", **_without("fr"))
    assert json.loads(done.stdout)["warehouse"] == str(install.file("de"))


def _without(shop: str) -> dict[str, str]:
    return {f"RIVO_SHOP_{shop.upper()}_{name}": "" for name in ("API_KEY", "API_URL", "TIMEZONE")}


def test_backups_of_all_shops_are_restored_one_by_one(install: TwoShops) -> None:
    saved = install.rivo("backup", "--all-shops", "saved")
    assert saved.returncode == 0, saved.stderr
    assert sorted(path.name for path in (install.folder / "saved").iterdir()) == ["de", "fr"]
    ids = _ids(install.file("fr"))
    install.file("fr").unlink()

    restored = install.rivo("restore", "--shop", "fr", "saved/fr")

    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert _ids(install.file("fr")) == ids


def test_backup_of_a_demo_is_not_restored_into_a_real_shop(install: TwoShops) -> None:
    assert install.rivo("backup", "--shop", "de", "saved").returncode == 0
    details = next((install.folder / "saved").glob("*.json"))
    details.write_text(re.sub(r'"shop": "[^"]*"', '"shop": "demo"', details.read_text()))
    install.file("fr").unlink()

    restored = install.rivo("restore", "--shop", "fr", "saved")

    assert restored.returncode == 1
    assert "The backup has simulated data, which must not become that of fr." in restored.stderr
    assert not install.file("fr").exists()


def _ids(path: Path) -> list[tuple[int, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("select id from rivo_raw.customers order by id").fetchall()


def test_forget_erases_a_person_in_each_shop_that_knows_them(install: TwoShops) -> None:
    with duckdb.connect(str(install.file("fr")), read_only=True) as connection:
        [(email,)] = connection.execute(
            "select email from rivo_raw.customers where email is not null order by id limit 1"
        ).fetchall()
    key = {"RIVO_SHOP_FR_PII_KEY": "a-key-of-at-least-sixteen-characters", "RIVO_SHOPS": "de,fr,it"}
    key["RIVO_SHOP_DE_PII_KEY"] = "another-key-of-at-least-sixteen-characters"
    assert install.rivo("models", "all-shops").returncode == 0
    united = install.folder / "data" / "all_shops.duckdb"
    before = united.read_bytes()

    done = install.rivo("forget", "--all-shops", email, **key)

    # `it` was never synced, so it does not know the person either.
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as long as RIVO_SHOP_FR_PII_KEY does not change" in done.stdout
    assert done.stdout.endswith("all_shops.duckdb was written again without the person.\n")
    assert "No customer or referral in the warehouse has the address" in done.stdout
    assert "Erased." in done.stdout
    assert email.encode() not in install.file("fr").read_bytes()

    # As if the command had been killed before it came to the file of all shops.
    united.write_bytes(before)
    again = install.rivo("forget", "--all-shops", email, **key)
    assert again.returncode == 1
    assert "No shop knows this person" in again.stderr
    assert "written again" not in again.stdout
    with duckdb.connect(str(united), read_only=True) as connection:
        left = connection.execute("select count(*) from marts.dim_member where email = ?", [email]).fetchall()
    assert left == [(0,)]


def test_models_and_reports_of_all_shops(install: TwoShops) -> None:
    built = install.rivo("models", "build", "--all-shops", "--select", "dim_member")
    assert built.returncode == 0, built.stdout + built.stderr
    assert built.stdout.index("de\n") < built.stdout.index("fr\n")
    listed = install.rivo("actions", "list", "--all-shops")
    assert listed.stdout.count("welcome_new_tier") == 2
    shops = install.rivo("shops", "list")
    assert "Europe/Berlin" in shops.stdout
    assert "Europe/Paris" in shops.stdout


def test_single_warehouse_is_adopted_with_its_histories_and_released(install: TwoShops) -> None:
    single = install.folder / "data" / "rivo.duckdb"
    install.file("fr").rename(single)
    before = single.read_bytes()
    first = _one(single, "select min(_first_seen_at) from rivo_raw.customers")
    refused = install.rivo("sync", "--shop", "fr")
    assert refused.returncode == 1
    assert "is the warehouse of fr from the time before RIVO_SHOPS" in refused.stdout
    assert not install.file("fr").exists()

    adopted = install.rivo("shops", "adopt", "FR")

    assert adopted.returncode == 0, adopted.stderr
    assert install.file("fr").read_bytes() == before
    assert not single.exists()
    install.servers["fr"].now += timedelta(days=1)
    synced = install.rivo("sync", "--shop", "fr")
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert _one(install.file("fr"), "select min(_first_seen_at) from rivo_raw.customers") == first
    assert _one(install.file("fr"), "select count(distinct observed_at) from rivo_raw.sync_log") == 2

    again = install.rivo("shops", "adopt", "fr")
    assert (again.returncode, "nothing to move" in again.stderr) == (3, True)
    unknown = install.rivo("shops", "adopt", "it")
    assert (unknown.returncode, "RIVO_SHOPS has no shop it" in unknown.stderr) == (1, True)

    released = install.rivo("shops", "release", "fr")
    assert released.returncode == 0, released.stderr
    assert single.exists()
    assert not install.file("fr").exists()


def _one(path: Path, sql: str) -> object:
    with duckdb.connect(str(path), read_only=True) as connection:
        [(value,)] = connection.execute(sql).fetchall()
    return value


def test_release_says_that_the_file_of_all_shops_is_left(install: TwoShops) -> None:
    assert install.rivo("models", "all-shops").returncode == 0
    released = install.rivo("shops", "release", "de")
    assert released.returncode == 0, released.stderr
    assert "all_shops.duckdb is not written again" in released.stdout


def test_stopped_sync_publishes_nothing_and_leaves_no_process(install: TwoShops) -> None:
    before = {name: install.file(name).read_bytes() for name in ("de", "fr")}
    with _slow(install, "de", "fr"):
        sync = _start(install)
        workers = _wait_for(lambda: _workers(sync) if len(_workers(sync)) == 2 else None)
        sync.send_signal(signal.SIGTERM)
        said, _ = sync.communicate(timeout=60)
    assert sync.returncode == 143
    assert "0 of 2 shops published" in said
    assert {name: install.file(name).read_bytes() for name in ("de", "fr")} == before
    _wait_for(lambda: not set(workers) & {pid for pid, _ in _processes()}, 15)


def test_killed_process_of_one_shop_is_reported_and_the_other_publishes(install: TwoShops) -> None:
    with _slow(install, "fr"):
        sync = _start(install)
        _wait_for(lambda: len(_workers(sync)) == 2)
        # That of de has ended.
        [worker] = _wait_for(lambda: _workers(sync) if len(_workers(sync)) == 1 else None)
        os.kill(worker, signal.SIGKILL)
        said, _ = sync.communicate(timeout=120)
    assert sync.returncode == 1
    assert "The process of this shop ended early (signal 9)" in said
    assert "1 of 2 shops published" in said
    assert "not done: fr" in said


@contextmanager
def _slow(install: TwoShops, *names: str) -> Iterator[None]:
    """Let each answer of these shops' stores take seconds."""
    for name in names:
        install.servers[name].latency_ms = 5_000
    try:
        yield
    finally:
        for name in names:
            install.servers[name].latency_ms = 0


def _start(install: TwoShops) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [RIVO, "sync"],
        env=install.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _workers(sync: subprocess.Popen[str]) -> list[int]:
    """Return the processes of the shops: the children of the one that has imported everything."""
    processes = _processes()
    children = {pid for pid, parent in processes if parent == sync.pid}
    return [pid for pid, parent in processes if parent in children]


def _processes() -> list[tuple[int, int]]:
    """Return the id of each running process, and of its parent."""
    shown = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in shown.stdout.splitlines()]
    return [(int(pid), int(parent)) for pid, parent, state in rows if not state.startswith("Z")]


def _wait_for(condition: Callable[[], T | None], seconds: float = 90) -> T:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def test_damaged_file_of_a_shop_does_not_stop_the_others(install: TwoShops) -> None:
    damage(install.file("de"), "rivo_raw.sync_log")

    shown = install.rivo("status")
    saved = install.rivo("backup", "--all-shops", "saved")

    assert (shown.returncode, "Traceback" in shown.stderr) == (1, False)
    assert any(line.startswith("fr ") for line in shown.stdout.splitlines())
    assert (saved.returncode, "Traceback" in saved.stderr) == (1, False)
    assert "de.duckdb is damaged" in saved.stderr
    assert [path.name for path in (install.folder / "saved").iterdir()] == ["fr"]
