"""Errors whose messages say what happened, where, and what to do next."""

import shutil


def command() -> str:
    """Return the command that runs `rivo` on this machine, for messages that say what to run."""
    return "uv run rivo" if shutil.which("uv") else ".venv/bin/rivo"


class RivoError(Exception):
    """An error whose message is written for the user and shown without a traceback."""


class SettingsError(RivoError):
    """A setting is missing or invalid."""


class WarehouseError(RivoError):
    """The warehouse file cannot be read, written or locked."""


class NoWarehouse(WarehouseError):
    """There is no warehouse file, because nothing has been synced yet."""


class ApiError(RivoError):
    """The API is unusable for every list, for example because the key is wrong or no server answers."""


class ListError(RivoError):
    """One list could not be read completely or must not be loaded; the other lists are unaffected."""
