"""`rivo models` on the command line, on a warehouse filled by a sync."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import dbt_like_sql
from cli.main import main
from pipelines.settings import PROJECT
from tests.cli.conftest import KEY, Rivo
from tests.harness.store import project

Changed = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """Copy the SQL project with some files replaced; returns the environment in which `rivo` uses the copy."""

    def changed(files: dict[str, str]) -> dict[str, str]:
        package = tmp_path / "code" / "dbt_like_sql"
        shutil.copytree(Path(dbt_like_sql.__file__).parent, package, dirs_exist_ok=True)
        for name, text in files.items():
            (package / name).write_text(text)
        return {"PYTHONPATH": str(package.parent)}

    return changed


def test_models_list_shows_layer_name_rows_tests_and_description(rivo: Rivo, filled: Path) -> None:
    result = rivo("models", "list", RIVO_WAREHOUSE=str(filled))

    assert result.returncode == 0, result.stderr
    nodes = project().nodes
    for node in nodes.values():
        rows = r"[\d,]+" if node.materialized == "table" else "view"
        assert re.search(rf"^{node.schema} +{node.name} +{rows} +\d+ +\S", result.stdout, re.M), node.name
    assert f"{len(nodes)} of {len(nodes)}." in result.stdout
    some = rivo("models", "list", "--select", "+dim_tier", "--exclude", "staging seeds")
    assert re.findall(r"^(\w+) +(\w+) ", some.stdout, re.M)[1:-1] == [
        ("intermediate", "int_tier_versions"),
        ("intermediate", "int_tiers"),
        ("marts", "dim_tier"),
    ]
    assert "There is no warehouse at" in some.stdout


def test_models_build_publishes_the_models_it_built(rivo: Rivo, warehouse: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("delete from marts.dim_tier")
        connection.execute(
            "insert into meta.build_results (table_schema, table_name) values ('marts', 'dim_old')"
        )
        connection.execute("create table marts.dim_old as select 1 as a")

    unchanged = rivo("models", "build", "-s", "dim_tier")
    assert re.search(r"marts\.dim_tier +4 rows +unchanged", unchanged.stdout)
    assert "Models     0 built, 1 unchanged" in unchanged.stdout

    result = rivo("models", "build", "--all", "-s", "dim_tier", "-s", "dim_date")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"marts\.dim_tier +4 rows +\d+\.\d\d s +\d+ tests", result.stdout)
    assert "Models     2 built" in result.stdout
    assert "warehouse/rivo.duckdb" in result.stdout
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.dim_tier").fetchall() == [(4,)]

    everything = rivo("models", "build", RIVO_REPORT="yes")
    assert everything.returncode == 0
    assert "marts.dim_old: Dropped because no file in the project defines it any more." in everything.stdout
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        names = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    assert "dim_old" not in names
    assert sorted(path.name for path in warehouse.parent.iterdir()) == [
        "rivo.duckdb",
        "rivo.lock",
        "rivo.report.html",
    ]


def test_models_build_publishes_nothing_while_a_model_fails(
    rivo: Rivo, warehouse: Path, changed: Changed
) -> None:
    before = warehouse.read_bytes()
    wrong = changed(
        {"models/marts/dim_tier.sql": "select 1 as tier_id, now() as valid_from union all select 1, now()"}
    )

    result = rivo("models", "build", "--select", "dim_tier", **wrong)
    assert result.returncode == 1
    assert re.search(r"marts\.dim_tier +failed", result.stdout)
    assert "marts.dim_tier: " in result.stdout
    assert "The last good version is kept." in result.stdout
    assert (
        "was left as it was, because a model or a blocking check failed. What was built is kept"
        in result.stdout
    )
    assert warehouse.read_bytes() == before

    # The other model passes, but readers would see it together with the failed one.
    other = rivo("models", "build", "--select", "dim_date", **wrong)
    assert other.returncode == 1
    assert "marts.dim_tier failed or had to be skipped in an earlier run, and were not built" in other.stdout
    assert warehouse.read_bytes() == before

    fixed = rivo("models", "build", "--select", "dim_tier")
    assert fixed.returncode == 0, fixed.stdout
    assert warehouse.read_bytes() != before


def test_models_build_without_a_sync_fails_with_a_hint(rivo: Rivo, tmp_path: Path) -> None:
    result = rivo("models", "build")

    assert result.returncode == 1
    assert "Nothing has been synced into" in result.stderr
    assert "Run `make sync` first." in result.stderr
    assert not (tmp_path / "warehouse" / "rivo.duckdb").exists()


def test_models_test_reads_the_published_file_and_exits_with_1_if_a_test_fails(
    rivo: Rivo, warehouse: Path
) -> None:
    passed = rivo("models", "test", "--select", "dim_tier clock_is_one_row")
    assert passed.returncode == 0, passed.stdout
    count = len(project().tests_of("dim_tier")) + 1
    assert passed.stdout == f"{count} passed, 0 warnings, 0 failed\n"

    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("insert into marts.dim_tier from marts.dim_tier limit 1")
        connection.execute("drop table marts.dim_date")
    before = warehouse.read_bytes()
    failed = rivo("models", "test", "--select", "dim_tier dim_date")
    assert failed.returncode == 1
    assert re.search(
        r"^fail  marts\.dim_tier: unique_combination_of_columns_\w+: 1 failing row, for example: ",
        failed.stdout,
        re.M,
    )
    assert "      select " in failed.stdout
    assert (
        "marts.dim_date: not_null_dim_date_date_day: Not run because marts.dim_date has not been built yet."
        in failed.stdout
    )
    assert warehouse.read_bytes() == before


def test_models_show_prints_columns_tests_code_and_rows_of_a_table(rivo: Rivo, filled: Path) -> None:
    result = rivo("models", "show", "dim_member", RIVO_WAREHOUSE=str(filled))

    assert result.returncode == 0, result.stderr
    for text in (
        "marts.dim_member\n",
        "One row per customer known from any Rivo list",
        "grain        one row per customer_id",
        "file         models/marts/dim_member.sql",
        "(from customers.email)",
        "not_null_dim_member_customer_id",
        "pass: Passed.",
        "select * from final",
        "5 of ",
    ):
        assert text in result.stdout
    raw = rivo("models", "show", "rivo_raw.vip_tiers", RIVO_WAREHOUSE=str(filled))
    assert "4 of 4 rows." in raw.stdout
    without = rivo("models", "show", "dim_member")
    assert without.returncode == 0
    assert "There is no warehouse at" in without.stdout


def test_models_lineage_and_impact_trace_columns(rivo: Rivo) -> None:
    back = rivo("models", "lineage", "rpt_tier_migration.members")
    assert back.returncode == 0, back.stderr
    assert back.stdout.startswith("reports.rpt_tier_migration.members\n")
    assert "rivo_raw.customers.vip_tier\n" in back.stdout

    forth = rivo("models", "impact", "rivo_raw.customers.vip_tier")
    assert forth.returncode == 0, forth.stderr
    assert re.search(r"^reports\.rpt_tier_migration +.*from_state", forth.stdout, re.M)
    assert re.search(r"^\d+ columns in \d+ tables", forth.stdout, re.M)

    nothing = rivo("models", "impact", "rivo_raw._quarantine.reason")
    assert nothing.stdout == "Nothing is built from rivo_raw._quarantine.reason.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            "lineage dim_membr.tier_name",
            1,
            "No table or column is called dim_membr.tier_name. Did you mean marts.dim_member.tier_name?",
        ),
        (
            "lineage dim_member",
            1,
            "dim_member is a table, but lineage needs a column. For example: dim_member.customer_id",
        ),
        (
            "lineage dim_member.teir_name",
            1,
            "marts.dim_member has no column teir_name. Did you mean tier_name?",
        ),
        (
            "impact rivo_raw.customers.vip_teir",
            1,
            "rivo_raw.customers has no column vip_teir. Did you mean vip_tier?",
        ),
        ("show dim_membr", 1, "No table is called dim_membr. Did you mean marts.dim_member?"),
        (
            "build -s dim_membr",
            1,
            "The selector dim_membr matches no model, seed, folder or tag. Did you mean dim_member?",
        ),
        ("test -s clock_is_one_rwo", 1, "No test is called clock_is_one_rwo. Did you mean clock_is_one_row?"),
        ("test -s dim_tier", 3, "Run `make sync` first"),
        (
            "list --select dim_tier dim_date",
            2,
            "Unexpected argument 'dim_date'. Selectors follow --select or --exclude. Quote several together: --select",
        ),
    ],
)
def test_models_suggests_the_nearest_name_for_a_mistyped_one(
    arguments: str,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("RIVO_API_KEY", KEY)
    monkeypatch.setenv("RIVO_WAREHOUSE", str(tmp_path / "rivo.duckdb"))
    # Parsed once for all cases.
    monkeypatch.setattr("dbt_like_sql.runner.load_project", lambda shop="": project())
    monkeypatch.setattr("sys.argv", ["rivo", "models", *arguments.split()])

    with pytest.raises(SystemExit) as ended:
        main()

    printed = capsys.readouterr()
    assert ended.value.code == code
    assert message in printed.err
    assert printed.out == ""


def test_models_docs_writes_one_page_that_needs_no_network(rivo: Rivo, filled: Path, tmp_path: Path) -> None:
    page = tmp_path / "new folder" / "docs.html"
    result = rivo("models", "docs", "--output", str(page), RIVO_WAREHOUSE=str(filled))

    assert result.returncode == 0, result.stderr
    assert "new folder/docs.html" in result.stdout
    html = page.read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[\w/.]""", html.partition('id="data"')[0])
    data = json.loads(re.findall(r'id="data">(.*?)</script>', html, re.S)[0])
    member = next(table for table in data["tables"] if table["id"] == "marts.dim_member")
    with duckdb.connect(str(filled), read_only=True) as connection:
        assert [(member["rows"],)] == connection.execute("select count(*) from marts.dim_member").fetchall()
    assert {test["status"] for test in member["tests"]} == {"pass"}
    # The page may be shared, so it has rows of aggregates alone.
    assert "@example" not in html
    answers = {table["id"]: table["answer"] for table in data["tables"] if table.get("answer")}
    assert {name for name, answer in answers.items() if answer["note"]} == {
        "reports.rpt_advocates",
        "reports.rpt_manual_adjustments",
        "reports.rpt_points_expiring",
        "reports.rpt_referral_quality",
        "reports.rpt_reward_reach",
    }
    assert answers["reports.rpt_program_monthly"]["rows"]

    folder = rivo("models", "docs", "-o", str(tmp_path / "site"))
    assert folder.returncode == 0, folder.stderr
    assert "site/index.html" in folder.stdout
    assert (tmp_path / "site" / "index.html").read_text().startswith("<!doctype html>")

    unwritable = rivo("models", "docs", "-o", "/dev/null/docs.html")
    assert unwritable.returncode == 1
    assert "/dev/null/docs.html cannot be written" in unwritable.stderr
    assert "Choose another file with --output." in unwritable.stderr


