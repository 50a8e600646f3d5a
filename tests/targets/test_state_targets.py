"""The shared state and targets: `rivo publish` begins with the newest state and discards no run of another machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import WarehouseError
from sandbox import ProgramOptions
from tests.harness.store import open_store
from tests.targets.machines import URL, Machine, machine
from tests.targets.s3 import S3


@pytest.fixture
def two(tmp_path: Path, s3: S3) -> tuple[Machine, Machine]:
    del s3
    return machine(tmp_path, "a"), machine(tmp_path, "b")


def test_publication_to_targets_on_another_machine_discards_no_run(two: tuple[Machine, Machine]) -> None:
    a, b = two
    a.run()
    b.run()

    def publish() -> None:
        b.warehouse.last_publications_file.write_text("{}")
        b.warehouse.push_last_publications()

    a.run(during=publish)
    assert a.numbers == [1, 2, 3]
    b.run()
    assert b.numbers == [1, 2, 3, 4]
    assert b.warehouse.last_publications_file.read_text() == "{}"


def test_first_push_that_was_killed_before_its_note_goes_on(
    two: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    with monkeypatch.context() as killed:
        killed.setattr("pipelines.warehouse.state.State._note", _killed)
        with pytest.raises(KeyboardInterrupt):
            a.run()
    assert a.pending.exists()
    a.run()
    assert a.numbers == [1, 2]
    b.run()
    assert b.numbers == [1, 2, 3]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_file_that_was_never_in_the_state_is_not_replaced(two: tuple[Machine, Machine]) -> None:
    a, b = two
    a.run()
    b.path.write_bytes(b"of another warehouse")
    with pytest.raises(WarehouseError, match="was never part of the state"):
        b.run()
    assert b.path.read_bytes() == b"of another warehouse"


def test_publish_on_a_machine_without_files_pulls_them(tmp_path: Path, s3: S3) -> None:
    target = {"RIVO_PUBLISH": "files", "RIVO_TARGET_FILES": f"file://{tmp_path / 'files'}"}
    with open_store(
        tmp_path / "a" / "rivo.duckdb", ProgramOptions(customers=40, months=2), options={"state": URL}
    ) as a:
        a.selection = "+dim_member"
        b = a.with_warehouse("b")
        for store in (a, b):
            store.path.parent.mkdir(exist_ok=True)
        failing = target | {"RIVO_TARGET_FILES": "file:///dev/null/files"}
        synced = a.rivo("sync", **s3.environment, **failing)
        assert (synced.returncode, "RIVO_TARGET_FILES" in synced.stdout) == (1, True)
        published = b.rivo("publish", **s3.environment, **target)
        assert published.returncode == 0, published.stdout + published.stderr
        assert (tmp_path / "files" / "current.json").exists()
        # The state says so on every machine.
        c = a.with_warehouse("c")
        c.path.parent.mkdir()
        assert c.rivo("publish", **s3.environment, **target).returncode == 0
        states = json.loads(c.path.with_name("rivo.targets.json").read_text())
        assert states["files"]["observed_at"]
