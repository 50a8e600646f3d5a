"""`rivo` on two machines that share a state: a sync on each, status, an erasure on a machine that has no file yet."""

from __future__ import annotations

from pathlib import Path

import duckdb

from sandbox import ProgramOptions
from tests.harness.store import open_store
from tests.targets.machines import URL, check_objects
from tests.targets.s3 import S3

_PII_KEY = "a-key-that-cannot-be-guessed"


def test_each_night_on_another_machine(tmp_path: Path, s3: S3) -> None:
    options = {"state": URL, "pii_key": _PII_KEY}
    path = tmp_path / "a" / "rivo.duckdb"
    with open_store(path, ProgramOptions(customers=40, months=4), options=options) as a:
        a.selection = "+dim_member"
        b = a.with_warehouse("b")
        for store in (a, b):
            store.path.parent.mkdir(exist_ok=True)

        first = a.rivo("sync", **s3.environment)
        assert first.returncode == 0, first.stdout + first.stderr
        a.wait(1)
        second = b.rivo("sync", **s3.environment)
        assert second.returncode == 0, second.stdout + second.stderr
        assert len(b.query("select distinct observed_at from rivo_raw.sync_log")) == 2

        assert "this machine has an older one or none" in a.rivo("status", **s3.environment).stdout
        status = b.rivo("status", **s3.environment).stdout
        assert f"{URL}: written " in status
        assert "this machine has it" in status
        assert f"state (RIVO_STATE) {URL}: written " in b.rivo("doctor", **s3.environment).stdout

        [(id, email)] = b.query(
            "select id, email from rivo_raw.customers where email <> '' order by id limit 1"
        )
        c = a.with_warehouse("c")
        c.path.parent.mkdir()
        erased = c.rivo("forget", str(id), **s3.environment)
        assert erased.returncode == 0, erased.stdout + erased.stderr
        check_objects(s3)
        assert _objects_with(s3, tmp_path / "looked-at", email) == []
        without_key = c.rivo("sync", RIVO_API_KEY="", **s3.environment)
        assert "RIVO_STATE is set, but RIVO_API_KEY is not" in without_key.stderr + without_key.stdout
        assert without_key.returncode == 1


def _objects_with(s3: S3, copy: Path, text: str) -> list[str]:
    """Return the databases of the state that have a text in a row."""
    found = []
    for key in s3.list_keys("state/warehouse-states/"):
        if not key.endswith(("/warehouse", "/pending")):
            continue
        copy.write_bytes(s3.content(key))
        with duckdb.connect(str(copy), read_only=True) as connection:
            [(count,)] = connection.execute(
                "select count(*) from rivo_raw.customers where email = ?", [text]
            ).fetchall()
        if count or text.encode() in copy.read_bytes():
            found.append(key)
    assert len(s3.list_keys("state/warehouse-states/")) > 0
    return found
