"""The operations on objects under a prefix, wherever they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pipelines.errors import RivoError


class ObjectsError(RivoError):
    """The objects cannot be read or written: no such bucket, no permission, no connection."""


class NoObject(ObjectsError):
    """There is no object of this key."""


class PointerMoved(ObjectsError):
    """Another process has written the pointer since it was read."""


@dataclass(frozen=True)
class Stored:
    """An object: its key after the prefix, its size, and its age by the clock of the storage."""

    key: str
    size_bytes: int
    age: timedelta


class Objects(Protocol):
    """The objects under a prefix. Keys are relative to it, such as `publications/x/marts/dim_member/1.parquet`."""

    @property
    def url(self) -> str:
        """The prefix as a URL or a path, without a slash at its end and without secrets."""

    def under(self, name: str) -> Objects:
        """Return the objects whose keys begin with `name/`."""

    def put(self, file: Path, key: str) -> None:
        """Store a file under a new key; it is there whole or not at all.

        Raises:
            ObjectsError: there is an object of this key, or it cannot be written.
        """

    def get(self, key: str, file: Path) -> None:
        """Write an object into a local file, which is incomplete if that fails.

        Raises:
            NoObject: there is none.
            ObjectsError: it cannot be read.
        """

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small object and its version; None if there is none.

        Raises:
            ObjectsError: it cannot be read.
        """

    def write(self, key: str, content: bytes, version: str | None) -> str:
        """Replace a pointer that still has the version that `read` returned; None for one that must be new.

        The content must differ from that of every other write, for example by a random id in it: that is how a
        request that was repeated after a lost answer is recognised.

        Returns:
            its new version.

        Raises:
            PointerMoved: another process has written it.
            ObjectsError: it cannot be written.
        """

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Return the objects whose keys begin with `prefix`, in no particular order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; keys that do not exist are no error."""

    def discard_unfinished(self, older_than: timedelta) -> None:
        """Delete what killed processes left of files that they were putting, if it is older than that."""


def joined(*names: str) -> str:
    """Join names with slashes, without those that are empty."""
    return "/".join(filter(None, (name.strip("/") for name in names)))
