"""The rows of a page: read into the types that the columns declare, or as whatever JSON they are.

Both ways say the same of a row. The first costs half the time and a fourth of the memory, and takes only pages on
which every attribute is known and of a type that its column can read at once; all others go the second way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

import msgspec
import orjson

from pipelines.rivo.columns import Column, Endpoint
from pipelines.rivo.types import TYPES

LARGEST_ID = 2**63 - 1


class TypedRow(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A resource object whose attributes are a struct: an attribute that did not come is UNSET there.

    Attributes of declared columns of type json are kept as the text that came.
    """

    id: int
    attributes: msgspec.Struct
    type: Any = msgspec.UNSET


class _Identified(msgspec.Struct, gc=False):
    id: Any = None


Row = dict[str, Any] | TypedRow


@dataclass(frozen=True)
class Page:
    """Some rows of a list with their resource-level ids, which are read once; None where a row has no usable id."""

    rows: list[Row]
    ids: list[int | None]

    @classmethod
    def of(cls, rows: list[Row]) -> Page:
        """Return these rows with their ids."""
        return cls(rows, resource_ids(rows))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows."""
        return iter(self.rows)

    @property
    def known_ids(self) -> list[int]:
        """The ids of the rows that have one."""
        return [row_id for row_id in self.ids if row_id is not None]

    def up_to(self, end: int) -> Page:
        """Return the rows before the first one with an id greater than `end`."""
        for index, row_id in enumerate(self.ids):
            if row_id is not None and row_id > end:
                return Page(self.rows[:index], self.ids[:index])
        return self

    def __add__(self, other: Page) -> Page:
        """Return the rows of both, in order."""
        return Page([*self.rows, *other.rows], [*self.ids, *other.ids])


_IDENTIFIED = msgspec.json.Decoder(_Identified)


def resource_id(row: object) -> int | None:
    """The resource-level id of a row as a number (digits in quotes are read too), None where there is none."""
    return as_id(_part(row, "id"))


def resource_ids(rows: Sequence[Row]) -> list[int | None]:
    """`resource_id` of each row; a whole page at once where all are plain numbers, as they should be."""
    try:
        ids = [row.id if isinstance(row, TypedRow) else row["id"] for row in rows]
    except (TypeError, KeyError):
        return [resource_id(row) for row in rows]
    plain = set(map(type, ids)) == {int} and min(ids) >= -LARGEST_ID and max(ids) <= LARGEST_ID
    return ids if plain else [resource_id(row) for row in rows]


def likely_id(row: object) -> int | None:
    """The resource-level id, else the one in the attributes: a number or `[shop_id, id]`.

    Good enough to know again a row that came spoilt, not to load it.
    """
    found = resource_id(row)
    attributes = _part(row, "attributes")
    if found is None and isinstance(attributes, dict):
        value = attributes.get("id")
        found = as_id(value[-1] if isinstance(value, list) and value else value)
    return found


def as_id(value: object) -> int | None:
    """A JSON value as an id, None where it cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    is_id = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_ID
    return value if is_id else None  # type: ignore[return-value]


def _part(row: object, name: str) -> object:
    if isinstance(row, TypedRow):
        return getattr(row, name)
    return row.get(name) if isinstance(row, dict) else None


def json_text(row: Any) -> str:
    """A row as the JSON that it came as."""
    return (msgspec.json.encode(row) if isinstance(row, TypedRow) else orjson.dumps(row)).decode()


def retyped(row: Row, content: Any) -> Row:
    """Other content in the form that `row` has, where it fits into that form."""
    if isinstance(row, TypedRow):
        try:
            return msgspec.json.decode(orjson.dumps(content), type=type(row))
        except msgspec.ValidationError:
            pass
    return content


