"""A running `rivo dev` after syncs of the sandbox store, and a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from pipelines.settings import PROJECT
from sandbox import Program, serve
from tests.harness.dagster import KEY, OPTIONS, synced_folder
from tests.harness.settings import RIVO

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
class DagsterUI:
    """A running UI: its address, the settings file that its runs read, and where pictures of pages go."""

    url: str
    settings: Path
    key: str
    home: Path
    pictures: Path

    def use_key(self, key: str) -> None:
        """Set the key for the runs that begin from now on."""
        self.write_setting("RIVO_API_KEY", key)

    def write_setting(self, name: str, value: str) -> None:
        """Set a setting for the runs that begin from now on."""
        lines = [line for line in self.settings.read_text().splitlines() if not line.startswith(f"{name}=")]
        self.settings.write_text("\n".join([*lines, f"{name}={value}", ""]))

    def ask(self, query: str, **variables: Any) -> Any:
        """Query Dagster's GraphQL API, which the pages themselves use."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, headers={"Content-Type": "application/json"}
        )
        with _open(request) as answer:
            return json.load(answer)["data"]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterUI]:
    """`rivo dev` after two runs, five weeks apart, so that there are moves to draw."""
    home = tmp_path_factory.mktemp("ui") / "home"
    shutil.copytree(synced_folder(tmp_path_factory), home)
    with serve(Program(OPTIONS), key=KEY, rate_limit=0) as server:
        settings = f"RIVO_API_URL={server.url}\nRIVO_RATE_LIMIT=1000\nRIVO_PATIENCE_SECONDS=5\n"
        settings += f"RIVO_OWNERS=team:loyalty\nRIVO_API_KEY={KEY}\n"
        with rivo_dev(home, settings, KEY) as ui:
            yield ui


@contextmanager
def rivo_dev(
    home: Path,
    settings: str,
    key: str = "",
) -> Iterator[DagsterUI]:
    """Run `rivo dev` for the length of a `with` block, with these lines of settings and everything in a folder.

    Args:
        home: the folder, where the warehouse is rivo.duckdb.
        settings: lines of the settings file.
        key: the key in it.
    """
    file = home / "settings"
    file.write_text(f"{settings}RIVO_WAREHOUSE={home}/rivo.duckdb\nDAGSTER_HOME={home}/dagster\n")
    pictures = Path(os.environ.get("UI_PICTURES", home / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    ui = DagsterUI(f"http://127.0.0.1:{_free_port()}", file, key, home, pictures)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RIVO_", "DAGSTER_"))}
    environment = own | {"RIVO_ENV_FILE": str(file), "DO_NOT_TRACK": "1"}
    log = ui.home / "dev.log"
    server = subprocess.Popen(
        [RIVO, "dev", "--port", ui.url.rpartition(":")[2]],
        cwd=PROJECT,
        env=environment,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(ui, server, log)
        yield ui
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window, whose tabs share the UI's scripts instead of loading megabytes each."""
    context = browser.new_context(viewport={"width": 1700, "height": 1050})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A fresh tab, large enough for the whole graph."""
    page = context.new_page()
    page.set_default_timeout(SHOWN_MILLISECONDS)
    yield page
    page.close()


def _open(request: urllib.request.Request) -> Any:
    # A proxy of the machine cannot reach this loopback.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait_for(ui: DagsterUI, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            nodes = ui.ask("{ assetNodes { id } }")
            if nodes and nodes["assetNodes"]:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"The UI did not come up within {START_SECONDS} s: {log.read_text()[-2000:]}")
