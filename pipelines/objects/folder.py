"""Objects in a folder of this machine or of a network drive. Writers hold a lock; files appear by a rename."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pipelines.objects.store import NoObject, ObjectsError, PointerMoved, Stored, joined

_LOCK = ".lock"
_UNFINISHED = ".unfinished-"
"""How the name of a file begins that is being written, and that a killed process leaves."""


@dataclass(frozen=True)
class Folder:
    """The objects in a folder; see `Objects`."""

    path: Path

    @property
    def url(self) -> str:
        """The path of the folder."""
        return str(self.path)

    def under(self, name: str) -> Folder:
        """Return the objects in a folder of this folder."""
        return Folder(self.path / joined(name)) if joined(name) else self

    def put(self, file: Path, key: str) -> None:
        """Store a file under a new key."""
        with self._errors("written"):
            target = self._target(key)
            with self._unfinished(target) as part:
                shutil.copyfile(file, part)
                _flush(part)
                with self._locked():
                    if target.exists():
                        raise ObjectsError(f"{target} exists already, and is never replaced.")
                    part.rename(target)
            _flush(target.parent)

    def get(self, key: str, file: Path) -> None:
        """Write an object into a local file."""
        with self._errors("read"):
            try:
                shutil.copyfile(self.path / key, file)
            except FileNotFoundError:
                raise NoObject(f"{self.path / key} does not exist.") from None

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small object and its version, which is a hash of its content."""
        with self._errors("read"):
            try:
                content = (self.path / key).read_bytes()
            except FileNotFoundError:
                return None
            return content, _version(content)

    def write(self, key: str, content: bytes, version: str | None) -> str:
        """Replace a pointer that still has a version."""
        with self._errors("written"):
            target = self._target(key)
            with self._unfinished(target) as part, self._locked():
                part.write_bytes(content)
                _flush(part)
                found = self.read(key)
                if (found and found[1]) != version:
                    raise PointerMoved(f"{target} was written by another process in the meantime.")
                part.rename(target)
            _flush(target.parent)
        return _version(content)

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Return the files whose names after the folder's begin with `prefix`."""
        for found in self._walk(prefix):
            name = found.key.rpartition("/")[2]
            if name != _LOCK and not name.startswith(_UNFINISHED):
                yield found

    def discard_unfinished(self, older_than: timedelta) -> None:
        """Delete what killed processes left of files that they were putting."""
        self.delete(
            found.key
            for found in self._walk("")
            if found.key.rpartition("/")[2].startswith(_UNFINISHED) and found.age >= older_than
        )

    def _walk(self, prefix: str) -> Iterator[Stored]:
        # Only the folders that can have such files are read.
        top = self.path / prefix.rpartition("/")[0]
        now = time.time()
        with self._errors("read"):
            for folder, _, names in os.walk(top, onerror=_raise_unless_missing):
                for name in names:
                    file = Path(folder, name)
                    key = file.relative_to(self.path).as_posix()
                    if not key.startswith(prefix):
                        continue
                    with suppress(FileNotFoundError):
                        found = file.stat()
                        age = timedelta(seconds=max(0.0, now - found.st_mtime))
                        yield Stored(key, found.st_size, age)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the folders that are empty then."""
        with self._errors("deleted from"):
            for key in keys:
                file = self.path / key
                file.unlink(missing_ok=True)
                for folder in file.parents:
                    if folder == self.path or not folder.is_relative_to(self.path):
                        break
                    try:
                        folder.rmdir()
                    except OSError:
                        break

    def _target(self, key: str) -> Path:
        target = self.path / key
        # Another process may delete the last file of a folder, and so the folder, at this moment.
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @contextmanager
    def _unfinished(self, target: Path) -> Iterator[Path]:
        part = target.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ObjectsError(
                f"The folder {self.path} cannot be {done} ({error.strerror}). Check its permissions and the space on "
                "its disk."
            ) from None


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
