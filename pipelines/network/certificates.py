"""Trusted certificates: those of the machine, or those that the environment names."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from urllib3.util.ssl_ import create_urllib3_context

from pipelines.errors import SettingsError
from pipelines.network.variables import variable

_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_FOLDERS = "SSL_CERT_DIR"
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""Name of a certificate in a folder that `openssl rehash` prepared: OpenSSL finds no others."""


@dataclass(frozen=True)
class Certificates:
    """The certificates that are trusted: those of the machine, or of the files and folders that variables name."""

    places: tuple[tuple[str, Path], ...] = ()
    """Variables and paths."""

    def __str__(self) -> str:
        """Return where they come from."""
        named = ", ".join(f"{path} ({name})" for name, path in self.places)
        return named or "those of this machine"

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts them.

        Raises:
            SettingsError: a file or folder is missing, cannot be read, or has no certificates.
        """
        context = create_urllib3_context()
        if not self.places:
            context.load_default_certs()
        for name, path in self.places:
            if path.is_dir():
                _trust_folder(context, name, path)
            else:
                _trust_file(context, name, path)
        return context


def trusted_certificates() -> Certificates:
    """Return the certificates to trust: those of all variables that are set, else those of the machine."""
    places: list[tuple[str, Path]] = []
    for name in (*_FILES, _FOLDERS):
        found = variable(name)
        if found is None:
            continue
        # OpenSSL accepts several folders.
        values = found[1].split(os.pathsep) if name == _FOLDERS else [found[1]]
        places += [(name, Path(value).expanduser().absolute()) for value in values if value]
    distinct = {path: (name, path) for name, path in reversed(places)}
    return Certificates(tuple(reversed(distinct.values())))


def _trust_file(context: ssl.SSLContext, name: str, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise SettingsError(
            f"{name} names {path}, which has no certificates in PEM format (-----BEGIN CERTIFICATE-----). "
            f"Correct {name}, or unset it."
        ) from None
    except OSError as error:
        problem = (
            "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        )
        raise SettingsError(
            f"{name} names the certificate file {path}, which {problem}. Correct {name}, or unset it to trust "
            "the certificates of this machine."
        ) from None


def _trust_folder(context: ssl.SSLContext, name: str, folder: Path) -> None:
    """Trust the certificates of a folder, whether `openssl rehash` has prepared it or not."""
    try:
        files = [each for each in folder.iterdir() if each.is_file()]
    except OSError as error:
        raise SettingsError(
            f"{name} names the folder {folder}, which cannot be read ({error.strerror}). Correct {name}, or unset it."
        ) from None
    if any(_HASHED.fullmatch(each.name) for each in files):
        context.load_verify_locations(capath=folder)
        return
    trusted = 0
    for each in files:
        if each.suffix in (".pem", ".crt", ".cer"):
            try:
                _trust_file(context, name, each)
                trusted += 1
            except SettingsError:
                continue
    if not trusted:
        raise SettingsError(
            f"{name} names the folder {folder}, which has no certificates in PEM format. Correct {name}, or unset it."
        )
