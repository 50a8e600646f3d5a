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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sync_leaves_the_warehouse_intact(
    number: signal.Signals, code: int, server: Server, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse" / "rivo.duckdb"
    server.requests.clear()
    server.latency_ms = 400
    process = subprocess.Popen(
        [RIVO, "sync"],
        env=environment(tmp_path, RIVO_API_URL=server.url, RIVO_WAREHOUSE=str(warehouse)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 90
        while len(server.requests) < 6 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(server.requests) >= 6
        # To the whole process group, as a terminal does.
        os.killpg(process.pid, number)
        output, errors = process.communicate(timeout=30)
    finally:
        server.latency_ms = 0
        process.kill()

    assert process.returncode == code, output + errors
    assert "Stopped. Nothing was published: readers keep the previous data" in output
    assert "Traceback" not in output + errors
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
