"""The servers of a DuckLake: its catalogue's, and S3."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.target_settings import TargetSetting
from pipelines.targets import ducklake
from pipelines.targets.publication import Publication
from pipelines.targets.publishing import publish
from tests.targets.databases import Database
from tests.targets.s3 import BUCKET, S3
from tests.targets.warehouses import KEYS, SCHEMAS, publish_day


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return the port of a server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        # Wakes the thread, which a close does not.
        server.shutdown(socket.SHUT_RDWR)
        for each in accepted:
            each.close()


def publish_within(seconds: float, folder: Path, target: TargetSetting) -> Publication:
    """Publish in a thread, which an extension of DuckDB that waits for ever would not end."""
    done: list[Publication] = []
    warehouse = publish_day(folder / "warehouse", members=5)
    thread = threading.Thread(
        target=lambda: done.extend(publish(warehouse, "", [target], SCHEMAS, KEYS)), daemon=True
    )
    thread.start()
    thread.join(seconds)
    assert done, f"the publication still waits after {seconds} seconds"
    return done[0]


@pytest.mark.parametrize("of_user", [False, True])
def test_silent_catalogue_ends_the_publication(
    tmp_path: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch, of_user: bool
) -> None:
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    monkeypatch.setattr(ducklake, "_CONNECT_SECONDS", 600 if of_user else 2)
    if of_user:
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    url = f"ducklake:postgresql://rivo@127.0.0.1:{silent_port}/loyalty?data={tmp_path / 'lake'}"
    problem = publish_within(15, tmp_path, TargetSetting("lake", "ducklake", url)).problem
    assert "RIVO_TARGET_LAKE: the lake's catalogue at 127.0.0.1 cannot be used" in problem
    assert "timeout expired" in problem


def test_silent_s3_ends_the_publication(
    tmp_path: Path, database: Database, s3: S3, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setattr(ducklake, "_SILENCE_SECONDS", 1)
    started = time.monotonic()
    target = database.lake(f"s3://{BUCKET}/lake")
    assert "Timeout was reached" in publish_within(60, tmp_path, target).problem
    assert time.monotonic() - started < 30
