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

_CONNECT_SECONDS = 20
_WAIT_SECONDS = 600
"""How long a publication waits for another one, or for a session that has locked a table."""


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
    parts = urlsplit(target.url)
    place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    password = target.password.get_secret_value() if target.password else None
    secret: dict[str, Any] = {"password": password} if password else {}
    try:
        with psycopg.connect(
            target.url,
            connect_timeout=_CONNECT_SECONDS,
            application_name="rivo-warehouse",
            autocommit=True,
            **secret,
        ) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"set lock_timeout = '{_WAIT_SECONDS}s'")
            yield connection
    except psycopg.errors.LockNotAvailable:
        raise TargetError(
            f"{target.variable} ({place}): another session has locked a table, or another publication has been "
            f"running, for {_WAIT_SECONDS // 60} minutes. The target keeps what it has. Then run "
            f"`{command()} publish {target.name}`."
        ) from None
    except psycopg.errors.UniqueViolation as error:
        table = f"{error.diag.schema_name}.{error.diag.table_name}"
        raise TargetError(
            f"{target.variable} ({place}): two rows of {table} agree in all columns of its grain, its primary key. "
            f"The target keeps what it has. Correct `grain` in the property file of the model, then run "
            f"`{command()} publish {target.name}`."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise TargetError(
            f"{target.variable} ({place}): {reason_of(error, password)}. It keeps what it has. The user needs to own "
            f"its schemas and tables, or `grant create on database ... to` it; then run "
            f"`{command()} publish {target.name}`."
        ) from None
    except psycopg.OperationalError as error:
        raise TargetError(
            f"{target.variable} ({place}) cannot be used: {reason_of(error, password)}. It keeps what it has. Check "
            f"that the server runs, and {target.password_variable}; then run `{command()} publish {target.name}`."
        ) from None
    except psycopg.Error as error:
        raise TargetError(
            f"{target.variable} ({place}) refused the publication: {reason_of(error, password)}. It keeps what it has. "
            f"Then run `{command()} publish {target.name}`."
        ) from None


def reason_of(error: Exception, password: str | None) -> str:
    """Return the first line of an error, and the hint of the server, without the password and without rows."""
    diagnosis = getattr(error, "diag", None)
    # Other details quote a row.
    detail = getattr(diagnosis, "message_detail", None) if getattr(error, "sqlstate", "") == "2BP01" else None
    hints = [detail, getattr(diagnosis, "message_hint", None)]
    text = " ".join(filter(None, [str(error).strip().partition("\n")[0], *hints])).rstrip(".")
    return text.replace(password, "***") if password else text
