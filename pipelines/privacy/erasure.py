"""Erasure of a person from the raw tables (`rivo forget`): an opaque key takes the person's place."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import duckdb
import orjson

from pipelines.errors import RivoError, SettingsError, WarehouseError, command
from pipelines.privacy.erased import LEAST_ID_IN_TEXTS, ErasedPeople, address_of
from pipelines.privacy.personal import parsed
from pipelines.privacy.pseudonyms import Pseudonyms
from pipelines.privacy.redaction import (
    Redactor,
    identifier_of,
    is_token,
    record_identifiers,
    replace_quarantined,
    replacer_of,
)
from pipelines.privacy.webhook_events import customers_of_deliveries, replace_in_deliveries
from pipelines.rivo.columns import Endpoint
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.settings import MAKE_A_KEY, Settings
from pipelines.sql import exists, quoted, scalar
from pipelines.warehouse import RAW, Build, Warehouse
from pipelines.warehouse.raw_tables import existing_columns, history_name
from pipelines.warehouse.versions import stamp_versions

_ALREADY_ERASED = "This person has already been erased. Nothing was changed."
_Test = tuple[str, Any]
"""A SQL condition with one `?`, and the value of that parameter."""


class UnknownPerson(RivoError):
    """The warehouse does not know a person, or no longer."""


@dataclass
class Person:
    """A person to erase.

    `id` is the Shopify id, None for a person known only from referrals. `texts` are the person's addresses and code as
    the warehouse stores them (tokens under RIVO_PII=hash). `key` replaces the person's id.
    """

    id: int | None
    texts: set[str]
    key: int

    @property
    def words(self) -> set[str]:
        """The texts and the id: every string that identifies the person in a file."""
        return self.texts | ({str(self.id)} if self.id is not None else set())


def erase(build: Build, settings: Settings, customer: str) -> Person:
    """Replace a person by an opaque key in every raw table, and record the hashes by which syncs recognise the person.

    Args:
        build: the working copy; its file is rewritten, so that no deleted bytes are left in it.
        settings: RIVO_PII_KEY must be set.
        customer: a Shopify id, or an e-mail address that one customer has, or that only referrals know.

    Raises:
        SettingsError: RIVO_PII_KEY is not set, or differs from the key under which other people were erased.
        UnknownPerson: `customer` matches no person, or one who has already been erased.
        RivoError: `customer` matches several people, or is neither an id nor an address.
    """
    pseudonyms = Pseudonyms.of(settings)
    if pseudonyms is None:
        raise SettingsError(
            f"{settings.variable('pii_key')} is not set, and erasing a person requires it: later syncs recognise the "
            f"person by a hash made with this key. {MAKE_A_KEY}."
        )
    connection = build.connection
    person = _find(connection, settings, pseudonyms, customer)
    if exists(connection, f"from {RAW}._forgotten where key_check <> ?", [pseudonyms.check]):
        raise SettingsError(
            f"{settings.variable('pii_key')} differs from the key under which other people were erased. Set it to that "
            f"key, or run `{command()} forget --key-lost` if that key is lost. Nothing was changed."
        )
    known = {
        identifier
        for (identifier,) in connection.execute(f"select identifier from {RAW}._forgotten").fetchall()
    }
    changed = replace_person(build, settings, person)
    found = {identifier_of(text, settings, pseudonyms) for text in person.words}
    if not changed and person.id is None:
        raise UnknownPerson(
            _ALREADY_ERASED
            if found & known
            else f"No customer or referral in the warehouse has the address {customer}. Give the Shopify id instead. "
            "Nothing was changed."
        )
    record_identifiers(connection, person.key, sorted(found - known), pseudonyms)
    return person


def delete_unrecognisable(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Delete the people erased under another RIVO_PII_KEY from `_forgotten`, when that key is lost.

    No sync can recognise these people without it.

    Returns:
        the number of people deleted.
    """
    pseudonyms = Pseudonyms.of(settings)
    of_other_keys, parameters = (
        f"from {RAW}._forgotten where key_check <> ?",
        [pseudonyms.check if pseudonyms else ""],
    )
    count: int = scalar(connection, f"select count(distinct customer_key) {of_other_keys}", parameters)
    connection.execute(f"delete {of_other_keys}", parameters)
    return count


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
                f"{len(ids)} customers have that address: {listed}. Erase each of them by id. Nothing was changed."
            )
        if ids and ids[0][0] < 0:
            raise UnknownPerson(_ALREADY_ERASED)
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
        raise UnknownPerson(f"There is no customer {id} in the warehouse. Nothing was changed.")
    # 62 random bits reveal nothing of the id, and two people never get the same key.
    return Person(id, texts, int(row[0]) if row else -1 - secrets.randbits(62))


