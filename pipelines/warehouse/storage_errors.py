"""Error messages for problems with a warehouse file: what happened to which file, and what to do next."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import duckdb

from pipelines.errors import WarehouseError

_STORAGE_ERRORS = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
        *(
            errno.ENOENT,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.EEXIST,
            errno.EMFILE,
            errno.ENAMETOOLONG,
            errno.EBUSY,
            errno.EXDEV,
        ),
    }
)
"""Error numbers of an OSError about files; a build can also fail with those of network errors."""
_DAMAGE = ("Corrupt database file", "Could not read enough bytes", "computed checksum", "Serialization Error")
"""Parts of DuckDB's messages about a damaged file."""
_NO_ROOM = ("No space left", "Could not write", "max_temp_directory_size", "Disk quota", "File too large")
"""Parts of DuckDB's messages, in errors of several kinds, when it could not write or spill."""
_MAGIC = slice(8, 12)


def refuse_foreign(path: Path) -> None:
    """Check that the first bytes are those of a DuckDB database, before DuckDB opens the file.

    DuckDB would download an extension to open a SQLite file.

    Raises:
        WarehouseError: the file cannot be read, or is not a DuckDB database.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC.stop)
    except OSError as error:
        raise WarehouseError(
            f"{path} cannot be read ({error.strerror}). Nothing was changed. Check RIVO_WAREHOUSE and the file's "
            "permissions."
        ) from None
    if head[_MAGIC] != b"DUCK":
        raise WarehouseError(
            f"{path} is not a DuckDB database. Nothing was changed. Check RIVO_WAREHOUSE, or move the file away and "
            "run the sync again."
        )


def unwritable(published: Path, reason: str) -> WarehouseError:
    """Return the error for a warehouse that cannot be written."""
    return WarehouseError(
        f"The warehouse {published} cannot be written ({reason}). "
        "Check RIVO_WAREHOUSE, the folder's permissions and the space on its disk. Nothing was published."
    )


def unreadable(path: Path, error: duckdb.Error, build_path: Path | None = None) -> WarehouseError:
    """Return the error for a file that DuckDB cannot open; `build_path` is its copy, if DuckDB's message names that."""
    said = first_line(str(error)).replace(str(build_path or path), str(path))
    if "could not set lock" in said.lower():
        return WarehouseError(
            f"{path} is opened for writing by another program. Close it in that program, or open it read-only there. "
            "Syncs do not need it closed: they replace the file."
        )
    if "version number" in said:
        return WarehouseError(
            f"{path} was written by a newer DuckDB than {duckdb.__version__}, the version of this release, or by a "
            "very old one. Nothing was changed. Use the release of rivo-warehouse that wrote it, or a newer one."
        )
    return damaged(path, str(error), build_path) or WarehouseError(
        f"{path} cannot be opened ({said}). Nothing was changed. Check RIVO_WAREHOUSE, and which programs use the file."
    )


def damaged(path: Path, text: str, build_path: Path | None = None) -> WarehouseError | None:
    """Return the error for a damaged file; None if DuckDB's message is about something else."""
    if not any(sign in text for sign in _DAMAGE):
        return None
    said = first_line(text).replace(str(build_path or path), str(path))
    kind = next((kind for kind in _INSTEAD if path.stem.endswith(f".{kind}")), "")
    return WarehouseError(
        f"{path} is damaged: DuckDB {duckdb.__version__} cannot read it ({said}). Nothing was changed. "
        + _INSTEAD[kind]
    )


_INSTEAD = {
    "pending": "It holds the result of a sync that was not published. Move it away: the next sync starts from the "
    "published file, and the histories lose that one observation.",
    "news": "It only holds events since the last sync, which the next sync reads again. Delete it.",
    "": "Replace it with an earlier copy, or restore a backup (`rivo restore --replace FOLDER`), and run the sync "
    "again. Without either, move it away: the next sync reads all lists again, but histories start again with that "
    "sync.",
}


def storage_failure(published: Path, base: Path, build_path: Path, error: Exception) -> WarehouseError | None:
    """Return the error for a build that failed for lack of disk or memory; None for any other cause."""
    if isinstance(error, OSError):
        is_storage = error.errno in _STORAGE_ERRORS
        return unwritable(published, error.strerror or str(error)) if is_storage else None
    if not isinstance(error, duckdb.Error):
        return None
    text = str(error)
    if found := failure_in_text(published, base, build_path, text):
        return found
    if isinstance(error, duckdb.IOException):
        return unwritable(published, first_line(text))
    if isinstance(error, duckdb.OutOfMemoryException):
        return WarehouseError(
            f"DuckDB ran out of memory while building {published} ({first_line(text)}). Nothing was published. Close "
            "other programs, or run the sync on a machine with more memory."
        )
    return None


def failure_in_text(published: Path, base: Path, build_path: Path, text: str) -> WarehouseError | None:
    """Return the same error as `storage_failure`, given only the text of a DuckDB error."""
    if any(sign in text for sign in _NO_ROOM):
        return unwritable(published, first_line(text))
    return damaged(base, text, build_path)


def first_line(text: str) -> str:
    """Return the first line of a DuckDB message, without the kind of the error."""
    return re.sub(r"^[\w ]+ Error: ", "", text.splitlines()[0])
