"""Errors that are sentences: what happened, where, what it means, what to do next."""

import shutil


def command() -> str:
    """How `rivo` is called on this machine, for sentences that say what to run."""
    return "uv run rivo" if shutil.which("uv") else ".venv/bin/rivo"


class RivoError(Exception):
    """An error whose text is meant for the person running a sync; shown without a traceback."""


class SettingsError(RivoError):
    """A setting is missing or cannot be understood."""


class WarehouseError(RivoError):
    """The warehouse file cannot be read, written or locked."""


class NoWarehouse(WarehouseError):
    """Nothing has been synced yet."""


class ApiError(RivoError):
    """The API cannot be used at all: no list can be expected to do better (wrong key, no server)."""


class ListError(RivoError):
    """One list could not be read whole or must not be loaded; the other lists are not concerned."""
