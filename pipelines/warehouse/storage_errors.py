"""What the system and DuckDB say of a file, as sentences: what happened to which file, and what to do next."""

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
"""What an OSError must be to mean that the warehouse cannot be written; a network has such errors too."""
_DAMAGE = ("Corrupt database file", "Could not read enough bytes", "computed checksum", "Serialization Error")
"""What DuckDB says of a file in which something else stands than it wrote."""
_NO_ROOM = ("No space left", "Could not write", "max_temp_directory_size", "Disk quota", "File too large")
"""What DuckDB says, in errors of several kinds, where it could not write or spill."""
_MAGIC = slice(8, 12)


def refuse_foreign(path: Path) -> None:
    """Look at the first bytes, before DuckDB does: of a SQLite file it would fetch an extension from its maker.

    Raises:
        WarehouseError: the file cannot be read, or is no DuckDB database.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC.stop)
    except OSError as error:
        raise WarehouseError(
            f"{path} cannot be read ({error.strerror}). Nothing was changed. Check RIVO_WAREHOUSE, and who may read "
            "the file."
        ) from None
    if head[_MAGIC] != b"DUCK":
        raise WarehouseError(
            f"{path} is no DuckDB database. Nothing was changed. Check RIVO_WAREHOUSE, or move that file away, "
            "then run the sync again."
        )


def unwritable(published: Path, reason: str) -> WarehouseError:
    """The warehouse cannot be written."""
    return WarehouseError(
        f"The warehouse {published} cannot be written ({reason}). "
        "Check RIVO_WAREHOUSE, the folder's permissions and the space on its disk. Nothing was published."
    )


def unreadable(path: Path, error: duckdb.Error, build_path: Path | None = None) -> WarehouseError:
    """What is wrong with the file at `path`, of which `build_path` is the copy that DuckDB speaks of."""
    said = first_line(str(error)).replace(str(build_path or path), str(path))
    if "could not set lock" in said.lower():
        return WarehouseError(
            f"{path} is opened for writing by another program. Close it there, or open it read-only; "
            "syncs replace the file, they need no lock on it."
        )
    if "version number" in said:
        return WarehouseError(
            f"{path} was written by a newer DuckDB than the {duckdb.__version__} of this release, or by a very old "
            "one. Nothing was changed. Use the release of rivo-warehouse that wrote it, or a newer one."
        )
    return damaged(path, str(error), build_path) or WarehouseError(
        f"{path} cannot be opened ({said}). Nothing was changed. Check RIVO_WAREHOUSE and what else uses the file."
    )


def damaged(path: Path, text: str, build_path: Path | None = None) -> WarehouseError | None:
    """What to do about a damaged file; None where what DuckDB says is of another kind."""
    if not any(sign in text for sign in _DAMAGE):
        return None
    said = first_line(text).replace(str(build_path or path), str(path))
    kind = next((kind for kind in _INSTEAD if path.stem.endswith(f".{kind}")), "")
    return WarehouseError(
        f"{path} is damaged: DuckDB {duckdb.__version__} cannot read it ({said}). Nothing was changed. "
        + _INSTEAD[kind]
    )


_INSTEAD = {
    "pending": "It holds the result of a sync that was not published. Move it away: the next sync starts from what is "
    "published, and of the histories that one observation is lost.",
    "news": "It holds nothing but what came since the last sync, and the next one brings that. Delete it.",
    "": "Put a copy of it from before in its place, or a backup (`rivo restore --replace`), and run the sync again. "
    "Without either, move it away: the next sync reads all lists anew, but histories begin again with it.",
}


def storage_failure(published: Path, base: Path, build_path: Path, error: Exception) -> WarehouseError | None:
    """The sentence for what broke off a build in a copy of `base`; None where neither disk nor memory is to blame."""
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
            f"There was not enough memory for {published} ({first_line(text)}). Nothing was published. Close "
            "other programs, or run the sync on a machine with more memory."
        )
    return None


def failure_in_text(published: Path, base: Path, build_path: Path, text: str) -> WarehouseError | None:
    """The same for what DuckDB said, where the error itself is gone."""
    if any(sign in text for sign in _NO_ROOM):
        return unwritable(published, first_line(text))
    return damaged(base, text, build_path)


def first_line(text: str) -> str:
    """What DuckDB says, without the kind of the error and without what it adds below."""
    return re.sub(r"^[\w ]+ Error: ", "", text.splitlines()[0])
