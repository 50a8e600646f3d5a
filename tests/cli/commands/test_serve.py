"""`rivo serve`: Dagster's processes on a server, and the receiver of webhooks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.network import Connection, ConnectionFailure
from tests.cli.conftest import RIVO, Rivo, environment


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def webserver(tmp_path: Path, *options: str) -> Iterator[Connection]:
    """Run `rivo serve webserver` with an empty workspace, and wait until it answers."""
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    port = free_port()
    process = subprocess.Popen(
        [RIVO, "serve", "webserver", "--port", str(port), "--workspace", str(workspace), *options],
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    connection = Connection(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                connection.send("GET", "/", timeout=10)
                break
            except ConnectionFailure:
                assert process.poll() is None, "the webserver has ended"
                time.sleep(0.5)
        yield connection
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


@pytest.mark.parametrize("prefix", ["/loyalty/dagster", "loyalty/dagster/"])
def test_webserver_is_shown_below_a_path_prefix(prefix: str, tmp_path: Path) -> None:
    with webserver(tmp_path, "--path-prefix", prefix) as connection:
        found = connection.send("GET", "/loyalty/dagster/server_info", timeout=30)
        page = connection.send("GET", "/loyalty/dagster/", timeout=30)
        outside = connection.send("GET", "/server_info", timeout=30)
    assert found.status == 200
    assert b"dagster_webserver_version" in found.data
    assert b"/loyalty/dagster" in page.data
    assert b"dagster_webserver_version" not in outside.data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("daemon --path-prefix /x", "--path-prefix is for webserver; daemon does not use it."),
        ("code --path-prefix /x", "--path-prefix is for webserver; code does not use it."),
        ("daemon --port 3001", "--port is for webserver, code and webhooks; daemon does not use it."),
        ("daemon --host 0.0.0.0", "--host is for webserver, code and webhooks; daemon does not use it."),
        ("code --workspace pyproject.toml", "--workspace is for webserver and daemon; code does not use it."),
    ],
)
def test_option_of_another_process_is_refused(
    arguments: str, message: str, tmp_path: Path, rivo: Rivo
) -> None:
    (tmp_path / "pyproject.toml").touch()
    result = rivo("serve", *arguments.split())
    assert result.returncode == 2
    assert message in result.stderr


def test_receiver_without_a_secret_says_where_to_get_it(rivo: Rivo) -> None:
    done = rivo("serve", "webhooks")

    assert done.returncode == 1
    assert "RIVO_WEBHOOK_SECRET is not set" in done.stderr
    assert "Rivo shows the secret in its settings" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use_is_named(rivo: Rivo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = rivo("serve", "webhooks", "--port", port, RIVO_WEBHOOK_SECRET="whsec")

    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {port}" in done.stderr