def attribute_values(rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
    """Each attribute that any of these rows has: a value a row, None where it is absent or null.

    JSON that was kept as text is bytes. The rows' attributes are structs of one kind, or objects.
    """
    if not rows:
        return {}
    kinds = set(map(type, rows))
    if len(kinds) == 1 and kinds != {dict}:
        return _of_structs([row.attributes for row in rows])  # type: ignore[union-attr]
    return _of_objects([row["attributes"] for row in map(_as_object, rows)])


def nested_ids(values: Sequence[Any]) -> list[Any]:
    """The ids of nested objects, as JSON values; what is no object is an id itself."""
    try:
        if set(map(type, values)) <= {bytes, NoneType}:
            return [None if value is None else _IDENTIFIED.decode(value).id for value in values]
    except msgspec.ValidationError:
        pass
    objects = [orjson.loads(value) if isinstance(value, bytes) else value for value in values]
    return [each.get("id") if isinstance(each, dict) else each for each in objects]


def _as_object(row: Row) -> dict[str, Any]:
    return orjson.loads(msgspec.json.encode(row)) if isinstance(row, TypedRow) else row


def _of_objects(attributes: list[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    first = list(attributes[0])
    if len(first) > 1 and all(len(each) == len(first) for each in attributes):
        try:
            columns = zip(*map(itemgetter(*first), attributes), strict=True)
            return dict(zip(first, columns, strict=True))
        except KeyError:
            pass
    names = dict.fromkeys(name for each in attributes for name in each)
    return {name: [each.get(name) for each in attributes] for name in names}


def _of_structs(attributes: list[msgspec.Struct]) -> dict[str, Sequence[Any]]:
    kind = type(attributes[0])
    columns = zip(*map(attrgetter(*kind.__struct_fields__), attributes), strict=True)
    values: dict[str, Sequence[Any]] = {}
    for name, column in zip(kind.__struct_encode_fields__, columns, strict=True):
        kinds = set(map(type, column))
        if kinds == {msgspec.Raw}:
            values[name] = _texts(column)
        elif msgspec.UnsetType not in kinds:
            values[name] = column
        elif kinds != {msgspec.UnsetType}:
            present = [None if value is msgspec.UNSET else value for value in column]
            values[name] = _texts(present) if msgspec.Raw in kinds else present
    return values


def _texts(column: Iterable[msgspec.Raw | None]) -> list[bytes | None]:
    texts = [None if value is None else bytes(value) for value in column]
    return [None if text == b"null" else text for text in texts] if b"null" in texts else texts


class PageDecoder:
    """Decodes the answers of one list; remembers the attributes that it met and nobody declared."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self._types: dict[str, Any] = {}
        for column in columns:
            for name in column.sources:
                is_nested = column.type == "json" or name == column.fallback
                self._types[name] = msgspec.Raw if is_nested else TYPES[column.type].decoded
        # The id that counts is the row's own; the one among the attributes may be an array.
        self._types["id"] = msgspec.Raw
        self._decoder = _decoder(self._types)

    def __call__(self, body: bytes) -> Any:
        """The answer as JSON says it, but for the rows in `data`, which are typed where they can be.

        Raises:
            orjson.JSONDecodeError: it is not JSON.
        """
        try:
            # What msgspec keeps as text it does not look into: neither at its encoding nor at its surrogates.
            body.decode()
            if b"\\ud" not in body and b"\\uD" not in body:
                page = self._decoder.decode(body)
                return {"data": page.data, "links": page.links}
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        answer = orjson.loads(body)
        self._learn(answer)
        return answer

    def _learn(self, answer: Any) -> None:
        rows = answer.get("data") if isinstance(answer, dict) else None
        for row in rows if isinstance(rows, list) else ():
            attributes = row.get("attributes") if isinstance(row, dict) else None
            if isinstance(attributes, dict) and not attributes.keys() <= self._types.keys():
                names = filter(_can_be_a_field, attributes)
                self._types = {**dict.fromkeys(names, Any), **self._types}
                self._decoder = _decoder(self._types)


@cache
def page_decoder(endpoint: Endpoint) -> PageDecoder:
    """The decoder of a list's pages."""
    return PageDecoder(endpoint.columns)


def _can_be_a_field(name: str) -> bool:
    return name.isprintable() and not {"\\", '"'} & set(name)


def _decoder(types: dict[str, Any]) -> msgspec.json.Decoder[Any]:
    attributes = msgspec.defstruct(
        "Attributes",
        [
            # Not every name of an attribute can be one of Python's.
            (f"_{n}", kind | msgspec.UnsetType, msgspec.field(default=msgspec.UNSET, name=name))
            if kind is not Any
            else (f"_{n}", Any, msgspec.field(default=msgspec.UNSET, name=name))
            for n, (name, kind) in enumerate(types.items())
        ],
        forbid_unknown_fields=True,
        gc=False,
    )
    row = msgspec.defstruct("Row", [("attributes", attributes)], bases=(TypedRow,))
    page = msgspec.defstruct("Page", [("data", list[row]), ("links", Any, None)])  # type: ignore[valid-type]
    return msgspec.json.Decoder(page)
