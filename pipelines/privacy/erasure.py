"""`rivo forget`: a person out of the raw tables, with an opaque key in the person's place."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import duckdb
import orjson

from pipelines.errors import RivoError, SettingsError, WarehouseError
from pipelines.privacy.forgotten import LEAST_ID_IN_TEXTS, Forgotten, address_of
from pipelines.privacy.incoming import (
    Incoming,
    identifier_of,
    is_token,
    put_down,
    replace_quarantined,
    swap_of,
)
from pipelines.privacy.personal import parsed
from pipelines.privacy.pseudonyms import Pseudonyms
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import MAKE_A_KEY, Settings
from pipelines.warehouse import RAW, Build, Warehouse
from pipelines.warehouse.raw_tables import existing_columns, history_name
from pipelines.warehouse.versions import stamp_versions


@dataclass
class Person:
    """Somebody to be forgotten: the Shopify id where there is one, and every text that tells of that person.

    `texts` are as the warehouse holds them (tokens, where RIVO_PII hashes); `key` stands for the person from now on.
    """

    id: int | None
    texts: set[str]
    key: int

    @property
    def words(self) -> set[str]:
        """All that may stand in a file, the id included."""
        return self.texts | ({str(self.id)} if self.id is not None else set())


def forget(build: Build, settings: Settings, customer: str) -> Person:
    """Replace somebody by an opaque key in every raw table of the working copy, and remember not to let back in.

    Args:
        build: the working copy; its file will be written anew.
        settings: RIVO_PII_KEY must be set.
        customer: a Shopify id, or an e-mail address that one customer has, or that only referrals know.

    Raises:
        SettingsError: there is no RIVO_PII_KEY.
        RivoError: nobody is known by that, or several customers are.
    """
    pseudonyms = Pseudonyms.of(settings)
    if pseudonyms is None:
        raise SettingsError(
            "RIVO_PII_KEY: is needed to forget somebody: the next sync recognises the person by a hash that "
            f"nobody can guess without it. {MAKE_A_KEY}."
        )
    connection = build.connection
    person = _find(connection, settings, pseudonyms, customer)
    others = connection.execute(
        f"select exists (from {RAW}._forgotten where key_check <> ?)", [pseudonyms.check]
    ).fetchall()[0][0]
    if others:
        raise SettingsError(
            "RIVO_PII_KEY is not the one under which others were forgotten. Set it to what it was."
        )
    known = {
        identifier
        for (identifier,) in connection.execute(f"select identifier from {RAW}._forgotten").fetchall()
    }
    changed = replace_person(build, settings, person)
    found = {identifier_of(text, settings, pseudonyms) for text in person.words}
    if not changed and person.id is None:
        raise RivoError(
            "That person has already been forgotten. Nothing was changed."
            if found & known
            else f"Nobody in the warehouse is known by {customer}. Give the Shopify id instead. Nothing was changed."
        )
    put_down(connection, person.key, sorted(found - known), pseudonyms)
    return person


def give_up(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Strike out those who were forgotten under another RIVO_PII_KEY, which is lost; returns how many people."""
    pseudonyms = Pseudonyms.of(settings)
    check = pseudonyms.check if pseudonyms else ""
    rows = connection.execute(
        f"select count(distinct customer_key) from {RAW}._forgotten where key_check <> ?", [check]
    ).fetchall()
    connection.execute(f"delete from {RAW}._forgotten where key_check <> ?", [check])
    return int(rows[0][0])


def _find(
    connection: duckdb.DuckDBPyConnection, settings: Settings, pseudonyms: Pseudonyms, customer: str
) -> Person:
    customer = customer.strip()
    texts = {customer.lower()} if "@" in customer else set()
    if texts and settings.pii == "hash":
        texts.add(pseudonyms.token(customer))
    if texts:
        ids = connection.execute(
            f"select id from {RAW}.customers where list_contains(?, lower(trim(email))) order by id",
            [[*texts]],
        ).fetchall()
        if len(ids) > 1:
            listed = ", ".join(str(id) for (id,) in ids)
            raise RivoError(
                f"{len(ids)} customers have that address: {listed}. Forget each by its id. Nothing was changed."
            )
        if ids and ids[0][0] < 0:
            raise RivoError("That person has already been forgotten. Nothing was changed.")
        id = ids[0][0] if ids else None
    elif customer.isascii() and customer.isdigit() and len(customer) < 19:
        id = int(customer)
    else:
        raise RivoError(
            f"'{customer}' is neither a Shopify customer id nor an e-mail address. Nothing was changed."
        )
    identifier = pseudonyms.identifier(
        pseudonyms.token(str(id) if id is not None else next(t for t in texts if "@" in t))
    )
    row = connection.execute(
        f"select customer_key from {RAW}._forgotten where identifier = ?", [identifier]
    ).fetchone()
    if id is not None and not row and not _is_known(connection, id):
        raise RivoError(f"There is no customer {id} in the warehouse. Nothing was changed.")
    # 62 bits of chance: says nothing of the id, and never meets another.
    return Person(id, texts, int(row[0]) if row else -1 - secrets.randbits(62))