@pytest.mark.parametrize(
    ("file", "sql", "message"),
    [
        (
            "models/marts/dim_tier.sql",
            "select tier_id\nfrom intermediate.int_teirs\n",
            "models/marts/dim_tier.sql, line 2: no model, seed or source is called intermediate.int_teirs. "
            "Did you mean intermediate.int_tiers?",
        ),
        (
            "models/staging/stg_rivo__vip_tiers.sql",
            "select * from marts.dim_tier\n",
            "models/staging/stg_rivo__vip_tiers.sql, line 1: staging.stg_rivo__vip_tiers reads marts.dim_tier, which "
            "is in a higher layer.",
        ),
        (
            "models/reports/dim_tier.sql",
            "select 1 as a\n",
            "models/marts/dim_tier.sql and models/reports/dim_tier.sql have the same name: dim_tier.",
        ),
    ],
)
def test_an_invalid_project_is_reported_in_one_line_by_build_and_sync(
    rivo: Rivo, changed: Changed, tmp_path: Path, file: str, sql: str, message: str
) -> None:
    wrong = changed({file: sql})
    for command in (["models", "build"], ["sync"]):
        result = rivo(*command, **wrong)
        assert result.returncode == 1
        assert result.stderr.startswith(f"Error in the SQL models: {message}")
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "warehouse" / "rivo.duckdb").exists()


def test_models_build_reports_file_line_and_nearest_names_for_a_missing_column(
    rivo: Rivo, warehouse: Path, changed: Changed
) -> None:
    sql = (PROJECT / "dbt_like_sql/models/marts/dim_tier.sql").read_text()
    wrong = changed({"models/marts/dim_tier.sql": sql.replace("tiers.tier_name", "tiers.tier_nam")})

    result = rivo("models", "build", "--select", "dim_tier+", **wrong)
    assert result.returncode == 1
    line = sql.split("tiers.tier_name")[0].count("\n") + 1
    assert (
        f"marts.dim_tier: models/marts/dim_tier.sql, line {line}: "
        'Table "tiers" does not have a column named "tier_nam"'
    ) in result.stdout
    assert '"tier_name"' in result.stdout
