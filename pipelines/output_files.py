"""Files for people that appear only once they are complete."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from pipelines.errors import RivoError

_ADVICE = "Choose another file with --output."


def write_whole(
    path: Path, content: bytes, *, permissions_of: Path | None = None, advice: str = _ADVICE
) -> None:
    """Write a file, or replace it, in one step; folders that do not exist are created.

    Args:
        path: the file.
        content: its bytes.
        permissions_of: a file whose permissions it gets.
        advice: a sentence that ends the error.

    Raises:
        RivoError: the file cannot be written.
    """
    with replacing(path, permissions_of=permissions_of, advice=advice, makes_folders=True) as file:
        file.write(content)


@contextmanager
def replacing(
    path: Path, *, permissions_of: Path | None = None, advice: str = _ADVICE, makes_folders: bool = False
) -> Iterator[IO[bytes]]:
    """Open a file that appears, or replaces the one at `path`, when the block ends well.

    Several writers may write it at the same time: each waits for the one before. A writer that is killed leaves a
    hidden file beside it, which the next one overwrites.

    Raises:
        RivoError: the file cannot be written.
    """
    if path.is_symlink() and not _is_stream(path):
        # The link stays.
        path = Path(os.path.realpath(path))
    part = path if _is_stream(path) else path.with_name(f".{path.name}.part")
    try:
        if makes_folders and not path.parent.exists():
            path.parent.mkdir(parents=True)
        if part == path:
            with path.open("wb") as stream:
                yield stream
            return
        with _owned(part) as file, _unlinked_on_error(part):
            file.truncate(0)
            yield file
            file.flush()
            if permissions_of:
                shutil.copymode(permissions_of, part)
            part.replace(path)
    except OSError as error:
        raise RivoError(f"{path} cannot be written ({error.strerror}). {advice}") from None


@contextmanager
def _unlinked_on_error(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _is_stream(path: Path) -> bool:
    """Return whether a path is a device, a pipe or a link to one, such as /dev/stdout.

    It is written directly: renaming a file onto it would replace it.
    """
    is_link = path.is_symlink() and path.absolute().parts[1:2] in (("dev",), ("proc",))
    return is_link or (path.exists() and not path.is_file())


def _owned(part: Path) -> BinaryIO:
    """Open the hidden file once no other writer has it open."""
    while True:
        file = part.open("ab")
        # Some network file systems have no locks.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        # The writer before has renamed the file.
        file.close()
