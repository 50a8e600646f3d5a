"""Ctrl-C and SIGTERM: a sentence, a code, nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import Server
from tests.cli.conftest import RIVO, environment


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sync_that_is_stopped_leaves_everything_whole(
    number: signal.Signals, code: int, store: Server, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse" / "rivo.duckdb"
    store.requests.clear()
    store.latency_ms = 400
    process = subprocess.Popen(
        [RIVO, "sync"],
        env=environment(tmp_path, RIVO_API_URL=store.url, RIVO_WAREHOUSE=str(warehouse)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 90
        while len(store.requests) < 6 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(store.requests) >= 6
        # As a terminal does: to the whole group.
        os.killpg(process.pid, number)
        said, errors = process.communicate(timeout=30)
    finally:
        store.latency_ms = 0
        process.kill()

    assert process.returncode == code, said + errors
    assert "Stopped. Nothing was published: readers keep the warehouse as it was" in said
    assert "Traceback" not in said + errors
    assert [path.name for path in warehouse.parent.iterdir()] == ["rivo.lock"]


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """A handler that swallows the signal, as CPython itself may inside a destructor."""
    program = (
        "import signal, sys, time\n"
        "from cli.terminal.interrupts import heard\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "with heard(patience=0.5):\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        time.sleep(0.1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 130
    assert errors.startswith("Stopped. The warehouse is whole")
