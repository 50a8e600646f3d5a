"""Settings for tests, and the environment in which tests start the `rivo` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.rivo import client
from pipelines.settings import Settings
from sandbox import Server

RIVO = str(Path(sys.executable).parent / "rivo")
"""The installed command."""

FAST: dict[str, Any] = {"rate_limit": 10_000, "patience_seconds": 5, "report": False}
"""No test waits for a rate limit, retries end early, and the report page is drawn only where a test reads it."""


def make_settings(server: Server | None = None, **values: Any) -> Settings:
    """Return fast settings, for a server if there is one; `values` override them."""
    given = dict(FAST)
    if server is not None:
        given |= {"api_key": server.key, "api_url": server.url}
    return Settings(**(given | values))


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return a user's environment: nothing of the machine that runs the tests but its PATH."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "RIVO_ENV_FILE": os.devnull,
        "DAGSTER_HOME": str(home / "dagster"),
        **variables,
    }


def shorten_retries(patch: pytest.MonkeyPatch) -> None:
    """Wait a tenth of the time before each retry; what a server asks for by Retry-After stays as it is."""
    wait = client._wait
    patch.setattr(client, "_wait", lambda state: wait(state) / 10)
