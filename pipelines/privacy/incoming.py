"""RIVO_PII on what is read and on what the warehouse already holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from pipelines.errors import SettingsError, command
from pipelines.privacy.forgotten import Forgotten
from pipelines.privacy.personal import Swap, parsed, treat_declared, treat_row, treat_undeclared
from pipelines.privacy.pseudonyms import Pseudonyms
from pipelines.rivo.columns import Column, Endpoint
from pipelines.rivo.decode import Row, json_text, retyped
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import Settings
from pipelines.warehouse import RAW, Build
from pipelines.warehouse.raw_tables import HISTORY_META, existing_columns, history_name
from pipelines.warehouse.versions import stamp_versions

Treat = Callable[[Endpoint, list[Row]], list[Row]]
_WORDS_REMEMBERED = 100_000
_VALIDITY = {column.name for column in HISTORY_META}


def swap_of(settings: Settings) -> Swap | None:
    """What becomes of a personal text by RIVO_PII; None where all is kept."""
    if settings.pii == "drop":
        return _nothing
    pseudonyms = Pseudonyms.of(settings)
    return pseudonyms.token if settings.pii == "hash" and pseudonyms else None


def _nothing(_text: str, _is_email: bool) -> None:
    return None


class Incoming:
    """What is done to rows before anything of them is written: forgotten people first, then RIVO_PII.

    Raises:
        SettingsError: people have been forgotten under another RIVO_PII_KEY, so that they would not be recognised.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._swap = swap_of(settings)
        self._pseudonyms = Pseudonyms.of(settings)
        rows = connection.execute(
            f"select identifier, customer_key, key_check from {RAW}._forgotten"
        ).fetchall()
        check = self._pseudonyms.check if self._pseudonyms else None
        strangers = {key for _, key, key_check in rows if key_check != check}
        if strangers:
            raise SettingsError(
                f"RIVO_PII_KEY is not the one under which {len(strangers)} people were forgotten, so that they could "
                "not be recognised and would come back. Set it to what it was. If it is lost, run "
                f"`{command()} forget --key-lost`: they come back with the next sync, and must be forgotten again "
                "under the new key."
            )
        self._keys = {identifier: key for identifier, key, _ in rows}
        self._seen: dict[str, int | None] = {}
        self._forgotten = Forgotten(self.key_of, self.learn) if rows else None

    @property
    def treat(self) -> Treat | None:
        """The function on rows; None where all rows stay as they are, which costs nothing."""
        return self._rows if self._forgotten or self._swap else None

    def key_of(self, word: str) -> int | None:
        """The opaque key of a forgotten person's id, address or code."""
        if word not in self._seen:
            if len(self._seen) >= _WORDS_REMEMBERED:
                self._seen.clear()
            is_known = self._pseudonyms is not None
            self._seen[word] = self._keys.get(self._identifier(word)) if is_known else None
        return self._seen[word]

    def learn(self, key: int, text: str) -> None:
        """Put down one more text by which a forgotten person is recognised: a new address, say."""
        identifier = self._identifier(text)
        if identifier not in self._keys and self._pseudonyms:
            self._keys[identifier] = key
            self._seen.clear()
            put_down(self._connection, key, [identifier], self._pseudonyms)

    def _identifier(self, text: str) -> str:
        assert self._pseudonyms
        return identifier_of(text, self._settings, self._pseudonyms)

    def _rows(self, endpoint: Endpoint, rows: list[Row]) -> list[Row]:
        return [self._row(endpoint, row) for row in rows]

    def _row(self, endpoint: Endpoint, row: Row) -> Row:
        text = json_text(row)
        content = None
        if self._forgotten:
            if "\\u" in text:
                content = parsed(text)
                text = orjson.dumps(content).decode()
            if self._forgotten.is_in(text):
                content = self._forgotten.row(endpoint.name, parsed(text))
            elif self._swap is None:
                return row
        if self._swap:
            content = treat_row(endpoint.name, parsed(text) if content is None else content, self._swap)
        return row if content is None else retyped(row, content)


def is_token(text: str) -> bool:
    """Whether a text can be what RIVO_PII=hash made of another."""
    return len(text) == 32 and set(text) <= set("0123456789abcdef")


def identifier_of(text: str, settings: Settings, pseudonyms: Pseudonyms) -> str:
    """What stands in `_forgotten` for an id, address or code, in clear or as the token that RIVO_PII=hash keeps."""
    is_hashed = settings.pii == "hash" and is_token(text)
    return pseudonyms.identifier(text if is_hashed else pseudonyms.token(text))


def put_down(
    connection: duckdb.DuckDBPyConnection, key: int, identifiers: list[str], pseudonyms: Pseudonyms
) -> None:
    """Remember by what a forgotten person is recognised; nothing, where all of that is known already."""
    if not identifiers:
        return
    at = datetime.now(UTC)
    connection.executemany(
        f"insert into {RAW}._forgotten values (?, ?, ?, ?)",
        [(key, identifier, pseudonyms.check, at) for identifier in identifiers],
    )


