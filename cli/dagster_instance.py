"""Dagster's storage, ready to use: DAGSTER_HOME exists and holds a dagster.yaml."""

from __future__ import annotations

import os
import shutil

from pipelines.errors import SettingsError
from pipelines.settings import PROJECT, Settings


def prepare_dagster_home() -> None:
    """Create DAGSTER_HOME (default: `.dagster` in the project) and give it the project's settings.

    Raises:
        SettingsError: the folder cannot be written.
    """
    home = Settings.load().dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME: the folder {home} cannot be written ({error.strerror}). Dagster keeps its runs there; "
            "set DAGSTER_HOME to a folder of yours."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
