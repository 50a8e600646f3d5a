from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbt_like_sql.runner import ProjectError, load_project, parsing
from dbt_like_sql.runner.loading import PROJECT

from .conftest import SHOP, Write


def load_error(root: Path) -> str:
    with pytest.raises(ProjectError) as error:
        load_project(root)
    return str(error.value)


def test_project_has_dependencies_in_build_order(shop: Path) -> None:
    project = load_project(shop)
    assert [m.relation for m in project.models] == [
        "staging.stg_customers",
        "staging.stg_events",
        "marts.dim_member",
        "marts.fct_event",
        "reports.rpt_total",
    ]
    member = project.node("dim_member")
    assert project.node("marts.dim_member") is member
    assert member.depends_on == ("stg_customers", "stg_events")
    assert project.node("stg_events").sources == ("rivo_raw.events",)
    assert project.upstream("rpt_total") == ("stg_customers", "stg_events", "dim_member")
    assert project.downstream("stg_events") == ("dim_member", "fct_event", "rpt_total")
    with pytest.raises(
        ProjectError, match=r"No model or seed is called dim_membr. Did you mean dim_member\?"
    ):
        project.node("dim_membr")


def test_columns_have_descriptions_and_origins(shop: Path) -> None:
    member = load_project(shop).node("dim_member")
    assert [(c.name, c.description) for c in member.columns] == [
        ("customer_id", "The member."),
        ("email", "The address."),
        ("balance", "Points held."),
    ]
    balance = member.columns[2]
    assert [str(o) for o in balance.inputs] == ["staging.stg_events.amount"]
    assert [str(o) for o in balance.origins] == ["rivo_raw.events.amount"]
    members, total = load_project(shop).node("rpt_total").columns
    assert members.origins == ()
    assert [str(o) for o in total.origins] == ["rivo_raw.events.amount"]


def test_property_files_have_dbts_format(write: Write) -> None:
    root = write(
        SHOP
        | {
            "models/marts/_marts.yml": """
                version: 2
                models:
                  - name: dim_member
                    description: "  One row per member.  "
                    config:
                      tags: daily
                      meta: {grain: customer_id}
                    columns:
                      - name: balance
                        description: Own description.
                        data_tests: [not_null]
                """,
            "tests/_tests.yml": """
                data_tests:
                  - {name: total_is_right, description: It adds up., config: {severity: warn}}
                """,
            "tests/total_is_right.sql": """
                select * from reports.rpt_total
                where balance != (select sum(balance) from marts.dim_member);
                """,
        }
    )
    project = load_project(root)
    member = project.node("dim_member")
    assert (member.description, member.tags, member.meta) == (
        "One row per member.",
        ("daily",),
        {"grain": "customer_id"},
    )
    assert member.columns[2].description == "Own description."
    assert [t.name for t in project.tests_of("dim_member")] == [
        "documented_columns",
        "not_null_dim_member_balance",
    ]
    singular = project.tests_of("rpt_total")[-1]
    assert (singular.name, singular.severity, singular.depends_on) == (
        "total_is_right",
        "warn",
        ("dim_member",),
    )
    assert project.sources["rivo_raw.customers"].columns[0].description == "Rivo's id."


def test_seed_is_loaded_like_a_model(write: Write) -> None:
    root = write(
        SHOP
        | {
            "seeds/rules.csv": "pattern,priority\nx,1\n",
            "seeds/_seeds.yml": "seeds: [{name: rules, config: {column_types: {pattern: varchar}}}]",
            "models/intermediate/int_rules.sql": "select pattern from seeds.rules",
        }
    )
    project = load_project(root)
    assert [s.relation for s in project.seeds] == ["seeds.rules"]
    assert next(iter(project.nodes)) == "rules"
    assert [str(o) for o in project.node("int_rules").columns[0].origins] == ["seeds.rules.pattern"]


def test_two_tests_with_the_same_default_name_get_different_names(write: Write) -> None:
    root = write(
        SHOP
        | {
            "models/m.yml": """
                models:
                  - name: dim_member
                    data_tests:
                      - expression_is_true: {expression: balance >= 0}
                      - expression_is_true: {expression: balance != 0}
                """
        }
    )
    assert [t.name for t in load_project(root).tests_of("dim_member")][:-1] == [
        "expression_is_true_dim_member_balance_0",
        "expression_is_true_dim_member_balance_0_2",
    ]