def _is_known(connection: duckdb.DuckDBPyConnection, id: int) -> bool:
    """Return whether the warehouse holds an id: in a column of customer ids or, if it is long enough, in a text."""
    # A shorter number in a title is unlikely to be a customer's id, and must not be erased from titles.
    in_texts = id >= LEAST_ID_IN_TEXTS
    word = rf"\b{id}\b"
    stored = existing_columns(connection)
    for name, endpoint in ENDPOINTS.items():
        tests: list[_Test] = [
            (f"{quoted(column.name)} = ?", id) for column in endpoint.columns if column.is_customer
        ]
        if in_texts:
            tests += [(f"regexp_matches({quoted(text)}::varchar, ?)", word) for text in _texts(stored[name])]
        if tests and exists(connection, f"from {RAW}.{name} where {_any_of(tests)}", _parameters(tests)):
            return True
    if id in customers_of_deliveries(connection):
        return True
    return in_texts and exists(
        connection, f'from {RAW}._quarantine where regexp_matches("row"::varchar, ?)', [word]
    )


def replace_person(build: Build, settings: Settings, person: Person) -> int:
    """Replace a person in every raw table of the working copy.

    Adds to `person.texts` the addresses and the code under which the warehouse knows the person.

    Returns:
        the number of rows that named the person.
    """
    connection = build.connection
    replacer = replacer_of(settings)

    def address(key: int) -> str | None:
        return replacer(address_of(key), True) if replacer else address_of(key)

    lowered = {word.lower() for word in person.words}
    # The token of an address contains no @, but must be replaced by an address.
    tokens = {text for text in lowered if is_token(text)} if settings.pii == "hash" else set()
    erased = ErasedPeople(
        lambda word: person.key if word.lower() in lowered else None,
        on_found=lambda _key, text: person.texts.add(text.strip()),
        address=address,
        is_address=lambda word: "@" in word or word in tokens,
    )
    changed = 0
    while True:
        before = len(person.texts)
        changed += _replace_everywhere(connection, erased, person)
        if len(person.texts) == before:
            break
        # A row revealed another address, which may occur in rows without the id.
        lowered |= {word.lower() for word in person.words}
        tokens |= {text for text in lowered if is_token(text)} if settings.pii == "hash" else set()
    build.note_erasure()
    return changed


def _replace_everywhere(connection: duckdb.DuckDBPyConnection, erased: ErasedPeople, person: Person) -> int:
    changed = 0
    columns = existing_columns(connection)
    for name, endpoint in ENDPOINTS.items():
        changed += _replace_rows(connection, endpoint, columns[name], erased, person)
        if endpoint.history:
            _replace_versions(connection, endpoint, columns[history_name(endpoint)], erased, person)
    if person.id is not None:
        connection.execute(
            f"update {RAW}._quarantine set id = ? where list = 'customers' and id = ?",
            [person.key, person.id],
        )
    changed += _replace_quarantined(connection, erased, person)
    changed += replace_in_deliveries(connection, person.words, person.id, person.key)
    errors = connection.execute(
        f"select distinct error from {RAW}.sync_log where error is not null"
    ).fetchall()
    for (error,) in errors:
        if erased.redact_value(error) != error:
            connection.execute(
                f"update {RAW}.sync_log set error = ? where error = ?", [erased.redact_value(error), error]
            )
    return changed


def _texts(columns: dict[str, str]) -> list[str]:
    return [name for name, kind in columns.items() if kind in ("VARCHAR", "JSON")]


