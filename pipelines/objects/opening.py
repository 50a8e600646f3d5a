"""Opens the objects of a URL or a path."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.errors import SettingsError
from pipelines.objects.store import Objects

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


def open_objects(url: str, setting: str, base: Path) -> Objects:
    """Open the objects under `s3://bucket/prefix`, `file:///folder` or a path; nothing is requested yet.

    Args:
        url: the value of a setting.
        setting: the setting's name, for messages.
        base: the folder at which a relative path starts.

    Raises:
        SettingsError: the value is neither, has a secret in it, or a package is missing.
    """
    if problem := problem_of(url):
        raise SettingsError(f"{setting}: {problem}.")
    if not _has_scheme(url):
        return _folder(url, setting, base)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _folder(unquote(parts.path), setting, base)
    # Imported here: boto3 takes half a second, and is an optional package.
    from pipelines.objects.s3 import open_bucket

    return open_bucket(parts.netloc, unquote(parts.path), setting)


def check_place(url: str) -> str:
    """Return the value of a setting that names a place of objects or is empty, without slashes at its end.

    Raises:
        ValueError: it is another kind of URL, or has a secret in it.
    """
    if problem := problem_of(url):
        raise ValueError(problem)
    return url.rstrip("/")


def problem_of(url: str) -> str:
    """Return why a text is not a place of objects, as the rest of a sentence without the text; empty if it is one."""
    if not _has_scheme(url):
        return ""
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        return (
            "write s3://bucket/prefix without keys or parameters. Keys come from the usual AWS variables "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE) or from the machine's role"
        )
    if parts.scheme == "file" and not parts.netloc:
        return ""
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc):
        return "must be s3://bucket/prefix, file:///folder, or a path"
    return ""


def _has_scheme(url: str) -> bool:
    return "://" in url or url.startswith("file:")


def _folder(text: str, setting: str, base: Path) -> Objects:
    from pipelines.objects.folder import Folder

    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{setting}: there is no user {Path(text).parts[0]}.") from None
    if not path.name:
        raise SettingsError(f"{setting} names no folder.")
    return Folder(base / path)