def test_relationships_test_orders_its_parent_first(write: Write) -> None:
    root = write(
        SHOP
        | {
            "models/marts/a_first_by_name.sql": "select event_id, customer_id from staging.stg_events",
            "models/marts/m.yml": """
                models:
                  - name: a_first_by_name
                    columns:
                      - name: customer_id
                        data_tests:
                          - relationships: {arguments: {to: ref('dim_member'), field: customer_id}}
                """,
        }
    )
    project = load_project(root)
    order = list(project.nodes)
    assert order.index("dim_member") < order.index("a_first_by_name")
    assert project.node("a_first_by_name").depends_on == ("stg_events",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "models/marts/x.sql": "with a as (\n  select *\n  from staging.stg_custmers\n)\nselect * from a"
            },
            "models/marts/x.sql, line 3: no model, seed or source is called staging.stg_custmers. "
            "Did you mean staging.stg_customers?",
        ),
        (
            {"models/marts/x.sql": "select * from stg_customers"},
            "models/marts/x.sql, line 1: no model, seed or source is called stg_customers. "
            "Did you mean staging.stg_customers?",
        ),
        (
            {"models/marts/x.sql": "select * from events"},
            "models/marts/x.sql, line 1: no model, seed or source is called events. "
            "Did you mean rivo_raw.events?",
        ),
        (
            {"models/marts/x.sql": "select * from 'zebra.parquet'"},
            "models/marts/x.sql, line 1: no model, seed or source is called zebra.parquet.",
        ),
        (
            {"models/staging/x.sql": "-- up\nselect * from marts.dim_member"},
            "models/staging/x.sql, line 2: staging.x reads marts.dim_member, which is in a higher layer. "
            "A model can only read its own layer or a lower one (staging < intermediate < marts < reports).",
        ),
        (
            {
                "models/marts/a.sql": "select * from marts.b",
                "models/marts/b.sql": "select * from marts.c",
                "models/marts/c.sql": "select *\nfrom marts.a",
            },
            "These models form a cycle. Remove one of the references:\n"
            "  marts.a reads marts.b (models/marts/a.sql, line 1)\n"
            "  marts.b reads marts.c (models/marts/b.sql, line 1)\n"
            "  marts.c reads marts.a (models/marts/c.sql, line 2).",
        ),
        (
            {
                "models/marts/a.sql": "select customer_id from marts.dim_member",
                "models/marts/m.yml": """
                    models:
                      - name: dim_member
                        columns:
                          - name: customer_id
                            data_tests: [relationships: {to: ref('a'), field: customer_id}]
                    """,
            },
            "These models form a cycle. Remove one of the references:\n"
            "  marts.a reads marts.dim_member (models/marts/a.sql, line 1)\n"
            "  marts.dim_member is tested against marts.a (models/marts/m.yml, dim_member, column customer_id).",
        ),
        (
            {"models/reports/dim_member.sql": "select 1 as one"},
            "models/marts/dim_member.sql and models/reports/dim_member.sql have the same name: dim_member. "
            "Rename one of them.",
        ),
        (
            {"seeds/dim_member.csv": "a,b\n"},
            "seeds/dim_member.csv and models/marts/dim_member.sql have the same name: dim_member. Rename one of them.",
        ),
        (
            {"models/marts/x.sql": "select 1 as a; select 2 as b"},
            "models/marts/x.sql holds 2 statements. Write exactly one SELECT.",
        ),
        (
            {"models/marts/x.sql": "create table y as select 1"},
            "models/marts/x.sql holds a CREATE statement. Write a plain SELECT instead.",
        ),
        (
            {"models/marts/x.sql": "insert into y select 1"},
            "models/marts/x.sql holds an INSERT statement. Write a plain SELECT instead.",
        ),
        (
            {"models/marts/x.sql": "describe marts.dim_member"},
            "models/marts/x.sql is not a plain SELECT. Write one SELECT.",
        ),
        ({"models/marts/x.sql": "-- later\n"}, "models/marts/x.sql is empty. Write one SELECT."),
        (
            {"models/marts/x.sql": "select\n  'é' as e,\n  1 as a from from b\n"},
            'models/marts/x.sql, line 3, column 15: syntax error at or near "from", in: 1 as a from from b',
        ),
        (
            {"models/marts/x.sql": "select (1"},
            "models/marts/x.sql, line 1, column 10: syntax error at end of input, in: select (1",
        ),
        (
            {"models/marts/x.sql": "select 1\nfrom a where\n\n"},
            "models/marts/x.sql, line 2, column 13: syntax error at end of input, in: from a where",
        ),
        (
            {"models/finance/x.sql": "select 1 as a"},
            "models/finance/x.sql is not in a layer. "
            "Move it to models/ and one of: staging, intermediate, marts, reports.",
        ),
        (
            {"models/marts/My Model.sql": "select 1 as a"},
            "models/marts/My Model.sql: the file name becomes a name in SQL. "
            "Use only lower-case letters, digits and underscores, and begin with a letter or an underscore.",
        ),
        (
            {"models/m.yml": "models: [{name: dim_membr}]"},
            "models/m.yml, dim_membr: there is no model dim_membr. Did you mean dim_member?",
        ),
        (
            {"models/m.yml": "models: [{name: dim_member, columns: [{name: emial}]}]"},
            "models/m.yml, dim_member: marts.dim_member has no column emial. Did you mean email?",
        ),
        (
            {"models/m.yml": "models: [{name: dim_member}]", "models/n.yml": "models: [{name: dim_member}]"},
            "models/n.yml, dim_member is already described in models/m.yml, dim_member.",
        ),
        (
            {"models/m.yml": "models: [{name: dim_member, columns: [{name: email, data_tests: [not_nul]}]}]"},
            "models/m.yml, dim_member, column email: there is no test called not_nul. Did you mean not_null?",
        ),
        (
            {"models/m.yml": "models: [{name: dim_member, colums: []}]"},
            "models/m.yml, dim_member: unknown key 'colums'. Did you mean columns?",
        ),
        (
            {"models/m.yml": "models:\n  - name: dim_member\n    columns: [\n"},
            "models/m.yml, line 4: this is not valid YAML: did not find expected node content.",
        ),
        ({"models/m.yml": "models: dim_member"}, "models/m.yml, models: expected a list"),
        ({"models/m.yml": "models: [{description: x}]"}, "models/m.yml, models: every entry needs a name"),
        (
            {
                "models/m.yml": "sources: [{name: raw, tables: [{name: t, columns: [{name: a, data_tests: [x]}]}]}]"
            },
            "models/m.yml, raw.t: tests of sources are not run. Put them on the staging model.",
        ),
        (
            {
                "seeds/rules.csv": "pattern\n",
                "seeds/s.yml": "seeds: [{name: rules, config: {column_types: {patern: int}}}]",
            },
            "seeds/s.yml, rules: column_types names patern, but the CSV has no such column. Did you mean pattern?",
        ),
        (
            {"tests/t.sql": "select * from rivo_raw.customers"},
            "tests/t.sql reads no model or seed, so it tests nothing. Read the table it is meant to test.",
        ),
        (
            {"tests/t.sql": "select * from marts.dim_membr"},
            "tests/t.sql, line 1: no model, seed or source is called marts.dim_membr. Did you mean marts.dim_member?",
        ),
        (
            {"tests/t.yml": "data_tests: [{name: totals}]"},
            "tests/t.yml, totals: there is no singular test totals.",
        ),
    ],
)
def test_error_in_a_project_is_reported_with_its_place(
    write: Write, files: dict[str, str], message: str
) -> None:
    error = load_error(write(SHOP | files))
    assert error.startswith(message)
    assert error == message or not message.endswith((".", "?"))


