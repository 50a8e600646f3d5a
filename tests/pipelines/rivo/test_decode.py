"""Decoding of pages: rows decoded to structs and to plain JSON objects give the same values."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rivo.arrow import Batch, Rejected, batch, to_table, undeclared
from pipelines.rivo.columns import Column
from pipelines.rivo.decode import Page, PageDecoder, TypedRow, attribute_values, json_text, resource_ids
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.repair import REPAIRS
from sandbox import Program
from tests.pipelines.rivo.test_arrow import ID, LIKELY, scalars

COLUMNS = (
    ID,
    Column("points", "quantity", "", required=True),
    Column("reward_id", "id", "", fallback="reward"),
    Column("name", "text", ""),
    Column("order", "scalar", ""),
    Column("hidden", "bool", ""),
    Column("at", "timestamp", "", aliases=("time",)),
    Column("money", "decimal", ""),
    Column("tags", "json", ""),
    Column("reward", "json", "", volatile=True),
)


def page(rows: list[Any]) -> bytes:
    return json.dumps({"data": rows, "links": {"next_since_id": None}}, ensure_ascii=False).encode()


def plainly(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of the table with JSON columns parsed."""
    found: list[dict[str, Any]] = table.to_pylist()
    for row in found:
        row |= {name: json.loads(row[name]) for name in ("tags", "reward") if row[name] is not None}
    return found


def said(rejected: list[Rejected]) -> list[tuple[int | None, str, Any]]:
    return [(each.id, each.reason, json.loads(each.row)) for each in rejected]


def filled(read: Batch) -> dict[str, list[bool]]:
    return {name: [value is not None for value in column] for name, column in read.values.items()}


attributes = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2),
        "points": LIKELY["quantity"],
        "reward_id": LIKELY["id"] | st.just("12"),
        "name": LIKELY["text"],
        "order": LIKELY["scalar"] | st.integers(0, 9),
        "hidden": LIKELY["bool"],
        "at": LIKELY["timestamp"],
        "time": LIKELY["timestamp"],
        "money": LIKELY["decimal"],
        "tags": LIKELY["json"],
        "reward": st.fixed_dictionaries({}, optional={"id": st.integers(0, 9) | st.just("7"), "x": scalars})
        | st.none()
        | st.integers(0, 9),
        "undeclared-x": scalars,
    },
)
likely_rows = st.fixed_dictionaries({"id": st.integers(1, 2**63 - 1), "attributes": attributes})
damaged_rows = st.fixed_dictionaries(
    {"id": scalars, "attributes": st.fixed_dictionaries({"points": scalars, "name": scalars})}
)


@settings(max_examples=300)
@given(
    pages=st.lists(
        st.lists(likely_rows, max_size=3) | st.lists(likely_rows | damaged_rows, max_size=2), max_size=3
    )
)
def test_structs_and_objects_give_the_same_values(pages: list[list[Any]]) -> None:
    decode = PageDecoder(COLUMNS)
    typed = [row for rows in pages for row in decode(page(rows))["data"]]
    plain = [row for rows in pages for row in orjson.loads(page(rows))["data"]]

    assert resource_ids(typed) == resource_ids(plain)
    one, other = batch(Page.of(typed)), batch(Page.of(plain))
    assert filled(one) == filled(other)
    assert undeclared(COLUMNS, one) == undeclared(COLUMNS, other)
    table, rejected = to_table(COLUMNS, one)
    expected, why = to_table(COLUMNS, other)
    assert plainly(table) == plainly(expected)
    assert table.drop_columns("reward") == expected.drop_columns("reward"), "sorted JSON gives equal texts"
    assert said(rejected) == said(why)


def test_decoder_returns_structs_once_attributes_are_known(quiet_program: Program) -> None:
    for name, rows in quiet_program.snapshot(quiet_program.options.end).items():
        decode = PageDecoder(ENDPOINTS[name].columns)
        decode(page(rows))
        typed = decode(page(rows))["data"]
        assert rows
        assert all(isinstance(row, TypedRow) for row in typed)
        assert [json.loads(json_text(row)) for row in typed] == rows


def test_decoder_learns_an_undeclared_attribute() -> None:
    decode = PageDecoder(COLUMNS)
    rows = [{"id": 1, "attributes": {"points": 1, "Was Ist?": {"a": [1]}}}]
    first, second = decode(page(rows))["data"], decode(page(rows))["data"]
    assert [type(first[0]), isinstance(second[0], TypedRow)] == [dict, True]
    assert dict(attribute_values(second)) == {"points": (1,), "Was Ist?": ({"a": [1]},)}


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\ud800 "', b'["\\uD800 "]', b"[NaN]", b"NaN", b'"a\nb"'])
@pytest.mark.parametrize("attribute", [b"tags", b"name", b"undeclared"])
def test_decoder_repairs_a_damaged_value_in_any_attribute(text: bytes, attribute: bytes) -> None:
    body = b'{"data": [{"id": 1, "attributes": {"points": 1, "%s": %s}}]}' % (attribute, text)
    decoded = PageDecoder(COLUMNS)(body)
    table, rejected = to_table(COLUMNS, batch(Page.of(decoded["data"])))
    # A list does not fit the column `name`, damaged or not.
    fits = not (attribute == b"name" and text.startswith(b"["))
    assert (table["id"].to_pylist(), len(rejected)) == (([1], 0) if fits else ([], 1))
    assert {(each.row_id, each.attribute) for each in decoded[REPAIRS]} <= {(1, attribute.decode())}


@pytest.mark.parametrize("text", [b"{,}", b"[1,,2]", b"tru", b'{"a":' * 3000 + b"1" + b"}" * 3000])
def test_row_that_cannot_be_decoded_is_rejected_alone(text: bytes) -> None:
    body = b'{"data": [{"id": 1, "attributes": {"points": 1}}, {"id": 2, "attributes": {"tags": %s}}]}' % text
    table, rejected = to_table(COLUMNS, batch(Page.of(PageDecoder(COLUMNS)(body)["data"])))
    assert table["id"].to_pylist() == [1]
    assert [each.id for each in rejected] == [2]


def test_decoder_reads_surrogate_pairs() -> None:
    body = rb'{"data": [{"id": 1, "attributes": {"points": 1, "tags": ["\ud83d\ude00"]}}]}'
    table, rejected = to_table(COLUMNS, batch(Page.of(PageDecoder(COLUMNS)(body)["data"])))
    assert (table["tags"].to_pylist(), rejected) == (['["😀"]'], [])


def test_json_number_outside_the_range_of_doubles_is_kept() -> None:
    body = b'{"data": [{"id": 1, "attributes": {"points": 1, "tags": [1e999], "reward": {"x": 1e999}}}]}'
    table, rejected = to_table(COLUMNS, batch(Page.of(PageDecoder(COLUMNS)(body)["data"])))
    assert (table["tags"].to_pylist(), table["reward"].to_pylist()) == (["[1e999]"], ['{"x": 1e999}'])
    assert not rejected


def test_decoder_returns_a_response_without_rows_unchanged() -> None:
    for body in (b"[]", b"{}", b'{"data": null}', b'{"data": {"id": 1}}', b'{"data": [1, null, {"id": 2}]}'):
        assert PageDecoder(COLUMNS)(body) == orjson.loads(body)
