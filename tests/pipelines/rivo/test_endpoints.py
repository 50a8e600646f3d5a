"""The definitions of the lists: their checks, and the types of their columns."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from pipelines.rivo.columns import META_COLUMNS, Column, ColumnType, Endpoint, endpoints_by_name
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.types import TYPES

ID = Column("id", "id", "", required=True)


def endpoint(*columns: Column, name: str = "perks", reading: Any = "full", **more: Any) -> Endpoint:
    """Return a list with these columns."""
    return Endpoint(
        name=name,
        title="Perks",
        path="/perks",
        description="",
        docs_url="",
        reading=reading,
        columns=columns,
        **more,
    )


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        pytest.param(
            (ID, Column("size", "text", ""), Column("size", "bigint", "")),
            {},
            "perks: two columns have the same name.",
            id="duplicate column",
        ),
        pytest.param((), {}, "perks: the first column must be a required id.", id="no column"),
        pytest.param(
            (Column("size", "text", ""), ID),
            {},
            "perks: the first column must be a required id.",
            id="id not first",
        ),
        pytest.param(
            (Column("id", "id", ""),),
            {},
            "perks: the first column must be a required id.",
            id="id not required",
        ),
        pytest.param(
            (ID,),
            {"reading": "cursor"},
            "perks: a list with reading='cursor' needs open_rows; other lists must not have it.",
            id="cursor without open_rows",
        ),
        pytest.param(
            (ID,),
            {"open_rows": "id > 0"},
            "perks: a list with reading='cursor' needs open_rows; other lists must not have it.",
            id="full with open_rows",
        ),
        pytest.param(
            (ID,),
            {"history": ("size",)},
            "perks: history names the column size, which does not exist.",
            id="history of a missing column",
        ),
        pytest.param(
            (ID, Column("tier_id", "id", "", fallback="tier")),
            {},
            "perks.tier_id: fallback names tier, which is not a column of type json.",
            id="fallback missing",
        ),
        pytest.param(
            (ID, Column("tier_id", "id", "", fallback="tier"), Column("tier", "text", "")),
            {},
            "perks.tier_id: fallback names tier, which is not a column of type json.",
            id="fallback not json",
        ),
        pytest.param(
            (ID, Column("note", "text", "", personal="note", about=("customer_id",))),
            {},
            "perks.note: about names customer_id, which is not a column of customer ids.",
            id="about missing",
        ),
        pytest.param(
            (
                ID,
                Column("customer_id", "id", ""),
                Column("note", "text", "", personal="note", about=("customer_id",)),
            ),
            {},
            "perks.note: about names customer_id, which is not a column of customer ids.",
            id="about not a customer id",
        ),
        pytest.param(
            (ID, Column("tier", "text", "", nested="vip_tiers")),
            {},
            "perks.tier: nested is set, but the type of the column is not json.",
            id="nested not json",
        ),
    ],
)
def test_endpoint_rejects_a_contradiction(
    columns: tuple[Column, ...], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        endpoint(*columns, **more)


def test_endpoint_accepts_consistent_columns() -> None:
    columns = (
        ID,
        Column("customer_id", "id", "", fallback="customer", is_customer=True),
        Column("customer", "json", "", nested="customers"),
        Column("note", "text", "", personal="note", about=("customer_id",)),
    )
    made = endpoint(*columns, reading="cursor", open_rows="id > 0", history=("note",))
    assert made.column("note") is columns[3]
    with pytest.raises(KeyError):
        made.column("size")


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        pytest.param((endpoint(ID), endpoint(ID)), "Two lists have the same name.", id="duplicate list"),
        pytest.param(
            (endpoint(ID, Column("tier", "json", "", nested="tiers")),),
            "perks.tier: nested names tiers, which is not a list.",
            id="nested missing",
        ),
    ],
)
def test_endpoints_by_name_rejects_a_contradiction(endpoints: tuple[Endpoint, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        endpoints_by_name(*endpoints)


def test_endpoints_by_name_accepts_nested_objects_of_its_lists() -> None:
    tiers = endpoint(ID, name="tiers")
    perks = endpoint(ID, Column("tier", "json", "", nested="tiers"))
    assert endpoints_by_name(perks, tiers) == {"perks": perks, "tiers": tiers}


def test_types_has_exactly_the_column_types() -> None:
    assert set(TYPES) == set(get_args(ColumnType))


def test_every_declared_column_has_a_known_type() -> None:
    declared = {column.type for each in ENDPOINTS.values() for column in (*each.columns, *META_COLUMNS)}
    assert declared <= set(TYPES)
