"""The command `python -m sandbox`, run by another program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

from sandbox.__main__ import main

COMMAND = [sys.executable, "-m", "sandbox", "--port", "0", "--customers", "20", "--months", "2"]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    process = subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process, [process.stdout.readline().strip() for _ in range(2)]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_command_serves_until_sigterm() -> None:
    with running("--key", "k", "--now", "2026-09-01T00:00:00Z") as (process, lines):
        assert lines[0] == "RIVO_API_KEY=k"
        url = lines[1].removeprefix("RIVO_API_URL=")
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/merchant_api/v1")
        with urlopen(Request(f"{url}/customers", headers={"Authorization": "k"})) as answer:
            assert answer.headers["Date"] == "Tue, 01 Sep 2026 00:00:00 GMT"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_command_stops_during_a_simulation() -> None:
    process = subprocess.Popen(
        [*COMMAND, "--customers", "30000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stderr.readline().startswith(b"simulating 30000")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


def test_command_ends_with_its_parent() -> None:
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({[*COMMAND, '--exit-with-parent']!r}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pid = int(result.stdout)
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the sandbox outlived its parent")


def test_command_reports_invalid_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "0.0.0.0", "--port", "0", "--customers", "0"]) == 1
    assert "loopback" in capsys.readouterr().err
    for wrong in (["--fault", "nonsense"], ["--now", "yesterday"]):
        with pytest.raises(SystemExit):
            main(wrong)


def test_help_lists_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "cursor_ignored" in capsys.readouterr().out
