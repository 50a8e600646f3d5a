"""Prepares DAGSTER_HOME, the folder where Dagster keeps runs and events, and opens the Dagster instance in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
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
"""SHA-256 of each dagster.yaml that was shipped before `dagster.yaml.shipped` existed."""
_OLD_MODULE = "assets.instance_storage"
"""Where the storage class was in release 0.1.0."""
_MODULE = "assets.instance.storage"
_BATCH_SIZE = 1_000
"""Number of events that Dagster stores at once; more than there are tables and checks."""
_SPECIAL = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""What is read as something else in a path that is part of a database address."""


def prepare_dagster_home() -> None:
    """Create DAGSTER_HOME (default: `.dagster` in the project) and bring its dagster.yaml up to date.

    A file that is identical to one that an earlier release shipped is replaced. A file that the user changed is
    kept: only the storage module's former name in it is replaced, and a note is printed once a release that the
    shipped file is newer.

    Raises:
        SettingsError: the folder cannot be written or has a name that Dagster cannot use, or DAGSTER_POSTGRES_URL is
            set without the `postgres` extra.
    """
    settings = Settings.load()
    home = settings.dagster_home
    # Before each run Dagster stores an event for each table and check. It stores them all at once only if asked.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_BATCH_SIZE))
    _refuse_special_names(settings)
    shipped = _dagster_yaml(settings)
    try:
        home.mkdir(parents=True, exist_ok=True)
        _rename_storage_module(home / "dagster.yaml")
        _update(home / "dagster.yaml", shipped)
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME: the folder {home} cannot be written ({error.strerror}). Dagster keeps its runs there; "
            "set DAGSTER_HOME to a folder that you may write to."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)


def open_instance() -> DagsterInstance:
    """Prepare DAGSTER_HOME and open the Dagster instance in it.

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
    """Explain why Dagster's storage cannot be used, and what to check."""
    reason = str(getattr(error, "orig", None) or error.__cause__ or error).strip().splitlines()[0]
    home = os.environ["DAGSTER_HOME"]
    if "DAGSTER_STORAGE_URL" in os.environ:
        advice = f"Check that the database of DAGSTER_POSTGRES_URL is running and that {home}/dagster.yaml is correct."
    else:
        advice = (
            f"Check who may write to DAGSTER_HOME, {home}, the free space on its disk, and dagster.yaml in it. If "
            "a file there is damaged, move the folder away: the run history starts again, and the warehouse is not "
            "affected."
        )
    return f"Dagster's storage cannot be used ({reason}). {advice}"


def postgres_url(settings: Settings) -> str | None:
    """Return DAGSTER_POSTGRES_URL with the driver that dagster-postgres installs, or None if it is not set.

    Raises:
        SettingsError: the `postgres` extra is not installed.
    """
    if settings.dagster_postgres_url is None:
        return None
    if find_spec("dagster_postgres") is None:
        raise SettingsError(
            "DAGSTER_POSTGRES_URL is set, but dagster-postgres is not installed: run `make install EXTRAS=postgres`, "
            "or unset it to keep runs and events in DAGSTER_HOME."
        )
    # SQLAlchemy 2.1 chooses another driver for a plain postgresql:// URL.
    address = settings.dagster_postgres_url.get_secret_value().partition("://")[2]
    return f"postgresql+psycopg2://{address}"


def _refuse_special_names(settings: Settings) -> None:
    home = settings.dagster_home
    if settings.dagster_postgres_url is None and (found := _SPECIAL.search(str(home))):
        raise SettingsError(
            f"DAGSTER_HOME: Dagster cannot keep its databases in {home}, since {found[0]} has another meaning in the "
            "address of a database. Set DAGSTER_HOME to a folder without ? and % in its name. Nothing was changed."
        )
    # Dagster reads the scripts that create its tables from its own folder, and takes % there for a placeholder.
    spec = find_spec("dagster")
    installed = str(Path(spec.origin).parent) if spec and spec.origin else ""
    if "%" in installed:
        raise SettingsError(
            f"Dagster is installed in {installed}, and cannot create its tables from a folder with % in its name. Move "
            "the project to a folder without one. Nothing was changed."
        )


def _dagster_yaml(settings: Settings) -> str:
    text = (PROJECT / "dagster.yaml").read_text()
    url = postgres_url(settings)
    if url is None:
        return text
    # dagster.yaml names this variable, so that no file contains the password.
    os.environ["DAGSTER_STORAGE_URL"] = url
    without_storage = re.sub(r"(?m)^storage:\n(?:[ ].*\n)+", "", text)
    return without_storage + (PROJECT / "deploy" / "dagster-postgres.yaml").read_text()


def _rename_storage_module(path: Path) -> None:
    """Replace the storage module's former name in a dagster.yaml that the user changed; Dagster cannot load it."""
    if not path.exists() or _is_shipped(path):
        return
    # Bytes, so that line ends and encoding stay as they are.
    old = rf"(?m)^([^#\n]*\bmodule:[ \t]*['\"]?){re.escape(_OLD_MODULE)}(?![\w.])".encode()
    text, count = re.subn(old, rf"\g<1>{_MODULE}".encode(), path.read_bytes())
    if count:
        _write(path, text)
        print(
            f"Note: in {path}, the module {_OLD_MODULE} was replaced by its new name, {_MODULE}.",
            file=sys.stderr,
        )


def _update(path: Path, shipped: str) -> None:
    note = _note(path)
    present = path.read_text() if path.exists() else None
    last = note.read_text() if note.exists() else None
    is_untouched = present is None or _is_shipped(path)
    if is_untouched and present != shipped:
        _write(path, shipped.encode())
    elif present != shipped and last != shipped:
        print(
            f"Note: {path} was changed by hand, so this release's version does not replace it. Compare it with "
            f"{note}, or delete {path.name} to get the new version.",
            file=sys.stderr,
        )
    if last != shipped:
        _write(note, shipped.encode())


def _is_shipped(path: Path) -> bool:
    """Whether a dagster.yaml is exactly as a release shipped it."""
    note = _note(path)
    text = path.read_text()
    return (note.exists() and text == note.read_text()) or _digest(text) in _SHIPPED_BEFORE


def _note(path: Path) -> Path:
    """Return the file that holds the dagster.yaml that was shipped last."""
    return path.with_name("dagster.yaml.shipped")


def _write(path: Path, content: bytes) -> None:
    # In one step: another Dagster process may be reading the file. A link stays a link.
    path = path.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    if path.exists():
        shutil.copymode(path, part)
    part.replace(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
