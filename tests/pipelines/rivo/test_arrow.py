"""Conversion of JSON rows to Arrow: valid and invalid values of every type, both conversions, undeclared attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rivo import arrow
from pipelines.rivo.arrow import Rejected, batch, to_array, to_table, undeclared
from pipelines.rivo.columns import Column, ColumnType
from pipelines.rivo.decode import Page
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import TYPES, natural_type
from sandbox import Program

ID = Column("id", "id", "", required=True)


def typed(columns: Sequence[Column], rows: list[Any]) -> tuple[pa.Table, list[Rejected]]:
    """Return the table and the rejected rows for these rows."""
    return to_table(columns, batch(Page.of(rows)))


def new_columns(columns: Sequence[Column], rows: list[Any]) -> list[Column]:
    """Return the columns for the undeclared attributes of these rows."""
    return undeclared(columns, batch(Page.of(rows)))


def one(kind: ColumnType, value: Any, **more: Any) -> tuple[Any, str | None]:
    """Return the converted value and None, or None and the reason for the rejection."""
    table, rejected = typed(
        [ID, Column("x", kind, "", **more)], [{"id": 1, "attributes": {"id": 1, "x": value}}]
    )
    if rejected:
        assert table.num_rows == 0
        assert rejected[0].id == 1
        assert json.loads(rejected[0].row)["attributes"]["x"] == value
        return None, rejected[0].reason
    return table["x"][0].as_py(), None


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


GOOD: list[tuple[ColumnType, Any, Any]] = [
    ("bigint", 0, 0),
    ("bigint", -3, -3),
    ("bigint", 2**53 + 1, 2**53 + 1),
    ("bigint", 2**63 - 1, 2**63 - 1),
    ("bigint", 12.0, 12),
    ("quantity", -3, -3),
    ("quantity", 12.0, 12),
    ("quantity", 10**12 - 1, 10**12 - 1),
    ("quantity", 1 - 10**12, 1 - 10**12),
    ("id", 7198630248648, 7198630248648),
    ("id", "7198630248648", 7198630248648),
    ("id", 2**63 - 1, 2**63 - 1),
    ("text", "", ""),
    ("text", "Grüße, 世界 \x00 '\" \\N", "Grüße, 世界 \x00 '\" \\N"),
    ("scalar", "a", "a"),
    ("scalar", 12, "12"),
    ("scalar", True, "true"),
    ("scalar", 1.5, "1.5"),
    ("bool", False, False),
    ("bool", True, True),
    ("timestamp", "2026-08-17T21:51:37.000Z", at(2026, 8, 17, 21, 51, 37)),
    ("timestamp", "2026-08-17T21:51:37Z", at(2026, 8, 17, 21, 51, 37)),
    ("timestamp", "2026-02-26T01:20:20.484Z", at(2026, 2, 26, 1, 20, 20, 484_000)),
    ("timestamp", "2026-08-17T21:51:37+02:00", at(2026, 8, 17, 19, 51, 37)),
    ("timestamp", "2026-08-17T21:51:37", at(2026, 8, 17, 21, 51, 37)),
    ("timestamp", "2026-08-17", at(2026, 8, 17)),
    ("timestamp", "2026-08-17T21:51:37.123456789Z", at(2026, 8, 17, 21, 51, 37, 123_456)),
    ("timestamp", "2026-08-17 21:51:37 UTC", at(2026, 8, 17, 21, 51, 37)),
    ("timestamp", "2026-08-17 21:51:37 -0200", at(2026, 8, 17, 23, 51, 37)),
    ("timestamp", "", None),
    ("decimal", "0.0", Decimal("0.0000")),
    ("decimal", "25.50", Decimal("25.5000")),
    ("decimal", "-1000.0", Decimal("-1000.0000")),
    ("decimal", 290.16, Decimal("290.1600")),
    ("decimal", 0, Decimal("0.0000")),
    ("decimal", "1.23456", Decimal("1.2346")),
    ("decimal", "", None),
    ("decimal", "99999999999999.9999", Decimal("99999999999999.9999")),
    ("double", 1, 1.0),
    ("double", 1.25, 1.25),
    ("json", {"b": 1, "a": [2**53 + 1]}, '{"a":[9007199254740993],"b":1}'),
    ("json", [], "[]"),
    ("json", "text", '"text"'),
]

BAD: list[tuple[ColumnType, Any, str]] = [
    ("bigint", "12 pts", "is not a whole number"),
    ("bigint", "12", "is not a whole number"),
    ("bigint", 1.5, "is not a whole number"),
    ("bigint", True, "is not a whole number"),
    ("bigint", 2**63, "is out of range"),
    ("bigint", [1], "is not a whole number"),
    ("quantity", 10**12, "is out of range"),
    ("quantity", -(2**62), "is out of range"),
    ("quantity", 1.5, "is not a whole number"),
    ("quantity", "12", "is not a whole number"),
    ("id", "abc", "is not a whole number"),
    ("id", "²", "is not a whole number"),
    ("id", "9" * 30, "is out of range"),
    ("text", 12, "is not text"),
    ("text", {"a": 1}, "is not text"),
    ("scalar", {"a": 1}, "is not a single value"),
    ("scalar", [1], "is not a single value"),
    ("bool", 1, "is neither true nor false"),
    ("bool", "true", "is neither true nor false"),
    ("timestamp", "2026-02-30T00:00:00Z", "is not a possible date and time"),
    ("timestamp", "May 02, 2026", "is not a possible date and time"),
    ("timestamp", 1755467497, "is not a date and time"),
    ("timestamp", "0000-01-01T00:00:00Z", "is not a possible date and time"),
    ("timestamp", "0001-01-01T00:00:00+23:00", "is not a possible date and time"),
    ("timestamp", "9999-12-31T23:59:59-23:00", "is not a possible date and time"),
    ("decimal", "12 pts", "is not a number"),
    ("decimal", True, "is not a number"),
    ("decimal", "NaN", "is not a number"),
    ("decimal", "Infinity", "is not a number"),
    ("decimal", "1e30", "is out of range"),
    ("decimal", "100000000000000", "is out of range"),
    ("decimal", {"amount": 1}, "is not a number"),
    ("double", "1.5", "is not a number"),
    ("double", False, "is not a number"),
]


@pytest.mark.parametrize(("kind", "value", "result"), GOOD)
def test_valid_value_is_converted(kind: ColumnType, value: Any, result: Any) -> None:
    assert one(kind, value) == (result, None)


@pytest.mark.parametrize(("kind", "value", "reason"), BAD)
def test_invalid_value_rejects_the_row_with_a_reason(kind: ColumnType, value: Any, reason: str) -> None:
    result, said = one(kind, value)
    assert result is None
    assert said is not None
    assert said.startswith(f"x {reason}"), said


@pytest.mark.parametrize("kind", TYPES)
def test_null_and_absent_values_are_null(kind: ColumnType) -> None:
    assert one(kind, None) == (None, None)
    table, rejected = typed([ID, Column("x", kind, "")], [{"id": 1, "attributes": {}}])
    assert (table["x"].to_pylist(), rejected) == ([None], [])


def test_reason_shortens_a_long_value() -> None:
    _, said = one("bigint", "1" * 5000)
    assert said is not None
    assert len(said) < 130


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "text",
        [],
        {},
        {"id": 1},
        {"id": 1, "attributes": None},
        {"id": None, "attributes": {}},
        {"attributes": {}},
        {"id": True, "attributes": {}},
        {"id": 1.5, "attributes": {}},
        {"id": [1, 2], "attributes": {}},
        {"id": "²", "attributes": {}},
        {"id": 2**63, "attributes": {}},
        {"id": "9" * 5000, "attributes": {}},
    ],
)
def test_malformed_row_is_rejected(row: Any) -> None:
    table, rejected = typed([ID], [row, {"id": 5, "attributes": {}}])
    assert table["id"].to_pylist() == [5]
    assert len(rejected) == 1
    assert json.loads(rejected[0].row) == row
    assert rejected[0].reason


def test_row_without_id_is_rejected_with_the_id_in_its_attributes() -> None:
    rows = [
        {"id": None, "attributes": {"id": 7}},
        {"attributes": {"id": [68112345, 8]}},
        {"attributes": {"id": []}},
    ]
    table, rejected = typed([ID], rows)
    assert table.num_rows == 0
    assert [r.id for r in rejected] == [7, 8, None]
    assert {r.reason for r in rejected} == {"the row has no usable id"}


def test_id_is_read_from_the_resource_level() -> None:
    table, _ = typed([ID], [{"id": 35813638, "attributes": {"id": [68112345, 35813638]}}])
    assert table["id"].to_pylist() == [35813638]


def test_column_honours_required_aliases_and_fallback() -> None:
    columns = [
        ID,
        Column("diff", "bigint", "", required=True),
        Column("tally", "bigint", "", aliases=("old_tally", "older_tally")),
        Column("customer_id", "id", "", fallback="customer"),
        Column("tier_id", "id", "", fallback="tier"),
    ]

    def read(**attributes: Any) -> Any:
        table, rejected = typed(columns, [{"id": 1, "attributes": attributes}])
        return rejected[0].reason if rejected else tuple(table.to_pylist()[0].values())[1:]

    assert read() == "diff is missing"
    assert read(diff=None) == "diff is missing"
    assert read(diff="x") == 'diff is not a whole number: "x"'
    assert read(diff=0) == (0, None, None, None)
    assert read(diff=0, tally=0, old_tally=5) == (0, 0, None, None)
    assert read(diff=0, old_tally=0, older_tally=5) == (0, 0, None, None)
    assert read(diff=0, tally=None, older_tally=5) == (0, 5, None, None)
    assert read(diff=0, customer={"id": 3}) == (0, None, 3, None)
    assert read(diff=0, customer_id=4, customer={"id": 3}) == (0, None, 4, None)
    assert read(diff=0, customer=None, tier={"id": 9}) == (0, None, None, 9)
    assert read(diff=0, customer=3, tier={}) == (0, None, 3, None)
    assert read(diff=0, customer="gone") == 'customer_id is not a whole number: "gone"'
    assert read(diff=0, tier=[1]) == "tier_id is not a whole number: [1]"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False], "bool"),
        ([1, 2**53 + 1], "bigint"),
        ([1, 2**63], "double"),
        ([1, 2.5], "double"),
        (["2026-08-17T21:51:37Z"], "timestamp"),
        (["2026-08-17T21:51:37Z", "later"], "text"),
        (["2026-08-17"], "text"),
        (["0001-01-01T00:00:00+23:00"], "text"),
        (["a"], "text"),
        ([True, 1], "json"),
        ([1, "a"], "json"),
        ([{"a": 1}], "json"),
        ([[1]], "json"),
    ],
)
def test_natural_type_is_the_narrowest_type(values: list[Any], kind: ColumnType) -> None:
    assert natural_type(values) == kind


def test_undeclared_attribute_gets_a_column_with_its_first_value() -> None:
    columns = [
        ID,
        Column("tally", "bigint", "", aliases=("old",)),
        Column("t", "id", "", fallback="tier"),
    ]
    rows: list[Any] = [
        {"id": 1, "attributes": {"id": 1, "old": 1, "tier": {"id": 2}, "t": 3, "new": None, "never": None}},
        {"id": 2, "attributes": {"new": 5}},
        {"id": 3, "attributes": None},
        None,
    ]
    assert [(c.name, c.type) for c in new_columns(columns, rows)] == [("new", "bigint")]
    assert new_columns(columns, []) == []


@pytest.mark.parametrize(
    "name",
    ["newAttribute", "with space", 'quo"te', "a__b", "Tally", "2fa", "ü", "a-b", "a_", "", "_deleted_at"],
)
def test_undeclared_attribute_with_an_unusable_name_gets_a_derived_column_name(name: str) -> None:
    columns = [ID, Column("tally", "bigint", "")]
    rows = [{"id": 1, "attributes": {name: 5}}]
    (column,) = new_columns(columns, rows)
    assert column.name not in ("", "tally", "_deleted_at")
    assert column.name.isascii()
    assert column.name.isidentifier()
    assert column.name == column.name.lower()
    assert new_columns(columns, rows) == [column], "the derived name is stable"
    assert new_columns([*columns, column], rows) == []
    table, rejected = typed([*columns, column], rows)
    assert (table[column.name].to_pylist(), rejected) == ([5], [])


def test_undeclared_attribute_of_another_type_goes_to_the_misfit_column() -> None:
    column = Column("size", "bigint", "", lenient=True)
    sizes: list[Any] = [4, 2.5, "XL", None, [], 7.0]
    rows: list[Any] = [{"id": n, "attributes": {"size": size}} for n, size in enumerate(sizes)]
    (other,) = new_columns([ID, column], rows)
    assert (other.name, other.type) == ("size_misfit", "json")
    table, rejected = typed([ID, column, other], rows)
    assert rejected == []
    assert table["size"].to_pylist() == [4, None, None, None, None, 7]
    assert table["size_misfit"].to_pylist() == [None, "2.5", '"XL"', None, "[]", None]
    assert new_columns([ID, column, other], rows) == []
    assert new_columns([ID, column], rows[:1]) == []


# -- both conversions agree ----------------------------------------------------------------------------

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
times = st.datetimes(timezones=st.none() | st.just(UTC)).map(
    lambda t: t.isoformat().replace("+00:00", "Z")
) | st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?)?"
    r"(Z| UTC| ?[+-][0-2][0-9]:?[0-9]{2})?",
    fullmatch=True,
)
amounts = st.from_regex(r"[+-]?[0-9]{0,16}\.?[0-9]{0,6}(e[+-]?[0-9]{1,2})?", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | numbers | texts | times | amounts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)
LIKELY: dict[ColumnType, st.SearchStrategy[Any]] = {
    "bigint": st.none() | st.integers(-(2**63), 2**63 - 1),
    "quantity": st.none() | st.integers(-(2 * 10**12), 2 * 10**12),
    "id": st.none() | st.integers(-(2**63), 2**63 - 1),
    "text": st.none() | texts,
    "scalar": st.none() | texts,
    "bool": st.none() | st.booleans(),
    "timestamp": st.none() | times,
    "decimal": st.none() | amounts | numbers,
    "double": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "json": json_values,
}
KINDS = tuple(LIKELY)


@settings(max_examples=60)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_whole_column_conversion_equals_value_by_value_conversion(
    kind: ColumnType, data: st.DataObject
) -> None:
    column = data.draw(st.lists(LIKELY[kind], max_size=4), label="column")
    fast = arrow._at_once(kind, column, verbatim=False)
    if fast is not None and kind != "json":
        slow, bad = arrow._one_by_one(kind, column)
        assert not bad
        assert fast.to_pylist() == slow.to_pylist()
        assert fast.type == slow.type == TYPES[kind].arrow


@settings(max_examples=120)
@given(data=st.data())
def test_valid_rows_are_independent_of_invalid_rows(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), label="kinds")
    columns = [ID, *(Column(f"c{n}", kind, "", required=n == 0) for n, kind in enumerate(kinds))]
    attributes = st.fixed_dictionaries(
        {}, optional={f"c{n}": LIKELY[kind] | scalars for n, kind in enumerate(kinds)}
    )
    row = st.fixed_dictionaries({"id": st.integers(1, 2**63 - 1) | scalars, "attributes": attributes})
    rows: list[Any] = data.draw(st.lists(row | scalars, max_size=6), label="rows")
    table, rejected = typed(columns, rows)
    assert table.num_rows + len(rejected) == len(rows)
    assert table.schema == arrow.schema(columns)
    kept = [each for each in rows if typed(columns, [each])[0].num_rows]
    alone = [typed(columns, [each])[0].to_pylist()[0] for each in kept]
    assert table.to_pylist() == alone
    assert all(r.reason and isinstance(r.row, str) for r in rejected)


def test_declared_columns_cover_the_responses_of_the_sandbox(quiet_program: Program) -> None:
    lists = quiet_program.snapshot(quiet_program.options.end)
    for name, endpoint in ENDPOINTS.items():
        table, rejected = typed(endpoint.columns, lists[name])
        assert not rejected
        assert table["id"].to_pylist() == [row["id"] for row in lists[name]]
        assert new_columns(endpoint.columns, lists[name]) == []


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-10-05T24:00:00Z", "2026-10-06T00:00:00+00:00"),
        ("2026-12-31T24:00:00.000+02:00", "2026-12-31T22:00:00+00:00"),
        ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00+00:00"),
        ("2026-10-05t06:00:00z", "2026-10-05T06:00:00+00:00"),
    ],
)
def test_unusual_but_legal_times_are_read(text: str, iso: str) -> None:
    array, misfits = to_array("timestamp", ["2026-10-05T06:00:00Z", text])
    assert not misfits
    assert array.to_pylist()[1].isoformat() == iso
