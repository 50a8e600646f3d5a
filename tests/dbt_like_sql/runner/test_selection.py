from __future__ import annotations

from pathlib import Path

import pytest

from dbt_like_sql.runner import ProjectError, load_project, select

from .conftest import SHOP, Write


@pytest.mark.parametrize(
    ("selectors", "exclude", "expected"),
    [
        ("", "", "stg_customers stg_events dim_member fct_event rpt_total"),
        ("dim_member", "", "dim_member"),
        ("marts.dim_member", "", "dim_member"),
        ("+dim_member", "", "stg_customers stg_events dim_member"),
        ("dim_member+", "", "dim_member rpt_total"),
        ("+dim_member+", "", "stg_customers stg_events dim_member rpt_total"),
        ("marts", "", "dim_member fct_event"),
        ("path:models/marts", "", "dim_member fct_event"),
        ("models/marts/fct_event.sql", "", "fct_event"),
        ("tag:daily", "", "fct_event"),
        ("+tag:daily", "", "stg_events fct_event"),
        ("rpt_total fct_event", "", "fct_event rpt_total"),
        ("", "marts+", "stg_customers stg_events"),
        ("+rpt_total", "staging", "dim_member rpt_total"),
    ],
)
def test_selectors_have_dbts_syntax(write: Write, selectors: str, exclude: str, expected: str) -> None:
    root = write(SHOP | {"models/m.yml": "models: [{name: fct_event, config: {tags: [daily]}}]"})
    assert " ".join(select(load_project(root), selectors, exclude)) == expected


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (
            "+dim_membr",
            r"The selector \+dim_membr matches no model, seed, folder or tag\. Did you mean dim_member\?",
        ),
        ("path:models/mart", r"The selector path:models/mart matches no model"),
        ("tag:dayly", r"The selector tag:dayly matches no model, seed, folder or tag\."),
    ],
)
def test_selector_that_matches_nothing_is_an_error(shop: Path, selector: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        select(load_project(shop), selector)
