"""Actions: SELECTs that are read like models, described in property files, and never built."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from dbt_like_sql.runner import load_project
from dbt_like_sql.runner.docs import page

from .conftest import Write
from .test_loading import load_error

SQL = """
    with members as (select * from marts.dim_member)

    select customer_id, 10 as points_amount, 'hello' as external_note
    from members
    where balance > 100
    """
YML = """
    actions:
      - name: hello
        description: Says hello.
        action: add_points
        key: [customer_id]
        limits:
          per_run: {max_rows: 5, max_value: 2.5}
        trigger: points_earned
        columns:
          - {name: external_note, description: What the shopper reads.}
    """


@pytest.fixture
def with_action(shop: Path, write: Write) -> Path:
    return write({"actions/hello.sql": SQL, "actions/_actions.yml": YML})


def test_action_has_lineage_and_properties_and_is_not_built(with_action: Path) -> None:
    project = load_project(with_action)
    [action] = project.actions.values()
    assert (action.name, action.action, action.key, action.trigger) == (
        "hello",
        "add_points",
        ("customer_id",),
        "points_earned",
    )
    assert (action.enabled, action.send_email, action.allow_negative) == (False, False, False)
    assert action.limits == {"per_run": {"max_rows": Decimal(5), "max_value": Decimal("2.5")}}
    assert action.depends_on == ("dim_member",)
    columns = {column.name: column for column in action.columns}
    assert [str(origin) for origin in columns["customer_id"].origins] == ["rivo_raw.customers.id"]
    assert columns["external_note"].description == "What the shopper reads."
    assert "hello" not in project.nodes
    html = page(project, None, "No warehouse.", "Shop")
    assert "actions.hello" in html
    assert "per run max_rows 5" in html


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("add_points", "add_point", "`action` is 'add_point'. It must be one of add_points, "),
        ("key: [customer_id]", "key: []", "`key` must list the columns"),
        (
            "key: [customer_id]",
            "key: [customer]",
            "`key` names customer, but actions/hello.sql has no such column",
        ),
        ("max_rows: 5", "max_row: 5", "unknown key 'max_row'. Did you mean max_rows?"),
        ("max_rows: 5", "max_rows: -1", "max_rows must be a number of 0 or more, not -1"),
        ("per_run", "per_week", "unknown key 'per_week'"),
        ("trigger: points_earned", "trigger: points_earnd", "Did you mean points_earned?"),
        ("trigger: points_earned", "enabled: 'yes'", "`enabled` must be true or false, not 'yes'"),
        ("trigger: points_earned", "enable: true", "unknown key 'enable'. Did you mean enabled?"),
        ("- name: hello", "- name: helo", "actions/hello.sql: no property file describes it"),
    ],
)
def test_wrong_properties_are_refused(old: str, new: str, message: str, shop: Path, write: Write) -> None:
    root = write({"actions/hello.sql": SQL, "actions/_actions.yml": YML.replace(old, new)})
    assert message in load_error(root)


def test_description_without_a_file_is_refused(shop: Path, write: Write) -> None:
    assert "there is no action hello" in load_error(write({"actions/_actions.yml": YML}))


def test_action_is_read_by_no_model_and_has_a_name_of_its_own(with_action: Path, write: Write) -> None:
    message = load_error(write({"models/marts/bad.sql": "select * from actions.hello"}))
    assert "models/marts/bad.sql, line 1: no model, seed or source is called actions.hello" in message
    (with_action / "models/marts/bad.sql").unlink()
    message = load_error(write({"models/marts/hello.sql": "select 1 as x"}))
    assert "have the same name: hello" in message
    (with_action / "models/marts/hello.sql").unlink()
    message = load_error(write({"actions/hello.sql": "select customer_id from marts.dim_membr"}))
    assert "actions/hello.sql, line 1" in message
    assert "Did you mean marts.dim_member?" in message
