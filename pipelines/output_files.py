"""Files for people that appear only once they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipelines.errors import RivoError


@contextmanager
def replacing(path: Path, advice: str) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends well; an error leaves what was there.

    Folders that do not exist are created.

    Raises:
        RivoError: the file cannot be written. The message ends with `advice`.
    """
    # A device or named pipe is written directly: renaming a file onto it would replace it.
    part = (
        path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.{os.getpid()}.part")
    )
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        with part.open("wb") as sink:
            yield sink
        if part != path:
            part.replace(path)
    except OSError as error:
        raise RivoError(f"{path} cannot be written ({error.strerror}). {advice}") from None
    finally:
        if part != path:
            with suppress(OSError):
                part.unlink()
