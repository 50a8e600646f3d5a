"""Sample rows in Dagster: the lists whose text may be shown."""

from __future__ import annotations

from pipelines.rivo.endpoints import ENDPOINTS
from runs.samples import _SHOP_LISTS


def test_sample_text_comes_from_lists_without_a_customer_column() -> None:
    """The criterion here is the words in column names, so it does not depend on the marks in the endpoint table."""
    with_customers = {
        name
        for name, endpoint in ENDPOINTS.items()
        for column in endpoint.columns
        if name == "customers" or column.name.endswith(("customer", "customer_id", "email"))
    }

    assert with_customers
    assert set(ENDPOINTS) - with_customers == _SHOP_LISTS


def test_sample_text_comes_from_no_list_with_personal_columns() -> None:
    assert [
        f"{name}.{column.name}"
        for name in _SHOP_LISTS
        for column in ENDPOINTS[name].columns
        if column.personal or column.is_customer or column.nested == "customers"
    ] == []
