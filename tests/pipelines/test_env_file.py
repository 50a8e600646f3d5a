"""Variables in `.env` that are no settings of ours, and that libraries look for in the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.env_file import export_variables


def test_variables_of_libraries_are_exported_and_settings_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (
        "DESTINATION__SNOWFLAKE__CREDENTIALS__HOST",
        "PGSSLMODE",
        "motherduck_token",
        "RIVO_API_KEY",
        "EMPTY",
    )
    for name in names:
        # Restores it after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    file = tmp_path / ".env"
    file.write_text(
        "DESTINATION__SNOWFLAKE__CREDENTIALS__HOST=account\nPGSSLMODE=verify-full\nmotherduck_token='a b'\n"
        "RIVO_API_KEY=secret\nEMPTY=\nPGPASSWORD=of-the-file\n"
    )
    export_variables(file)
    assert [os.environ.get(name) for name in names] == ["account", "verify-full", "a b", None, None]
    assert os.environ["PGPASSWORD"] == "of the environment"


@pytest.mark.parametrize("file", [None, "missing"])
def test_missing_file_exports_nothing(tmp_path: Path, file: str | None) -> None:
    before = dict(os.environ)
    export_variables(file and tmp_path / file)
    assert dict(os.environ) == before
