"""A target in MotherDuck: all tables in one transaction. Several shops share a database, with schemas of their own.

The service cannot be reached from where this project is tested: tests run the same statements on a DuckDB file.
"""

from __future__ import annotations

from dataclasses import replace

import duckdb

from pipelines.errors import command
from pipelines.sql import exists, literal, quoted
from pipelines.target_settings import TargetSetting
from pipelines.targets.attached import Attached, overtaken, roll_back
from pipelines.targets.content import Content
from pipelines.targets.extensions import load_extension
from pipelines.targets.marks import Mark, TargetError, without_secret
from pipelines.targets.publication import Publication

_OLD_VERSIONS = (
    "MotherDuck keeps older versions of a database for some days and offers no way to delete them at once. Shorten the "
    "retention of its snapshots if an erased person must be gone earlier."
)


def look(content: Content, target: TargetSetting) -> list[Mark]:
    """Return the mark of the database, and write nothing.

    Raises:
        TargetError: MotherDuck cannot be used.
    """
    try:
        name = _connect(content.connection, target)
        if not exists(content.connection, "from duckdb_databases() where database_name = ?", [name]):
            return []
        return Attached(name, content, target, schemas_by_shop=True).marks()
    except duckdb.Error as error:
        raise _refused(target, error) from None


def publish(content: Content, target: TargetSetting, *, replace_all: bool, purge: bool) -> Publication:
    """Publish all tables in one transaction.

    With `purge`, every table is written again; MotherDuck keeps older versions for its own time, which a note says.

    Raises:
        TargetError: MotherDuck cannot be used, or the database holds something that must not be replaced.
    """
    connection = content.connection
    try:
        name = _connect(connection, target)
        _create(connection, name)
        database = Attached(name, content, target, schemas_by_shop=True)
        database.find_changes(rewrite=purge)
        connection.execute("begin")
        publication = database.publish(replace_all=replace_all, rewrite=purge)
        connection.execute("commit")
    except duckdb.Error as error:
        roll_back(connection)
        raise overtaken(target, error) or _refused(target, error) from None
    except BaseException:
        roll_back(connection)
        raise
    return replace(publication, notes=(_OLD_VERSIONS,)) if purge else publication


def _refused(target: TargetSetting, error: duckdb.Error) -> TargetError:
    return TargetError(
        f"{target.variable} could not be published to ({without_secret(error, target)}). The database keeps what "
        f"it has. Check {target.password_variable}, which is MotherDuck's access token, then run `{command()} "
        f"publish {target.name}`."
    )


def _connect(connection: duckdb.DuckDBPyConnection, target: TargetSetting) -> str:
    """Connect to MotherDuck, and return the name of the target's database."""
    load_extension(connection, "motherduck", target)
    if target.password:
        # Without it, the extension reads the variable motherduck_token.
        connection.execute(f"set motherduck_token = {literal(target.password.get_secret_value())}")
    # MotherDuck lets no one give another name to a database of their own.
    connection.execute("attach if not exists 'md:'")
    return target.url.removeprefix("md:")


def _create(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute(f"create database if not exists {quoted(name)}")
