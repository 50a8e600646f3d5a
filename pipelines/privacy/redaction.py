"""Redaction of personal data by RIVO_PII: in rows before they are written, and in the tables after a change of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import duckdb
import orjson

from pipelines.errors import SettingsError, command
from pipelines.privacy.erased import ErasedPeople
from pipelines.privacy.personal import Replacer, parsed, redact_declared, redact_row, redact_undeclared
from pipelines.privacy.pseudonyms import Pseudonyms
from pipelines.privacy.webhook_events import rewrite_bodies
from pipelines.rivo.columns import Column, Endpoint
from pipelines.rivo.decode import Row, json_text, retyped
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.repair import UNREADABLE, is_too_deep, unreadable
from pipelines.settings import Settings
from pipelines.sql import exists, quoted
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import HISTORY_META, columns_of_table, history_name
from pipelines.warehouse.versions import stamp_versions

Redact = Callable[[Endpoint, list[Row]], list[Row]]
_WORDS_REMEMBERED = 100_000
_VALIDITY = {column.name for column in HISTORY_META}


def replacer_of(settings: Settings) -> Replacer | None:
    """Return the function that RIVO_PII applies to personal texts; None under RIVO_PII=keep."""
    if settings.pii == "drop":
        return _delete
    pseudonyms = Pseudonyms.of(settings)
    return pseudonyms.token if settings.pii == "hash" and pseudonyms else None


def _delete(_text: str, _is_email: bool) -> None:
    return None


class Redactor:
    """Redacts rows before they are written: first replaces erased people, then applies RIVO_PII.

    Raises:
        SettingsError: people were erased under another RIVO_PII_KEY and cannot be recognised.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._replacer = replacer_of(settings)
        self._pseudonyms = Pseudonyms.of(settings)
        rows = connection.execute(
            f"select identifier, customer_key, key_check from {RAW}._forgotten"
        ).fetchall()
        check = self._pseudonyms.check if self._pseudonyms else None
        strangers = {key for _, key, key_check in rows if key_check != check}
        if strangers:
            key = settings.variable("pii_key")
            raise SettingsError(
                f"{key} differs from the key under which {_people(len(strangers))} erased, so this sync cannot "
                f"recognise them and would load them again. Set {key} to that key. If that key is lost, run "
                f"`{command()} forget --key-lost`: the next sync then loads these people again, and you can erase "
                "them under the new key. Nothing was changed."
            )
        self._keys = {identifier: key for identifier, key, _ in rows}
        self._seen: dict[str, int | None] = {}
        self._erased = ErasedPeople(self.key_of, self.add_identifier) if rows else None

    @property
    def redact(self) -> Redact | None:
        """The function that redacts the rows of a list; None if there is nothing to redact."""
        return self._redact_rows if self._erased or self._replacer else None

    def key_of(self, word: str) -> int | None:
        """Return the opaque key of an erased person's id, address or code; None for any other word."""
        if word not in self._seen:
            if len(self._seen) >= _WORDS_REMEMBERED:
                self._seen.clear()
            is_known = self._pseudonyms is not None
            self._seen[word] = self._keys.get(self._identifier(word)) if is_known else None
        return self._seen[word]

    def add_identifier(self, key: int, text: str) -> None:
        """Record a further text that identifies an erased person, such as a new address."""
        identifier = self._identifier(text)
        if identifier not in self._keys and self._pseudonyms:
            self._keys[identifier] = key
            self._seen.clear()
            record_identifiers(self._connection, key, [identifier], self._pseudonyms)

    def _identifier(self, text: str) -> str:
        assert self._pseudonyms
        return identifier_of(text, self._settings, self._pseudonyms)

    def _redact_rows(self, endpoint: Endpoint, rows: list[Row]) -> list[Row]:
        return [self._redact_row(endpoint, row) for row in rows]

    def _redact_row(self, endpoint: Endpoint, row: Row) -> Row:
        text = json_text(row)
        content = None
        if is_too_deep(text.encode()):
            row = unreadable(text)
        if isinstance(row, dict) and UNREADABLE in row:
            # Its text cannot be searched for personal data, so none of it is kept.
            row = {key: value for key, value in row.items() if key != "text"}
            return self._erased.redact_value(row) if self._erased else row
        if self._erased:
            if "\\u" in text:
                content = parsed(text)
                text = orjson.dumps(content).decode()
            if self._erased.occur_in(text):
                content = self._erased.redact_row(endpoint.name, parsed(text))
            elif self._replacer is None:
                return row
        if self._replacer:
            content = redact_row(endpoint.name, parsed(text) if content is None else content, self._replacer)
        return row if content is None else retyped(row, content)


def is_token(text: str) -> bool:
    """Return whether a text looks like a token of RIVO_PII=hash."""
    return len(text) == 32 and set(text) <= set("0123456789abcdef")


def identifier_of(text: str, settings: Settings, pseudonyms: Pseudonyms) -> str:
    """Return the identifier in `_forgotten` of an id, address or code, in clear or as a token of RIVO_PII=hash."""
    is_hashed = settings.pii == "hash" and is_token(text)
    return pseudonyms.identifier(text if is_hashed else pseudonyms.token(text))