def apply_setting(build: Build, settings: Settings) -> str | None:
    """Bring what the warehouse holds to the present RIVO_PII, if that has changed.

    Returns:
        a sentence on what was done, None where nothing was to be done.
    """
    connection = build.connection
    is_filled = connection.execute(f"select exists (from {RAW}.sync_log)").fetchall()[0][0]
    row = connection.execute(f"select coalesce(pii, 'keep'), pii_key_check from {RAW}.settings").fetchone()
    before, check_before = row or ("keep", None)
    pseudonyms = Pseudonyms.of(settings)
    check = pseudonyms.check if settings.pii == "hash" and pseudonyms else None
    if (before, check_before) == (settings.pii, check):
        return None
    is_new_key = before == settings.pii == "hash"
    # What is hashed cannot be hashed by another key: it goes, and is read again.
    swap = _nothing if is_new_key else swap_of(settings)
    is_rewritten = before != "drop" and swap is not None
    is_read_again = is_new_key or (before != "keep" and settings.pii != "drop")
    if is_rewritten and swap and is_filled:
        _rewrite(connection, swap)
        build.is_rewritten = True
    connection.execute(
        f"update {RAW}.settings set pii = ?, pii_key_check = ?, reread_since = "
        f"if(?, (select max(observed_at) from {RAW}.sync_log), reread_since)",
        [settings.pii, check, is_read_again],
    )
    if not is_filled:
        return None
    return " ".join(
        [
            "RIVO_PII_KEY has changed" if is_new_key else f"RIVO_PII is {settings.pii} now, it was {before}",
            "(personal data that the warehouse holds"
            + (" was brought to that)." if is_rewritten else " is as it was).")
            if not is_read_again
            else "(all lists are read completely once, to have personal data again; rows that Rivo no longer lists "
            "stay without).",
        ]
    )


def _rewrite(connection: duckdb.DuckDBPyConnection, swap: Swap) -> None:
    for endpoint in ENDPOINTS.values():
        _rewrite_table(connection, endpoint, endpoint.name, swap)
        if endpoint.history:
            _rewrite_table(connection, endpoint, history_name(endpoint), swap)
            stamp_versions(connection, endpoint)
    quarantined = connection.execute(
        f'select distinct list, "row"::varchar from {RAW}._quarantine'
    ).fetchall()
    for name, row in quarantined:
        replace_quarantined(connection, name, row, treat_row(name, parsed(row), swap))


def replace_quarantined(connection: duckdb.DuckDBPyConnection, name: str, row: str, treated: Any) -> None:
    """Replace a quarantined row of the list `name`, a JSON text, by another JSON value.

    The reason ends with the value that could not be read, which goes with it.
    """
    connection.execute(
        f"update {RAW}._quarantine set \"row\" = ?, reason = regexp_replace(reason, ': .*', '', 's') "
        'where list = ? and "row"::varchar = ?',
        [orjson.dumps(treated).decode(), name, row],
    )


def _rewrite_table(connection: duckdb.DuckDBPyConnection, endpoint: Endpoint, table: str, swap: Swap) -> None:
    declared = {column.name: column for column in endpoint.columns}
    for column, kind in existing_columns(connection)[table].items():
        if column.startswith("_"):
            continue
        if kind in ("VARCHAR", "JSON"):
            _rewrite_column(connection, table, column, kind, declared.get(column), swap)
        elif column not in (*declared, *_VALIDITY) and treat_undeclared(0, swap, column) is None:
            connection.execute(f'update {RAW}."{table}" set "{column}" = null')


def _rewrite_column(
    connection: duckdb.DuckDBPyConnection, table: str, name: str, kind: str, column: Column | None, swap: Swap
) -> None:
    is_plain = column is not None and not column.personal and kind == "VARCHAR"
    only = f"and contains(\"{name}\", '@')" if is_plain else ""
    found = connection.execute(
        f'select distinct "{name}"::varchar as old from {RAW}."{table}" where "{name}" is not null {only}'
    ).to_arrow_table()
    old = found["old"].to_pylist()
    new = [_treated(text, kind, name, column, swap) for text in old]
    changes = pa.table({"old": found["old"], "new": pa.array(new, pa.string())})
    connection.register("changes", changes)
    connection.execute(
        f'update {RAW}."{table}" as t set "{name}" = c.new from changes as c '
        f'where t."{name}"::varchar = c.old and c.new is distinct from c.old'
    )
    connection.unregister("changes")


def _treated(text: str, kind: str, name: str, column: Column | None, swap: Swap) -> str | None:
    value: Any = parsed(text) if kind == "JSON" else text
    treated = treat_declared(column, value, swap) if column else treat_undeclared(value, swap, name)
    if treated is None:
        return None
    return orjson.dumps(treated).decode() if kind == "JSON" else str(treated)
