"""Erases a person from Dagster's storage, where check results contain the ids of failing rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import sqlalchemy as sa

from assets.instance.home import postgres_url
from pipelines.errors import RivoError
from pipelines.settings import Settings


def storages_of(settings: Settings) -> list[str]:
    """Return the URLs of all databases in which Dagster keeps, or kept, runs and events.

    Raises:
        SettingsError: DAGSTER_POSTGRES_URL is set, and the `postgres` extra is not installed.
    """
    url = postgres_url(settings)
    # SQLite files from before the move to Postgres may contain the person, too.
    return [f"sqlite:///{path}" for path in _databases(settings.dagster_home)] + ([url] if url else [])


def replace_in_dagster(storages: Iterable[str], words: Collection[str], key: int) -> int:
    """Replace words by a person's pseudonym, `key`, in every text column of Dagster's storage.

    Matches whole words, case-insensitively.

    Returns:
        the number of records changed.

    Raises:
        RivoError: the storage cannot be written now.
    """
    try:
        return sum(_replace(url, words, key) for url in storages)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or type(error).__name__
        raise RivoError(
            "The rest is done, but the ids in earlier check results could not be removed from Dagster's storage "
            f"({reason}). Run the command again when no sync is running and the storage can be written."
        ) from None


def _databases(home: Path) -> list[Path]:
    found = []
    for path in sorted(home.rglob("*.db")):
        with path.open("rb") as file:
            if file.read(6) == b"SQLite":
                found.append(path)
    return found


def _replace(url: str, words: Collection[str], key: int) -> int:
    # Longest first: one address may be the beginning of another.
    alternatives = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w@]){'(?:' + alternatives + ')'}(?![\w@])", re.IGNORECASE)
    engine = sa.create_engine(url)
    changed = 0
    try:
        with engine.begin() as connection:
            tables = sa.MetaData()
            tables.reflect(connection)
            for table in tables.tables.values():
                texts = [c for c in table.columns if isinstance(c.type, sa.String) and not c.primary_key]
                keys = list(table.primary_key)
                if not texts or not keys:
                    continue
                matches = [column.icontains(word, autoescape=True) for column in texts for word in words]
                for row in connection.execute(sa.select(*keys, *texts).where(sa.or_(*matches))).mappings():
                    new = {c.name: pattern.sub(str(key), row[c] or "") for c in texts}
                    new = {name: text for name, text in new.items() if text != (row[table.c[name]] or "")}
                    if new:
                        changed += 1
                        connection.execute(table.update().where(*(c == row[c] for c in keys)).values(new))
        if changed and engine.dialect.name == "sqlite":
            # Without this, the old text stays in free pages and in the write-ahead log.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text("vacuum"))
                connection.execute(sa.text("pragma wal_checkpoint(truncate)"))
    finally:
        engine.dispose()
    return changed
