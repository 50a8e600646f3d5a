"""A running `rivo dev` after syncs of the sandbox store, and a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.settings import PROJECT

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 300
SHOWN_MILLISECONDS = 60_000
expect.set_options(timeout=SHOWN_MILLISECONDS)


@dataclass(frozen=True)
class Cockpit:
    """A running UI: its address, the settings file that its runs read, and where pictures of pages go."""

    url: str
    settings: Path
    key: str
    home: Path
    pictures: Path

    def use_key(self, key: str) -> None:
        """Set the key for the runs that begin from now on."""
        lines = [
            line for line in self.settings.read_text().splitlines() if not line.startswith("RIVO_API_KEY")
        ]
        self.settings.write_text("\n".join([*lines, f"RIVO_API_KEY={key}", ""]))

    def ask(self, query: str, **variables: Any) -> Any:
        """Query Dagster's GraphQL API, which the pages themselves use."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, headers={"Content-Type": "application/json"}
        )
        with _open(request) as answer:
            return json.load(answer)["data"]


@pytest.fixture(scope="module")
def cockpit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cockpit]:
    """`rivo sync`, then `rivo dev`, both with a sandbox store of their own."""
    home = tmp_path_factory.mktemp("cockpit")
    settings = home / "settings"
    pictures = Path(os.environ.get("UI_PICTURES", home / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("RIVO_", "DAGSTER_"))
    }
    store = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sandbox",
            "--port",
            "0",
            "--rate-limit",
            "0",
            "--exit-with-parent",
            "--customers",
            "300",
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    assert store.stdout
    said = dict(store.stdout.readline().strip().partition("=")[::2] for _ in range(2))
    settings.write_text(
        f"RIVO_API_URL={said['RIVO_API_URL']}\nRIVO_WAREHOUSE={home}/rivo.duckdb\nRIVO_RATE_LIMIT=1000\n"
        f"RIVO_PATIENCE_SECONDS=5\nRIVO_OWNERS=team:loyalty\nDAGSTER_HOME={home}/dagster\n"
    )
    port = _free_port()
    found = Cockpit(f"http://127.0.0.1:{port}", settings, said["RIVO_API_KEY"], home, pictures)
    found.use_key(found.key)
    environment |= {"RIVO_ENV_FILE": str(settings), "DO_NOT_TRACK": "1"}
    rivo = [str(Path(sys.executable).parent / "rivo")]
    # Five weeks between two syncs, so that there are moves to draw.
    clock = said["RIVO_API_URL"].removesuffix("/merchant_api/v1") + "/_sandbox/clock"
    for now in ("2026-08-31T06:00:00+00:00", "2026-10-05T06:00:00+00:00"):
        _open(urllib.request.Request(clock, json.dumps({"now": now}).encode())).close()
        subprocess.run([*rivo, "sync"], cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen(
        [*rivo, "dev", "--port", str(port)],
        cwd=PROJECT,
        env=environment,
        stdout=(home / "dev.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(found, server, home / "dev.log")
        yield found
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
        store.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab, large enough for the whole graph."""
    context = browser.new_context(viewport={"width": 1700, "height": 1050})
    page = context.new_page()
    page.set_default_timeout(SHOWN_MILLISECONDS)
    yield page
    context.close()


def _open(request: urllib.request.Request) -> Any:
    # A proxy of the machine cannot reach this loopback.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait_for(cockpit: Cockpit, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            nodes = cockpit.ask("{ assetNodes { id } }")
            if nodes and nodes["assetNodes"]:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"The UI did not come up within {START_SECONDS} s: {log.read_text()[-2000:]}")
