"""Takes what tells of a person out of Dagster's storage: failing rows' ids stand in the results of checks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import sqlalchemy as sa

from assets.instance.home import postgres_url
from pipelines.errors import RivoError
from pipelines.settings import Settings


def storages_of(settings: Settings) -> list[str]:
    """Addresses of the databases in which Dagster keeps, or kept, runs and events.

    Raises:
        SettingsError: they are in Postgres, and what talks to it is not installed.
    """
    url = postgres_url(settings)
    # Files of the time before Postgres may hold the person, too.
    return [f"sqlite:///{path}" for path in _databases(settings.dagster_home)] + ([url] if url else [])


def replace_in_dagster(storages: Iterable[str], words: Collection[str], key: int) -> int:
    """Replace words by an opaque key in every text of Dagster's storage.

    Returns:
        how many records were changed.

    Raises:
        RivoError: the storage cannot be changed right now.
    """
    try:
        return sum(_replace(url, words, key) for url in storages)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        said = getattr(error, "orig", None) or getattr(error, "strerror", None) or type(error).__name__
        raise RivoError(
            "That is done, but ids in results of earlier checks could not be removed from Dagster's storage "
            f"({said}). Run the command again when no sync is running and the storage can be written."
        ) from None


def _databases(home: Path) -> list[Path]:
    found = []
    for path in sorted(home.rglob("*.db")):
        with path.open("rb") as file:
            if file.read(6) == b"SQLite":
                found.append(path)
    return found


def _replace(url: str, words: Collection[str], key: int) -> int:
    # Longest first: an address may begin with another one.
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
                told = [column.icontains(word, autoescape=True) for column in texts for word in words]
                for row in connection.execute(sa.select(*keys, *texts).where(sa.or_(*told))).mappings():
                    new = {c.name: pattern.sub(str(key), row[c] or "") for c in texts}
                    new = {name: text for name, text in new.items() if text != (row[table.c[name]] or "")}
                    if new:
                        changed += 1
                        connection.execute(table.update().where(*(c == row[c] for c in keys)).values(new))
        if changed and engine.dialect.name == "sqlite":
            # What was replaced stays in free pages and in the log otherwise.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text("vacuum"))
                connection.execute(sa.text("pragma wal_checkpoint(truncate)"))
    finally:
        engine.dispose()
    return changed