def record_identifiers(
    connection: duckdb.DuckDBPyConnection, key: int, identifiers: list[str], pseudonyms: Pseudonyms
) -> None:
    """Add an erased person's identifiers to `_forgotten`."""
    if not identifiers:
        return
    at = datetime.now(UTC)
    connection.executemany(
        f"insert into {RAW}._forgotten values (?, ?, ?, ?)",
        [(key, identifier, pseudonyms.check, at) for identifier in identifiers],
    )


def apply_setting(build: Build, settings: Settings) -> str | None:
    """Convert the personal data in the warehouse to the present RIVO_PII, if the setting has changed.

    Returns:
        a sentence about what was done; None if the setting is unchanged or the warehouse is empty.
    """
    connection = build.connection
    is_filled = exists(connection, f"from {RAW}.sync_log")
    row = connection.execute(f"select coalesce(pii, 'keep'), pii_key_check from {RAW}.settings").fetchone()
    before, check_before = row or ("keep", None)
    pseudonyms = Pseudonyms.of(settings)
    check = pseudonyms.check if settings.pii == "hash" and pseudonyms else None
    if (before, check_before) == (settings.pii, check):
        return None
    is_new_key = before == settings.pii == "hash"
    # Hashes cannot be converted to another key: they are deleted and the lists read again.
    replacer = _delete if is_new_key else replacer_of(settings)
    is_rewritten = before != "drop" and replacer is not None
    is_read_again = is_new_key or (before != "keep" and settings.pii != "drop")
    if is_rewritten and replacer and is_filled:
        _rewrite(connection, replacer)
        build.note_erasure()
    connection.execute(
        f"update {RAW}.settings set pii = ?, pii_key_check = ?, reread_since = "
        f"if(?, (select max(observed_at) from {RAW}.sync_log), reread_since)",
        [settings.pii, check, is_read_again],
    )
    if not is_filled:
        return None
    change = "RIVO_PII_KEY changed" if is_new_key else f"RIVO_PII changed from {before} to {settings.pii}"
    if is_read_again:
        return (
            f"{change}: every list is read completely once to load personal data again. Rows that Rivo no longer lists "
            "stay without it."
        )
    return f"{change}: the personal data in the warehouse was converted."


def _people(count: int) -> str:
    return f"{count} person was" if count == 1 else f"{count} people were"


def _rewrite(connection: duckdb.DuckDBPyConnection, replacer: Replacer) -> None:
    for endpoint in ENDPOINTS.values():
        _rewrite_table(connection, endpoint, endpoint.name, replacer)
        if endpoint.history:
            _rewrite_table(connection, endpoint, history_name(endpoint), replacer)
            stamp_versions(connection, endpoint)
    quarantined = connection.execute(
        f'select distinct list, "row"::varchar from {RAW}._quarantine'
    ).fetchall()
    for name, row in quarantined:
        replace_quarantined(connection, name, row, redact_row(name, parsed(row), replacer))
    rewrite_bodies(connection, replacer)


def replace_quarantined(connection: duckdb.DuckDBPyConnection, name: str, row: str, redacted: Any) -> None:
    """Replace a quarantined row of the list `name`, given as JSON text, by another JSON value.

    The value that could not be read is deleted from the end of the reason.
    """
    connection.execute(
        f"update {RAW}._quarantine set \"row\" = ?, reason = regexp_replace(reason, ': .*', '', 's') "
        'where list = ? and "row"::varchar = ?',
        [orjson.dumps(redacted).decode(), name, row],
    )


def _rewrite_table(
    connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, table: str, replacer: Replacer
) -> None:
    declared = {column.name: column for column in endpoint.columns}
    for column, kind in columns_of_table(connection, table).items():
        if column.startswith("_"):
            continue
        if kind in ("VARCHAR", "JSON"):
            _rewrite_column(connection, table, column, kind, declared.get(column), replacer)
        elif column not in (*declared, *_VALIDITY) and redact_undeclared(0, replacer, column) is None:
            connection.execute(f"update {RAW}.{quoted(table)} set {quoted(column)} = null")


def _rewrite_column(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    name: str,
    kind: str,
    column: Column | None,
    replacer: Replacer,
) -> None:
    is_plain = column is not None and not column.personal and kind == "VARCHAR"
    target, stored = f"{RAW}.{quoted(table)}", quoted(name)
    only = f"and contains({stored}, '@')" if is_plain else ""
    found = connection.execute(
        f"select distinct {stored}::varchar as old from {target} where {stored} is not null {only}"
    ).to_arrow_table()
    old = found["old"].to_pylist()
    new = [_redacted(text, kind, name, column, replacer) for text in old]
    # Imported here, since commands that only read the warehouse need no Arrow, and it takes long to import.
    import pyarrow as pa

    changes = pa.table({"old": found["old"], "new": pa.array(new, pa.string())})
    connection.register("changes", changes)
    connection.execute(
        f"update {target} as t set {stored} = c.new from changes as c "
        f"where t.{stored}::varchar = c.old and c.new is distinct from c.old"
    )
    connection.unregister("changes")


def _redacted(text: str, kind: str, name: str, column: Column | None, replacer: Replacer) -> str | None:
    value: Any = parsed(text) if kind == "JSON" else text
    redacted = (
        redact_declared(column, value, replacer) if column else redact_undeclared(value, replacer, name)
    )
    if redacted is None:
        return None
    return orjson.dumps(redacted).decode() if kind == "JSON" else str(redacted)