@pytest.fixture
def kept(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The kept copy of the project `shop`, which cannot be parsed again."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load_project(shop)
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "parse_project", lambda *_: pytest.fail("the project was parsed again"))
        yield shop / "__pycache__" / "project.pickle"


def test_kept_copy_equals_the_parsed_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load_project()

    assert load_project() == parsing.parse_project(PROJECT)


def test_kept_copy_is_read_while_no_file_changes(shop: Path, kept: Path) -> None:
    assert kept.exists()
    assert load_project(shop).node("dim_member").depends_on == ("stg_customers", "stg_events")


@pytest.mark.parametrize(
    "file", ["models/marts/fct_event.sql", "models/column_descriptions.yml", "seeds/new.csv"]
)
@pytest.mark.usefixtures("kept")
def test_project_is_parsed_again_when_a_file_changes(shop: Path, file: str) -> None:
    (shop / file).parent.mkdir(exist_ok=True)
    with (shop / file).open("a") as changed:
        changed.write("\n")

    with pytest.raises(pytest.fail.Exception, match="parsed again"):
        load_project(shop)


@pytest.mark.parametrize("content", [b"", b"damaged", bytes(5_000)])
def test_damaged_copy_is_not_read(shop: Path, kept: Path, content: bytes) -> None:
    kept.write_bytes(content)

    with pytest.raises(pytest.fail.Exception, match="parsed again"):
        load_project(shop)


def test_project_is_loaded_where_no_copy_can_be_kept(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (shop / "__pycache__").write_text("a file where the folder should be")

    assert load_project(shop).node("dim_member")


def test_no_copy_is_kept_where_python_writes_none(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    load_project(shop)

    assert not (shop / "__pycache__").exists()


def test_kept_copy_is_read_without_sqlglot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load_project()
    code = "import sys; from dbt_like_sql.runner import load_project; load_project(); print('sqlglot' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT.parent, capture_output=True, text=True)

    assert done.stdout == "False\n", done.stderr