def _replace_rows(
    connection: duckdb.DuckDBPyConnection,
    endpoint: Endpoint,
    columns: dict[str, str],
    erased: ErasedPeople,
    person: Person,
) -> int:
    declared = {column.name: column for column in endpoint.columns}
    texts = _texts(columns)
    ids = [
        name
        for name, kind in columns.items()
        if kind == "BIGINT" and (name not in declared or declared[name].is_customer)
    ]
    # Undeclared columns of other types may be personal by their name.
    others = [c for c in columns if c not in declared and c not in (*texts, *ids) and not c.startswith("_")]
    tests: list[_Test] = [(f"{quoted(name)} = ?", person.id) for name in ids if person.id is not None]
    tests += [_names_person(name, person) for name in texts]
    if not tests:
        return 0
    read = {
        name: f"{quoted(name)}::varchar" if columns[name] == "JSON" else quoted(name)
        for name in ("id", *texts, *ids, *others)
    }
    found = connection.execute(
        f"select {', '.join(read.values())} from {RAW}.{endpoint.name} where {_any_of(tests)}",
        _parameters(tests),
    ).fetchall()
    changed = 0
    for values in found:
        row: dict[str, Any] = {
            name: parsed(value) if columns[name] == "JSON" and value is not None else value
            for name, value in zip(read, values, strict=True)
        }
        redacted = erased.redact_object(endpoint.name, row, row["id"])
        if not declared["id"].is_customer:
            redacted["id"] = row["id"]
        changes = {
            name: orjson.dumps(value).decode() if columns[name] == "JSON" and value is not None else value
            for name, value in redacted.items()
            if value != row[name]
        }
        if changes:
            changed += 1
            assignments = ", ".join(f"{quoted(name)} = ?" for name in changes)
            connection.execute(
                f"update {RAW}.{endpoint.name} set {assignments} where id = ?", [*changes.values(), row["id"]]
            )
    return changed


def _replace_versions(
    connection: duckdb.DuckDBPyConnection,
    endpoint: Endpoint,
    columns: dict[str, str],
    erased: ErasedPeople,
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
        column = quoted(name)
        condition, words = _names_person(name, person)
        found = connection.execute(
            f"select distinct {column}::varchar from {table} where {condition}", [words]
        ).fetchall()
        for (text,) in found:
            connection.execute(
                f"update {table} set {column} = ? where {column}::varchar = ?",
                [erased.redact_value(text), text],
            )
        is_changed |= bool(found)
    if is_changed:
        stamp_versions(connection, endpoint)


def _names_person(column: str, person: Person) -> _Test:
    """Return a test of whether a column contains one of the person's words, in whatever capitals."""
    contains_word = f"contains(lower({quoted(column)}::varchar), erased_word)"
    words = sorted(word.lower() for word in person.words)
    return f"list_any_value([erased_word for erased_word in ? if {contains_word}]) is not null", words


def _any_of(tests: list[_Test]) -> str:
    return " or ".join(condition for condition, _ in tests)


def _parameters(tests: list[_Test]) -> list[Any]:
    return [parameter for _, parameter in tests]


def _replace_quarantined(connection: duckdb.DuckDBPyConnection, erased: ErasedPeople, person: Person) -> int:
    condition, words = _names_person("row", person)
    rows = connection.execute(
        f'select distinct list, "row"::varchar from {RAW}._quarantine where {condition}', [words]
    ).fetchall()
    for name, row in rows:
        replace_quarantined(connection, name, row, erased.redact_row(name, parsed(row)))
    return len(rows)


def erased_identifiers(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return the rows of `_forgotten` of a warehouse that a restore will replace; none if it cannot be read."""
    if not warehouse.base.exists:
        return []
    try:
        with warehouse.base.read() as connection:
            return connection.execute(
                f"select customer_key, identifier, key_check, forgotten_at from {RAW}._forgotten"
            ).fetchall()
    except (WarehouseError, duckdb.Error):
        return []


def erase_again(build: Build, settings: Settings, rows: list[tuple[Any, ...]]) -> None:
    """Erase from a restored warehouse the people who were erased after its backup was made.

    Args:
        build: the working copy, with RIVO_PII applied.
        settings: with the RIVO_PII_KEY under which these people were erased.
        rows: the result of `erased_identifiers`.

    Raises:
        SettingsError: RIVO_PII_KEY differs from that key, or is not set.
    """
    connection = build.connection
    known = {i for (i,) in connection.execute(f"select identifier from {RAW}._forgotten").fetchall()}
    rows = [row for row in rows if row[1] not in known]
    if not rows:
        return
    connection.executemany(f"insert into {RAW}._forgotten values (?, ?, ?, ?)", rows)
    redactor = Redactor(connection, settings)
    for name, endpoint in ENDPOINTS.items():
        for column in endpoint.columns:
            if not column.is_customer and column.personal != "email":
                continue
            found = connection.execute(f"select distinct {quoted(column.name)} from {RAW}.{name}").fetchall()
            for (value,) in found:
                key = None if value is None else redactor.key_of(str(value))
                if key is not None:
                    is_id = column.is_customer
                    texts = set() if is_id else {value}
                    replace_person(build, settings, Person(value if is_id else None, texts, key))
    for id in customers_of_deliveries(connection):
        if (key := redactor.key_of(str(id))) is not None:
            replace_person(build, settings, Person(id, set(), key))