def _is_known(connection: duckdb.DuckDBPyConnection, id: int) -> bool:
    # A short number may stand in a title as well, and its owner would be taken out of there for ever.
    in_texts = id >= LEAST_ID_IN_TEXTS
    word = rf"\b{id}\b"
    for name, endpoint in ENDPOINTS.items():
        where = " or ".join(f'"{c.name}" = $id' for c in endpoint.columns if c.is_customer) or "false"
        texts = _texts(existing_columns(connection)[name]) if in_texts else []
        where += "".join(f" or regexp_matches(\"{column}\"::varchar, '{word}')" for column in texts)
        if connection.execute(
            f"select exists (from {RAW}.{name} where {where})", {"id": id} if "$id" in where else {}
        ).fetchall()[0][0]:
            return True
    rows = connection.execute(
        f'select exists (from {RAW}._quarantine where regexp_matches("row"::varchar, ?))', [word]
    ).fetchall()
    return in_texts and bool(rows[0][0])


def replace_person(build: Build, settings: Settings, person: Person) -> int:
    """Replace somebody in every raw table of the working copy; returns how many rows named that person.

    Adds to `person.texts` the addresses and the code that the warehouse knows the person by.
    """
    connection = build.connection
    swap = swap_of(settings)

    def address(key: int) -> str | None:
        return swap(address_of(key), True) if swap else address_of(key)

    lowered = {word.lower() for word in person.words}
    # A token of an address has no @, but stands where an address stood.
    tokens = {text for text in lowered if is_token(text)} if settings.pii == "hash" else set()
    stored = Forgotten(
        lambda word: person.key if word.lower() in lowered else None,
        learned=lambda _key, text: person.texts.add(text.strip()),
        address=address,
        is_address=lambda word: "@" in word or word in tokens,
    )
    changed = 0
    while True:
        before = len(person.texts)
        changed += _replace_everywhere(connection, stored, person)
        if len(person.texts) == before:
            break
        # Another address came up on the way: it may stand where the id does not.
        lowered |= {word.lower() for word in person.words}
        tokens |= {text for text in lowered if is_token(text)} if settings.pii == "hash" else set()
    build.is_rewritten = True
    return changed


def _replace_everywhere(connection: duckdb.DuckDBPyConnection, stored: Forgotten, person: Person) -> int:
    changed = 0
    columns = existing_columns(connection)
    for name, endpoint in ENDPOINTS.items():
        changed += _replace_rows(connection, endpoint, columns[name], stored, person)
        if endpoint.history:
            _replace_versions(connection, endpoint, columns[history_name(endpoint)], stored, person)
    if person.id is not None:
        connection.execute(
            f"update {RAW}._quarantine set id = ? where list = 'customers' and id = ?",
            [person.key, person.id],
        )
    changed += _replace_quarantined(connection, stored, person)
    errors = connection.execute(
        f"select distinct error from {RAW}.sync_log where error is not null"
    ).fetchall()
    for (error,) in errors:
        if stored.words(error) != error:
            connection.execute(
                f"update {RAW}.sync_log set error = ? where error = ?", [stored.words(error), error]
            )
    return changed


def _texts(columns: dict[str, str]) -> list[str]:
    return [name for name, kind in columns.items() if kind in ("VARCHAR", "JSON")]


