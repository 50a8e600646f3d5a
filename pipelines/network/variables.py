"""Variables of the network: from the environment, else from `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values


def variable(name: str) -> tuple[str, str] | None:
    """Return the name and value of a variable: lower case first, then upper case, then `.env`.

    A variable in lower case that is empty disables the one in upper case, as for curl.
    """
    for each in dict.fromkeys((name.lower(), name.upper()) if name.islower() else (name,)):
        if each in os.environ:
            value = os.environ[each].strip()
            return (each, value) if value else None
    file = Path(os.environ.get("RIVO_ENV_FILE", Path(__file__).resolve().parents[2] / ".env"))
    if not file.is_file():
        return None
    for each, text in dotenv_values(file, interpolate=False).items():
        if each in (name, name.upper()) and text and text.strip():
            return each, text.strip()
    return None
