"""A target in MotherDuck: all tables in one transaction. Several shops share a database, with schemas of their own.

The service cannot be reached from where this project is tested: tests run the same statements on a DuckDB file.
"""

from __future__ import annotations

from dataclasses import replace

import duckdb

from pipelines.errors import command
from pipelines.sql import literal, quoted
from pipelines.target_settings import TargetSetting
from pipelines.targets.attached import Attached, overtaken, roll_back
from pipelines.targets.content import Content
from pipelines.targets.extensions import load_extension
from pipelines.targets.marks import TargetError, without_secret
from pipelines.targets.publication import Publication

_OLD_VERSIONS = (
    "MotherDuck keeps older versions of a database for some days and offers no way to delete them at once. Shorten the "
    "retention of its snapshots if an erased person must be gone earlier."
)


def publish(content: Content, target: TargetSetting, *, replace_all: bool, purge: bool) -> Publication:
    """Publish all tables in one transaction.

    With `purge`, every table is written again; MotherDuck keeps older versions for its own time, which a note says.

    Raises:
        TargetError: MotherDuck cannot be used, or the database holds something that must not be replaced.
    """
    connection = content.connection
    name = target.url.removeprefix("md:")
    try:
        _attach(connection, name, target)
        database = Attached(name, content, target, schemas_by_shop=True)
        database.find_changes(rewrite=purge)
        connection.execute("begin")
        publication = database.publish(replace_all=replace_all, rewrite=purge)
        connection.execute("commit")
    except duckdb.Error as error:
        roll_back(connection)
        raise overtaken(target, error) or TargetError(
            f"{target.variable} could not be published to ({without_secret(error, target)}). The database keeps what "
            f"it has. Check {target.password_variable}, which is MotherDuck's access token, then run `{command()} "
            f"publish {target.name}`."
        ) from None
    except BaseException:
        roll_back(connection)
        raise
    return replace(publication, notes=(_OLD_VERSIONS,)) if purge else publication


def _attach(connection: duckdb.DuckDBPyConnection, name: str, target: TargetSetting) -> None:
    """Connect to MotherDuck, and create the database if there is none of that name."""
    load_extension(connection, "motherduck", target)
    if target.password:
        # Without it, the extension reads the variable motherduck_token.
        connection.execute(f"set motherduck_token = {literal(target.password.get_secret_value())}")
    # MotherDuck lets no one give another name to a database of their own.
    connection.execute("attach if not exists 'md:'")
    connection.execute(f"create database if not exists {quoted(name)}")
