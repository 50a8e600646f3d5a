"""The file `.env`: checks it, and reads its variables together with those of the environment."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from pipelines.errors import SettingsError

OF_KUBERNETES = re.compile(r"(?:^|_)(PORT(_\d+_\w+)?|SERVICE_(HOST|PORT)(_\w+)?)$")
"""The end of the variables that Kubernetes sets for a service, such as RIVO_SHOP_PORT for one called rivo-shop."""


def check_env_file(path: Any, known: list[str]) -> None:
    """Reject lines that would otherwise be ignored: with a mistyped RIVO_PII, personal data would be stored.

    Raises:
        SettingsError: the file cannot be read, a line cannot be parsed, or a name looks like a mistyped setting.
    """
    file = Path(path or os.devnull)
    if not file.is_file():
        return
    try:
        with file.open(encoding="utf-8") as text:
            bindings = list(parse_stream(text))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"{file} cannot be read ({reason}). It holds the settings: make it a readable UTF-8 text file."
        ) from None
    for binding in bindings:
        source = binding.original.string
        blank = source[: len(source) - len(source.lstrip())].count("\n")
        line = f"Line {binding.original.line + blank} of {file}"
        name = (binding.key or "").upper()
        if binding.error or (binding.value is None and name in known):
            raise SettingsError(
                f"{line} cannot be parsed. Write NAME=value, with quotes on both sides of the value or on neither."
            )
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if near and name not in known:
            raise SettingsError(f"{line}: there is no setting {name}. Did you mean {near[0]}?")


def variables_of(file: Any) -> dict[str, str]:
    """Return the variables of the file and the environment, without empty ones, with names in upper case."""
    of_file = dotenv_values(file) if file and Path(file).is_file() else {}
    both = [*of_file.items(), *os.environ.items()]
    return {name.upper(): value for name, value in both if value}


def export_variables(file: Any) -> None:
    """Put those variables of the file into the environment that are of other programs and not there yet.

    Libraries read theirs nowhere else: AWS_... of boto3, DESTINATION__... of dlt, PG... of libpq, motherduck_token.
    """
    of_file = dotenv_values(file) if file and Path(file).is_file() else {}
    for name, value in of_file.items():
        if value and not name.upper().startswith("RIVO_"):
            os.environ.setdefault(name, value)
