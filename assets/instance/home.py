"""Dagster's storage, ready to use: DAGSTER_HOME exists and holds a dagster.yaml that fits this release."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import SettingsError
from pipelines.settings import PROJECT, Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

_SHIPPED_BEFORE = frozenset(
    {
        "86fca8735c0e7db273ea239a562b2ede90aafb1eef66bf3a7c41341b77cdede1",
        "6c6d556c9c946a33919e1ed267e5f5061dc04f2685d33f2a2f78531416a0f89b",
    }
)
"""SHA-256 of the files that were copied before it was noted what had been shipped."""


def prepare_dagster_home() -> None:
    """Create DAGSTER_HOME (default: `.dagster` in the project) and keep its dagster.yaml that of this release.

    A file that is still as some release shipped it is renewed. One that somebody changed is left, and once a
    release it is said that there is a newer one.

    Raises:
        SettingsError: the folder cannot be written, or Postgres is asked for and its extra is not installed.
    """
    settings = Settings.load()
    home = settings.dagster_home
    shipped = _dagster_yaml(settings)
    try:
        home.mkdir(parents=True, exist_ok=True)
        _renew(home / "dagster.yaml", shipped)
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME: the folder {home} cannot be written ({error.strerror}). Dagster keeps its runs there; "
            "set DAGSTER_HOME to a folder of yours."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)


def open_instance() -> DagsterInstance:
    """Dagster's storage of runs and events, prepared.

    Raises:
        SettingsError: it cannot be opened.
    """
    import dagster as dg

    prepare_dagster_home()
    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        raise SettingsError(f"{storage_trouble(error)} Nothing was changed.") from None


def storage_trouble(error: Exception) -> str:
    """Why Dagster's storage cannot be used, and what to look at."""
    said = str(getattr(error, "orig", None) or error.__cause__ or error).strip().splitlines()[0]
    home = os.environ["DAGSTER_HOME"]
    if "DAGSTER_STORAGE_URL" in os.environ:
        advice = (
            f"Does the database of DAGSTER_POSTGRES_URL answer, and is {home}/dagster.yaml as it should be?"
        )
    else:
        advice = (
            f"Check who may write to DAGSTER_HOME, {home}, the space on its disk, and dagster.yaml in it. If a file "
            "there is damaged, move the folder away: the list of runs begins again, the warehouse does not mind."
        )
    return f"Dagster's storage cannot be used ({said}). {advice}"


def postgres_url(settings: Settings) -> str | None:
    """DAGSTER_POSTGRES_URL with the driver that dagster-postgres brings; None where it is not set.

    Raises:
        SettingsError: the extra is not installed.
    """
    if settings.dagster_postgres_url is None:
        return None
    if find_spec("dagster_postgres") is None:
        raise SettingsError(
            "DAGSTER_POSTGRES_URL is set, but what talks to Postgres is not installed: "
            "run `make install EXTRAS=postgres`, or unset it to keep runs and events in DAGSTER_HOME."
        )
    # SQLAlchemy 2.1 takes a plain postgresql:// for another driver.
    address = settings.dagster_postgres_url.get_secret_value().partition("://")[2]
    return f"postgresql+psycopg2://{address}"


def _dagster_yaml(settings: Settings) -> str:
    text = (PROJECT / "dagster.yaml").read_text()
    url = postgres_url(settings)
    if url is None:
        return text
    # dagster.yaml names this variable, so that the password is written nowhere.
    os.environ["DAGSTER_STORAGE_URL"] = url
    without_storage = re.sub(r"(?m)^storage:\n(?:[ ].*\n)+", "", text)
    return without_storage + (PROJECT / "deploy" / "dagster-postgres.yaml").read_text()


def _renew(path: Path, shipped: str) -> None:
    note = path.with_name("dagster.yaml.shipped")
    present = path.read_text() if path.exists() else None
    last = note.read_text() if note.exists() else None
    is_untouched = present is None or present == last or _digest(present) in _SHIPPED_BEFORE
    if is_untouched and present != shipped:
        _write(path, shipped)
    elif not is_untouched and present != shipped and last != shipped:
        print(
            f"Note: {path} was changed by hand and is left as it is. This release ships another one: compare it with "
            f"{note}, or delete {path.name} to get the new one.",
            file=sys.stderr,
        )
    if last != shipped:
        _write(note, shipped)


def _write(path: Path, text: str) -> None:
    """In one step: another Dagster process may read it right now."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