def _replace_rows(
    connection: duckdb.DuckDBPyConnection,
    endpoint: Endpoint,
    columns: dict[str, str],
    stored: Forgotten,
    person: Person,
) -> int:
    declared = {column.name: column for column in endpoint.columns}
    texts = _texts(columns)
    ids = [
        name
        for name, kind in columns.items()
        if kind == "BIGINT" and (name not in declared or declared[name].is_customer)
    ]
    # Undeclared ones of other types, whose names may speak of a person.
    others = [c for c in columns if c not in declared and c not in (*texts, *ids) and not c.startswith("_")]
    told = [f'"{name}" = {person.id}' for name in ids if person.id is not None]
    told += [_names(name, person) for name in texts]
    if not told:
        return 0
    read = {
        name: f'"{name}"::varchar' if columns[name] == "JSON" else f'"{name}"'
        for name in ("id", *texts, *ids, *others)
    }
    found = connection.execute(
        f"select {', '.join(read.values())} from {RAW}.{endpoint.name} where {' or '.join(told)}"
    ).fetchall()
    changed = 0
    for values in found:
        row: dict[str, Any] = {
            name: parsed(value) if columns[name] == "JSON" and value is not None else value
            for name, value in zip(read, values, strict=True)
        }
        treated = stored.object(endpoint.name, row, row["id"])
        if not declared["id"].is_customer:
            treated["id"] = row["id"]
        changes = {
            name: orjson.dumps(value).decode() if columns[name] == "JSON" and value is not None else value
            for name, value in treated.items()
            if value != row[name]
        }
        if changes:
            changed += 1
            assignments = ", ".join(f'"{name}" = ?' for name in changes)
            connection.execute(
                f"update {RAW}.{endpoint.name} set {assignments} where id = ?", [*changes.values(), row["id"]]
            )
    return changed


def _replace_versions(
    connection: duckdb.DuckDBPyConnection,
    endpoint: Endpoint,
    columns: dict[str, str],
    stored: Forgotten,
    person: Person,
) -> None:
    table = f"{RAW}.{history_name(endpoint)}"
    is_changed = False
    if endpoint.name == "customers" and person.id is not None:
        connection.execute(f"update {table} set id = ? where id = ?", [person.key, person.id])
        is_changed = True
    for name in _texts(columns):
        if name.startswith("_"):
            continue
        found = connection.execute(
            f'select distinct "{name}"::varchar from {table} where {_names(name, person)}'
        ).fetchall()
        for (text,) in found:
            connection.execute(
                f'update {table} set "{name}" = ? where "{name}"::varchar = ?', [stored.words(text), text]
            )
        is_changed |= bool(found)
    if is_changed:
        stamp_versions(connection, endpoint)


def _names(column: str, person: Person) -> str:
    words = ", ".join("'" + word.lower().replace("'", "''") + "'" for word in sorted(person.words))
    return f'list_any_value([w for w in [{words}] if contains(lower("{column}"::varchar), w)]) is not null'


def _replace_quarantined(connection: duckdb.DuckDBPyConnection, stored: Forgotten, person: Person) -> int:
    rows = connection.execute(
        f'select distinct list, "row"::varchar from {RAW}._quarantine where {_names("row", person)}'
    ).fetchall()
    for name, row in rows:
        replace_quarantined(connection, name, row, stored.row(name, parsed(row)))
    return len(rows)


def forgotten_in(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The rows of `_forgotten` of a warehouse about to be replaced; none where it cannot be read."""
    if not warehouse.base.exists:
        return []
    try:
        with warehouse.base.read() as connection:
            return connection.execute(
                f"select customer_key, identifier, key_check, forgotten_at from {RAW}._forgotten"
            ).fetchall()
    except (WarehouseError, duckdb.Error):
        return []


def forget_again(build: Build, settings: Settings, rows: list[tuple[Any, ...]]) -> None:
    """Forget, in a warehouse restored from an older backup, those who were forgotten since.

    Args:
        build: the working copy, with RIVO_PII applied.
        settings: with the RIVO_PII_KEY that they were forgotten under.
        rows: as `forgotten_in` gave them.

    Raises:
        SettingsError: RIVO_PII_KEY is another one, or missing.
    """
    connection = build.connection
    known = {i for (i,) in connection.execute(f"select identifier from {RAW}._forgotten").fetchall()}
    rows = [row for row in rows if row[1] not in known]
    if not rows:
        return
    connection.executemany(f"insert into {RAW}._forgotten values (?, ?, ?, ?)", rows)
    incoming = Incoming(connection, settings)
    for name, endpoint in ENDPOINTS.items():
        for column in endpoint.columns:
            if not column.is_customer and column.personal != "email":
                continue
            found = connection.execute(f'select distinct "{column.name}" from {RAW}.{name}').fetchall()
            for (value,) in found:
                key = None if value is None else incoming.key_of(str(value))
                if key is not None:
                    is_id = column.is_customer
                    texts = set() if is_id else {value}
                    replace_person(build, settings, Person(value if is_id else None, texts, key))
