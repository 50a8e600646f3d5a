"""Ctrl-C and SIGTERM: message, exit code and an intact warehouse."""

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
from tests.harness.command import start_command


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sync_leaves_the_warehouse_intact(
    number: signal.Signals, code: int, server: Server, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse" / "rivo.duckdb"
    server.requests.clear()
    server.latency_ms = 400
    settings = environment(tmp_path, RIVO_API_URL=server.url, RIVO_WAREHOUSE=str(warehouse))
    sync = start_command([RIVO, "sync"], settings, tmp_path, leads_group=True)
    try:
        deadline = time.monotonic() + 90
        while len(server.requests) < 6 and sync.is_running and time.monotonic() < deadline:
            time.sleep(0.1)
        started = len(server.requests)
        # To the whole process group, as a terminal does.
        os.killpg(sync.pid, number)
    finally:
        stopped = sync.wait(30)
        server.latency_ms = 0

    printed = stopped.stdout + stopped.stderr
    assert started >= 6, printed
    assert stopped.returncode == code, printed
    assert "Stopped. Nothing was published: readers keep the previous data" in stopped.stdout
    assert "Traceback" not in printed
    assert [path.name for path in warehouse.parent.iterdir()] == ["rivo.lock"]


def test_a_process_that_ignores_a_signal_is_ended(tmp_path: Path) -> None:
    """The handler swallows the signal, as CPython itself may inside a destructor."""
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
    assert errors.startswith("Stopped. The warehouse is intact")
