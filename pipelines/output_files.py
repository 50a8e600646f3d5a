"""Files for people that appear only once they are complete."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import RivoError


def write_whole(path: Path, content: bytes, *, permissions_of: Path | None = None) -> None:
    """Write a file, or replace it, in one step; folders that do not exist are created.

    Several writers may write it at the same time: each waits for the one before. A writer that is killed leaves a
    hidden file beside it, which the next one overwrites.

    Args:
        path: the file.
        content: its bytes.
        permissions_of: a file whose permissions it gets.

    Raises:
        RivoError: the file cannot be written.
    """
    # A device or named pipe is written directly: renaming a file onto it would replace it.
    part = path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.part")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        if part == path:
            path.write_bytes(content)
            return
        with _owned(part) as file:
            file.truncate(0)
            file.write(content)
            file.flush()
            if permissions_of:
                shutil.copymode(permissions_of, part)
            part.replace(path)
    except OSError as error:
        if part != path:
            with suppress(OSError):
                part.unlink()
        raise RivoError(
            f"{path} cannot be written ({error.strerror}). Choose another file with --output."
        ) from None


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
