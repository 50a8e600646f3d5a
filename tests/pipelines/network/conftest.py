"""A machine without proxies and without certificates of a company."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.network import CERTIFICATES, VARIABLES, Authority


@pytest.fixture(autouse=True)
def _plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.upper, VARIABLES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
