"""The documented queries and the pandas example, on a store with two complete months of history."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from matplotlib import image

from benchmarks.large import documented_queries
from dbt_like_sql.runner.docs import THEMES
from examples.tier_migration import burn_ratio, main, migration
from pipelines.settings import PROJECT
from pipelines.warehouse import Warehouse
from sandbox.orders import write_orders
from tests.dbt_like_sql.models.stores import LAST, open_observed_store, question_program, question_warehouse
from tests.harness.store import Store, project

EXAMPLE = PROJECT / "examples" / "tier_migration.py"
PICTURES = ("tier_migration.png", "points_burn_ratio.png")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A small store synced twice, so that every query has an answer."""
    with open_observed_store(question_program(), tmp_path_factory.mktemp("queries")) as store:
        shutil.copy(question_warehouse(tmp_path_factory), store.path)
        yield store


def blocks(document: str) -> list[str]:
    return re.findall(
        r"^```sql\n(.*?)^```$", (PROJECT / document).read_text(), flags=re.MULTILINE | re.DOTALL
    )


def run_example(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the example in a process of its own; modules are searched in `path` first."""
    return subprocess.run(
        [sys.executable, EXAMPLE, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(path or "")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("question", documented_queries())
def test_documented_query_returns_rows(store: Store, question: str) -> None:
    rows = store.dicts(documented_queries()[question])

    assert rows
    assert any(value is not None for value in rows[0].values())


def test_documented_queries_are_numbered_one_to_twenty_five() -> None:
    assert [int(question.split(".")[0]) for question in documented_queries()] == list(range(1, 26))


def test_orders_are_joined_by_their_codes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    revenue, gaps = blocks("docs/shopify-orders.md")
    write_orders(store.program, LAST, Path("orders.csv"))
    with Path("orders.csv").open(encoding="utf-8") as file:
        orders = {row["Discount Code"]: row for row in csv.DictReader(file) if row["Discount Code"]}
    used = {
        row["attributes"]["code"]: row["attributes"]
        for row in store.program.snapshot(LAST)["points_redemptions"]
        if row["attributes"]["used_at"]
    }
    assert len(orders) > 20
    assert orders.keys() < used.keys()
    expected: dict[str, list[Decimal]] = defaultdict(list)
    for code, order in orders.items():
        expected[used[code]["reward"]["name"]].append(Decimal(order["Total"]))

    # As in DuckDB's own client; connections of this project may not read files.
    with duckdb.connect(str(store.path), read_only=True) as connection:
        by_reward = connection.execute(revenue).df()
        found = dict(connection.execute(gaps).fetchall())

    assert {
        name: (number, Decimal(str(total)))
        for name, number, total in zip(
            by_reward.reward_name, by_reward.orders, by_reward.revenue, strict=True
        )
    } == {name: (len(totals), sum(totals)) for name, totals in expected.items()}
    assert found == {
        "in both": len(orders),
        "used by Rivo's account, in no order": len(used) - len(orders),
    }


@pytest.mark.parametrize("name", [node.name for node in project().nodes.values() if node.meta.get("example")])
def test_example_of_a_model_returns_rows(store: Store, name: str) -> None:
    example = str(project().node(name).meta["example"])

    assert name in example
    # The small store has no suspicious adjustment, for example.
    assert store.dicts(example) or "where" in example


def test_marts_and_reports_say_what_else_they_are_called() -> None:
    public = [node for node in project().nodes.values() if node.schema in ("marts", "reports")]

    assert [node.name for node in public if not node.meta.get("also_called")] == []


def test_marts_and_reports_have_a_theme_that_the_documentation_knows() -> None:
    public = [node for node in project().nodes.values() if node.schema in ("marts", "reports")]

    assert [node.name for node in public if node.meta.get("theme") not in THEMES] == []


def test_tables_with_questions_have_an_example_that_answers_them() -> None:
    asked = [node for node in project().nodes.values() if node.texts("questions")]

    assert [node.name for node in asked if not node.texts("example")] == []


@pytest.mark.parametrize(
    "query", [q.strip() for block in blocks("README.md") for q in block.split(";") if q.strip()]
)
def test_readme_query_returns_rows(store: Store, query: str) -> None:
    assert store.dicts(query)


def test_readme_lists_every_report() -> None:
    listed = re.findall(r"^\| `(rpt_\w+)` \|", (PROJECT / "README.md").read_text(), flags=re.MULTILINE)

    assert sorted(listed) == sorted(name for name in project().nodes if name.startswith("rpt_"))


def test_metrics_document_has_a_section_for_every_report() -> None:
    sections = re.findall(
        r"^## (rpt_\w+)$", (PROJECT / "docs" / "metrics.md").read_text(), flags=re.MULTILINE
    )

    assert sorted(sections) == sorted(name for name in project().nodes if name.startswith("rpt_"))


def test_last_month_in_queries_is_the_last_complete_month(store: Store) -> None:
    moved = store.dicts(documented_queries()["1. Who moved between tiers last month?"])
    earned = store.dicts(documented_queries()["7. Which way to earn produced most points last month?"])
    september = (
        "select sum({what}) as n from reports.{table} where {month} = date '2026-09-01' and {more}"
    ).format

    # The last sync was on 5 October.
    assert [{"n": sum(row["members"] for row in moved)}] == store.dicts(
        september(
            what="members",
            table="rpt_tier_migration",
            month="period_start",
            more="period_type = 'month'",
        )
    )
    assert [{"n": sum(row["points_issued"] for row in earned)}] == store.dicts(
        september(what="points_issued", table="rpt_earning_rule_performance", month="month", more="true")
    )


def test_burn_ratio_of_query_and_example_equals_the_report(store: Store) -> None:
    reported = {
        row["period_start"]: row["points_burn_ratio"]
        for row in store.dicts(
            "select period_start, points_burn_ratio from reports.rpt_redemption_rates"
            " where period_type = 'month' and segment = 'all' and is_complete"
        )
    }
    with Warehouse(store.path).read() as warehouse:
        drawn = burn_ratio(warehouse)
    queried = store.dicts(documented_queries()["10. How many points are redeemed each month?"])

    assert len(reported) == 2
    by_month = {
        month.date(): ratio for month, ratio in zip(drawn.month, drawn.points_burn_ratio, strict=True)
    }
    assert {month: by_month[month] for month in reported} == pytest.approx(reported)
    reported = {row["month"]: row["points_burn_ratio"] for row in queried}
    assert {month: reported[month] for month in reported} == pytest.approx(reported, abs=1e-4)


def test_example_draws_both_pictures(store: Store, tmp_path: Path) -> None:
    done = run_example(store.path, tmp_path / "pictures")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(tmp_path / "pictures" / name) for name in PICTURES]
    for name in PICTURES:
        assert image.imread(tmp_path / "pictures" / name).std() > 0.05


def test_example_uses_all_history_without_a_complete_month(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Warehouse(store.path).read() as warehouse:
        assert set(migration(warehouse).period_type) == {"month"}
    young = tmp_path / "young.duckdb"
    shutil.copy(store.path, young)
    with duckdb.connect(str(young)) as warehouse:
        warehouse.execute("delete from reports.rpt_tier_migration where is_complete")
        assert set(migration(warehouse).period_type) == {"to_date"}
        warehouse.execute("delete from reports.rpt_points_rollforward")

    main([str(young), str(tmp_path)])

    assert "no burn ratio to draw" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.png")] == ["tier_migration.png"]


def documented_commands() -> list[str]:
    """Each line of the example's docstring and of README that runs the example."""
    text = EXAMPLE.read_text() + (PROJECT / "README.md").read_text()
    return re.findall(r"^ *(uv run .*examples/tier_migration\.py.*)$", text, flags=re.MULTILINE)


def test_example_documented_commands_work(store: Store, tmp_path: Path) -> None:
    assert len(documented_commands()) == 2
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    for command in documented_commands():
        arguments = command.removeprefix("uv run ").split()
        while arguments[0] == "--group":
            assert arguments[1] in groups, f"{command}: pyproject.toml has no such dependency group"
            arguments = arguments[2:]
        assert arguments[:3] == ["python", "examples/tier_migration.py", "data/demo.duckdb"]
        done = run_example(store.path, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


def test_example_without_matplotlib_names_a_command_that_works(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')")

    done = run_example("any.duckdb", path=tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("matplotlib is not installed here.")
    assert done.stderr.rstrip().endswith(f"uv run python {EXAMPLE} any.duckdb")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"), [(None, "There is no warehouse at"), ("text", "cannot be read")]
)
def test_example_reports_unreadable_warehouse_in_one_sentence(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content:
        (tmp_path / "shop.duckdb").write_text(content)

    with pytest.raises(SystemExit, match=said):
        main([str(tmp_path / "shop.duckdb")])
