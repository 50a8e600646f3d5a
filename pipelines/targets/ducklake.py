"""A target in a DuckLake: its catalogue is in PostgreSQL, its data in Parquet files in a folder or in S3.

Each publication is one transaction, and so one snapshot, with a message that says of which shop and when. Readers see a
snapshot or the next one, and older ones with `at (version => ...)`. Several shops have a lake each: a schema of
the catalogue and a folder of the data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from pipelines.errors import SettingsError, command
from pipelines.sql import exists, literal, quoted, scalar
from pipelines.target_settings import TargetSetting, lake_options
from pipelines.targets.attached import Attached, overtaken, roll_back
from pipelines.targets.content import Content
from pipelines.targets.extensions import load_extension
from pipelines.targets.lake_catalogue import free_space
from pipelines.targets.marks import SCHEMA, TABLE, Mark, TargetError, refuse_unmarked, without_secret
from pipelines.targets.publication import Publication

LAKE = "lake"
"""Name under which the lake is attached."""
KEEP = timedelta(days=30)
"""How long an older snapshot can be read."""
_MAINTENANCE = timedelta(days=7)
"""How often small files are merged, old snapshots expire, and files that no snapshot has are deleted."""
_ORPHAN = timedelta(days=1)
"""Age from which a file that no snapshot has is that of a publication that was killed, not of one that goes on."""
_CONNECT_SECONDS = 20
"""How long the server of the catalogue may take to answer, unless PGCONNECT_TIMEOUT says otherwise."""
_SILENCE_SECONDS = 20
"""How long the service of the data may send nothing; DuckDB then asks again, three times."""
_DONE = f"{SCHEMA}.maintenance"
_CATALOGUE = "catalogue"


def look(content: Content, target: TargetSetting) -> list[Mark]:
    """Return the mark of the lake, and write nothing.

    Raises:
        TargetError: the catalogue or the data cannot be used, or hold something that must not be replaced.
    """
    with _attached(content, target, only_existing=True) as is_attached:
        return Attached(LAKE, content, target, schemas_by_shop=False).marks() if is_attached else []


def publish(content: Content, target: TargetSetting, *, replace_all: bool, purge: bool) -> Publication:
    """Publish all tables in one transaction, then do the maintenance that is due.

    With `purge`, every table is written again, older snapshots and their files are deleted at once, and the server of
    the catalogue frees the space of deleted rows.

    Raises:
        TargetError: the catalogue or the data cannot be used, or hold something that must not be replaced.
    """
    connection = content.connection
    message = f"{content.shop or 'shop'} as of {content.observed_at:%Y-%m-%d %H:%M} UTC"
    about = {"shop": content.shop, "observed_at": content.observed_at.isoformat()}
    with _attached(content, target):
        lake = Attached(LAKE, content, target, schemas_by_shop=False)
        lake.find_changes(rewrite=purge)
        try:
            connection.execute("begin")
            publication = lake.publish(replace_all=replace_all, rewrite=purge)
            connection.execute(
                f"call {LAKE}.set_commit_message('rivo-warehouse', ?, extra_info => ?)",
                [message, json.dumps(about)],
            )
            connection.execute("commit")
        except BaseException as error:
            roll_back(connection)
            raise overtaken(target, error) or error from None
        publication = _maintained(connection, target, publication, purge=purge)
    if purge:
        # When DuckDB's own connections are closed, which could hold locks.
        notes = (*publication.notes, *free_space(target, _schema_of(content)))
        publication = replace(publication, notes=notes)
    return publication


def _maintained(
    connection: duckdb.DuckDBPyConnection, target: TargetSetting, publication: Publication, *, purge: bool
) -> Publication:
    """Do the maintenance after a publication; return it, with a note if the maintenance failed.

    Raises:
        TargetError: older versions could not be deleted, and were to be.
    """
    try:
        _maintain(connection, purge=purge)
    except (duckdb.Error, OSError) as error:
        reason = without_secret(error, target)
        if not purge:
            note = f"The lake's maintenance failed and is due again at the next publication: {reason}."
            return replace(publication, notes=(*publication.notes, note))
        raise TargetError(
            f"{target.variable} has been published to, but older versions could not be deleted ({reason}), so the lake "
            f"may still hold an erased person. Run `{command()} publish {target.name} --purge`."
        ) from None
    return publication


def _maintain(connection: duckdb.DuckDBPyConnection, *, purge: bool) -> None:
    """Merge small files, let old snapshots expire, and delete the files that no snapshot has any more."""
    now = datetime.now(UTC)
    done = f"{LAKE}.{_DONE}"
    connection.execute(f"create table if not exists {done} (done_at timestamptz)")
    if not purge and exists(connection, f"from {done} where done_at > ?", [now - _MAINTENANCE]):
        return
    expired, orphaned = (now, now) if purge else (now - KEEP, now - _ORPHAN)
    calls = (
        f"ducklake_flush_inlined_data('{LAKE}')",
        f"ducklake_rewrite_data_files('{LAKE}'{', delete_threshold => 0' if purge else ''})",
        f"ducklake_merge_adjacent_files('{LAKE}')",
        f"ducklake_expire_snapshots('{LAKE}', older_than => {_moment(expired)})",
        f"ducklake_cleanup_old_files('{LAKE}', "
        + ("cleanup_all => true)" if purge else f"older_than => {_moment(orphaned)})"),
        f"ducklake_delete_orphaned_files('{LAKE}', older_than => {_moment(orphaned)})",
    )
    for call in calls:
        # Counted, because what the functions return has types of the catalogue's own.
        connection.execute(f"select count(*) from {call}").fetchall()
    connection.execute(f"begin; delete from {done}; insert into {done} values ({_moment(now)}); commit")


def _schema_of(content: Content) -> str:
    """Return the schema of the catalogue."""
    return f"rivo_{content.shop}" if content.shop else "rivo"


def _moment(moment: datetime) -> str:
    return f"timestamptz '{moment.isoformat()}'"


@contextmanager
def _attached(content: Content, target: TargetSetting, *, only_existing: bool = False) -> Iterator[bool]:
    """Attach the lake for the length of the block, and say whether it is; it is not if it would have to be made first.

    Raises:
        TargetError: the catalogue cannot be reached, or is not one that rivo-warehouse has made.
    """
    connection = content.connection
    url = urlsplit(target.url.removeprefix("ducklake:"))
    data = lake_options(url.query)["data"][0]
    schema = _schema_of(content)
    # A folder of its own, so that no lake's orphans can be the files of another one.
    place = f"{data.rstrip('/')}/{schema}"
    for name in ("postgres_scanner", "ducklake", *(("httpfs",) if data.startswith("s3://") else ())):
        load_extension(connection, name, target)
    if data.startswith("s3://"):
        connection.execute(f"set http_timeout = {_SILENCE_SECONDS}")
        connection.execute(_s3_secret(target))
    else:
        place = place.removeprefix("file://")
    try:
        connection.execute(_postgres_secret(target))
        connection.execute(f"attach '' as {_CATALOGUE} (type postgres, secret rivo_catalogue, read_only)")
    except duckdb.Error as error:
        raise TargetError(
            f"{target.variable}: the lake's catalogue at {url.hostname or 'localhost'} cannot be used "
            f"({without_secret(error, target)}). The lake keeps what it has. Check that the server runs, and "
            f"{target.password_variable}; then run `{command()} publish {target.name}`."
        ) from None
    try:
        is_new = _check_catalogue(connection, target, schema)
        if is_new:
            _refuse_filled(connection, target, place)
    finally:
        connection.execute(f"detach {_CATALOGUE}")
    if is_new and only_existing:
        yield False
        return
    connection.execute(
        f"create or replace secret rivo_lake (type ducklake, metadata_path '', data_path {literal(place + '/')}, "
        f"metadata_schema {literal(schema)}, "
        "metadata_parameters map {'TYPE': 'postgres', 'SECRET': 'rivo_catalogue'})"
    )
    if not place.startswith("s3://"):
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TargetError(
                f"{target.variable}: the folder {place} cannot be made ({error.strerror}). The lake keeps what it has."
            ) from None
    try:
        # Rows in the catalogue would be a second place from which an erased person has to be deleted.
        connection.execute(f"attach 'ducklake:rivo_lake' as {LAKE} (data_inlining_row_limit 0)")
        yield True
    except duckdb.Error as error:
        raise TargetError(
            f"{target.variable} could not be published to ({without_secret(error, target)}). The lake keeps what it "
            f"has. Then run `{command()} publish {target.name}`."
        ) from None
    finally:
        connection.execute(f"detach database if exists {LAKE}")


def _check_catalogue(connection: duckdb.DuckDBPyConnection, target: TargetSetting, schema: str) -> bool:
    """Return whether the schema of the catalogue is still empty.

    Raises:
        TargetError: it holds something else than a lake, or a lake without our mark.
    """
    tables = {
        name
        for (name,) in connection.execute(
            f"select table_name from duckdb_tables() where database_name = '{_CATALOGUE}' and schema_name = ?",
            [schema],
        ).fetchall()
    }
    if not tables:
        return True
    lake = f"{_CATALOGUE}.{quoted(schema)}"
    marked = "ducklake_table" in tables and exists(
        connection,
        f"from {lake}.ducklake_table as t join {lake}.ducklake_schema as s using (schema_id) "
        f"where t.table_name = '{TABLE}' and s.schema_name = '{SCHEMA}' and t.end_snapshot is null",
    )
    # A publication that was killed before its first commit leaves a lake without any table.
    if not marked and ("ducklake_table" not in tables or exists(connection, f"from {lake}.ducklake_table")):
        raise refuse_unmarked(target, f"the schema {schema} of the catalogue is not empty")
    return False


def _refuse_filled(connection: duckdb.DuckDBPyConnection, target: TargetSetting, place: str) -> None:
    """Refuse to begin a lake in a folder that holds files."""
    if place.startswith("s3://"):
        filled = scalar(connection, f"select count(*) from glob({literal(place + '/**')})") > 0
    else:
        folder = Path(place)
        filled = folder.exists() and any(folder.iterdir())
    if filled:
        raise refuse_unmarked(target, f"the folder {place} is not empty")


def _postgres_secret(target: TargetSetting) -> str:
    url = urlsplit(target.url.removeprefix("ducklake:"))
    values = {
        "host": url.hostname or "localhost",
        "port": str(url.port or 5432),
        "user": unquote(url.username or ""),
        "database": unquote(url.path.strip("/")),
        "password": target.password.get_secret_value()
        if target.password
        else os.environ.get("PGPASSWORD", ""),
        # Otherwise a server that accepts connections and never answers holds a publication for ever.
        "connect_timeout": "" if os.environ.get("PGCONNECT_TIMEOUT") else str(_CONNECT_SECONDS),
    }
    given = ", ".join(f"{name} {literal(value)}" for name, value in values.items() if value)
    return f"create or replace secret rivo_catalogue (type postgres, {given})"


def _s3_secret(target: TargetSetting) -> str:
    """Return the statement that gives DuckDB the S3 keys that the usual AWS variables, profiles and roles name."""
    # Imported here: boto3 is an optional package.
    from pipelines.objects.s3 import s3_access

    try:
        access = s3_access(target.variable)
    except SettingsError as error:
        raise TargetError(str(error)) from None
    address = urlsplit(access.endpoint)
    values = {
        "key_id": access.key_id,
        "secret": access.secret,
        "session_token": access.token,
        "region": access.region,
    }
    given = [f"{name} {literal(value)}" for name, value in values.items() if value]
    if not address.netloc.endswith("amazonaws.com"):
        given += [
            f"endpoint {literal(address.netloc)}",
            "url_style 'path'",
            f"use_ssl {str(address.scheme == 'https').lower()}",
        ]
    return f"create or replace secret rivo_s3 (type s3, {', '.join(given)})"
