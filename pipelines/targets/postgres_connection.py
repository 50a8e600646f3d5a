"""Connections to Postgres, with errors in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pipelines.errors import command
from pipelines.target_settings import TargetSetting
from pipelines.targets.marks import TargetError

if TYPE_CHECKING:
    import psycopg

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 20,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # In milliseconds. Longer than a server may stop reading, as during a slow checkpoint.
    "tcp_user_timeout": 120_000,
}
"""Options of a connection that its URL does not have. Without them, a publication hangs when the network is gone."""
_WAIT_SECONDS = 600
"""How long a publication waits for another one, or for a session that has locked a table."""
_UNREACHABLE = ("08", "28", "3D", "57P")
"""Beginnings of SQLSTATE for a connection that failed or was closed. Errors of libpq have none."""
_SHORT = 4
"""Passwords of fewer characters are parts of ordinary words."""

NOT_OWNER = (
    "The server may keep values of an erased person in pg_statistic, its statistics of all tables, which only the "
    "owner of the database can vacuum. Let that user run `vacuum full pg_catalog.pg_statistic`."
)


@contextmanager
def connected(target: TargetSetting) -> Iterator[psycopg.Connection[Any]]:
    """Connect to a target for the length of the block, which commits by itself.

    Raises:
        TargetError: the server cannot be reached, or refuses something in the block.
    """
    try:
        import psycopg
    except ImportError:
        raise TargetError(
            f"{target.variable}: publishing to Postgres needs the package psycopg. Run `make install EXTRAS=targets`."
        ) from None
    password = {"password": target.password.get_secret_value()} if target.password else {}
    try:
        given = psycopg.conninfo.conninfo_to_dict(target.url)
        options: dict[str, Any] = {**_DEFAULTS, "application_name": "rivo-warehouse", **given, **password}
        with psycopg.connect(**options, autocommit=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"set lock_timeout = '{_WAIT_SECONDS}s'")
            yield connection
    except psycopg.Error as error:
        parts = urlsplit(target.url)
        place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
        raise TargetError(
            f"{target.variable} ({place}){_explained(error, target)}, then run `{command()} publish {target.name}`."
        ) from None


def _explained(error: psycopg.Error, target: TargetSetting) -> str:
    """Return what an error means and what to do, to be continued with the command to run."""
    from psycopg import errors

    reason = reason_of(error, target)
    if isinstance(error, errors.LockNotAvailable):
        return (
            ": another session has locked a table, or another publication has been running, for "
            f"{_WAIT_SECONDS // 60} minutes. The target keeps what it has. Wait or close the session"
        )
    if isinstance(error, errors.UniqueViolation):
        return (
            f": two rows of {error.diag.schema_name}.{error.diag.table_name} agree in all columns of its grain, its "
            "primary key. The target keeps what it has. Correct `grain` in the property file of the model"
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return (
            f": {reason}. It keeps what it has. Let its user own its schemas and tables, or run "
            "`grant create on database ... to` it"
        )
    if isinstance(error, errors.OperationalError) and (error.sqlstate or "08").startswith(_UNREACHABLE):
        return (
            f" cannot be used: {reason}. It keeps what it has. Check that the server runs, and "
            f"{target.password_variable}"
        )
    return f" refused the publication: {reason}. It keeps what it has. Correct that"


def free_statistics(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Free the space of deleted statistics of all tables: ANALYZE samples values, which may be an erased person's.

    Returns:
        a note if the user of the target may not do that.
    """
    skipped: list[object] = []
    connection.add_notice_handler(skipped.append)
    # Without the right, Postgres skips the table with a warning.
    connection.execute("vacuum full pg_catalog.pg_statistic")
    return (NOT_OWNER,) if skipped else ()


def reason_of(error: Exception, target: TargetSetting) -> str:
    """Return an error and the hint of the server as one line, without the password and without rows."""
    diagnosis = getattr(error, "diag", None)
    is_dependency = getattr(error, "sqlstate", "") == "2BP01"
    # Other details quote a row, and the hint is to drop what depends on a table with it.
    more = getattr(diagnosis, "message_detail" if is_dependency else "message_hint", None)
    text = f"{str(error).strip().partition(chr(10))[0]} {more or ''}"
    password = target.password.get_secret_value() if target.password else ""
    if password and password in text:
        if len(password) < _SHORT:
            return "the server's message has the password in it, so it is not shown"
        text = text.replace(password, "***")
    return " ".join(text.split()).rstrip(".")
