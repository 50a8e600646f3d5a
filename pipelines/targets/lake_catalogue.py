"""The server of a lake's catalogue, asked directly: DuckDB cannot make it free the space of deleted rows."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from urllib.parse import urlsplit, urlunsplit

from pipelines.errors import command
from pipelines.target_settings import TargetSetting
from pipelines.targets.marks import TargetError
from pipelines.targets.postgres_connection import connected, free_statistics

NOT_FREED = (
    "The catalogue's server keeps deleted statistics of columns, with their smallest and largest values, in its files "
    "until it uses the space again: freeing it needs the package psycopg. Run `make install EXTRAS=targets`, then "
    "publish with --purge."
)


def free_space(target: TargetSetting, schema: str) -> tuple[str, ...]:
    """Free the space of deleted rows of a lake's catalogue, such as statistics that had an erased person's address.

    Args:
        target: the lake, which has been published to.
        schema: the schema of the catalogue.

    Returns:
        a note if that needs a package that is not installed, or the owner of the database.

    Raises:
        TargetError: the server refuses.
    """
    if find_spec("psycopg") is None:
        return (NOT_FREED,)
    # A lake's URL has options that libpq does not know.
    parts = urlsplit(target.url.removeprefix("ducklake:"))
    try:
        with connected(replace(target, url=urlunsplit(parts._replace(query="")))) as connection:
            names = connection.execute(
                "select format('%%I.%%I', nspname, relname) from pg_class "
                "join pg_namespace on pg_namespace.oid = relnamespace where nspname = %s and relkind = 'r' order by 1",
                [schema],
            ).fetchall()
            for (name,) in names:
                connection.execute(f"vacuum (full, analyze) {name}")
            return free_statistics(connection)
    except TargetError as error:
        raise TargetError(
            f"{target.variable} has been published to, but the space of deleted rows of its catalogue could not be "
            f"freed, so the server's files may still hold an erased person. {error} Then run "
            f"`{command()} publish {target.name} --purge`."
        ) from None
