"""The files of an exported dbt project: whole, readable by its engine, and the same each time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import pytest
import sqlglot
import yaml

from dbt_like_sql.export import ENGINES, exported_files
from dbt_like_sql.export.choice import choose
from dbt_like_sql.export.exposures import REPORT_PAGE
from dbt_like_sql.export.project_files import project_files
from dbt_like_sql.runner.loading import load_project
from pipelines.settings import PROJECT
from tests.harness.store import project

CALL = re.compile(r"\{\{ (ref|source)\('(\w+)'(?:, '(\w+)')?\) \}\}")
DIALECTS = tuple(ENGINES)
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache
def files(dialect: str) -> Mapping[str, str]:
    exported = exported_files(project(), dialect)
    return {path: text if isinstance(text, str) else text.decode() for path, text in exported.items()}


def selects(dialect: str) -> dict[str, str]:
    """Return the SELECTs, with names in place of dbt's calls."""
    folders = ("models/", "tests/", "analyses/")
    found = {p: text for p, text in files(dialect).items() if p.startswith(folders) and p.endswith(".sql")}
    plain = {p: re.sub(r"\{\{ config\(.*?\) \}\}", "", text) for p, text in found.items()}
    return {p: CALL.sub(lambda m: f"{m[2]}_{m[3] or ''}", text) for p, text in plain.items()}


@lru_cache
def property_files(dialect: str) -> list[dict]:
    folders = ("models/", "seeds/", "tests/")
    written = files(dialect)
    return [yaml.load(written[p], Loader) for p in written if p.startswith(folders) and p.endswith(".yml")]


def entries(dialect: str, kind: str) -> list[dict]:
    return [entry for content in property_files(dialect) for entry in content.get(kind) or ()]


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "duckdb"])
def test_every_select_parses_in_its_dialect(dialect: str) -> None:
    found = selects(dialect)
    assert len(found) > 150
    for path, text in found.items():
        [tree] = sqlglot.parse(text, dialect=dialect)
        assert isinstance(tree, sqlglot.exp.Query), path


@pytest.mark.parametrize("dialect", DIALECTS)
def test_models_are_cte_chains_that_end_in_select_from_final(dialect: str) -> None:
    for path, text in files(dialect).items():
        if path.startswith("models/") and path.endswith(".sql"):
            body = text.lower().rstrip()
            assert re.search(r"\nselect \* from final(\norder by\s[^)]*)?$", body), path
            assert body.startswith(("with", "--")), path


@pytest.mark.parametrize("dialect", DIALECTS)
def test_references_lead_to_models_seeds_and_sources(dialect: str) -> None:
    written = files(dialect)
    names = {path.rpartition("/")[2].partition(".")[0] for path in written if path.startswith("models/")}
    names |= {path.removeprefix("seeds/").removesuffix(".csv") for path in written if path.endswith(".csv")}
    sources = {
        (source["name"], table["name"])
        for source in entries(dialect, "sources")
        for table in source["tables"]
    }
    for path, text in written.items():
        for kind, first, second in CALL.findall(text):
            known = (first, second) in sources if kind == "source" else first in names
            assert known, (path, first, second)
        for target in re.findall(r"\bto: ref\('(\w+)'\)", text):
            assert target in names, (path, target)


def test_every_model_column_and_test_of_the_project_is_in_the_duckdb_export() -> None:
    nodes = project().nodes
    described = {entry["name"]: entry for kind in ("models", "seeds") for entry in entries("duckdb", kind)}
    assert set(described) == set(nodes)
    for name, node in nodes.items():
        entry = described[name]
        assert entry["description"] == node.description
        assert [column["name"] for column in entry["columns"]] == [column.name for column in node.columns]
        texts = [column.get("description", "") for column in entry["columns"]]
        assert texts == [column.description for column in node.columns]
        tests = sum(len(each.get("data_tests", ())) for each in (entry, *entry["columns"]))
        own = sum(
            test.kind != "" and f"tests/{test.name}.sql" in files("duckdb")
            for test in project().tests_of(name)
        )
        assert tests + own == sum(test.kind != "" for test in project().tests_of(name)), name
    for test in project().singular_tests:
        assert f"tests/{test.name}.sql" in files("duckdb")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_severity_where_and_names_of_tests_are_kept(dialect: str) -> None:
    singular = {test.name: test.severity for test in project().singular_tests}
    for name, severity in singular.items():
        text = files(dialect).get(f"tests/{name}.sql")
        if text:
            assert ("severity='warn'" in text) == (severity == "warn"), name
    members = next(entry for entry in entries(dialect, "models") if entry["name"] == "dim_tier")
    tests = [test for test in members.get("data_tests", ()) if isinstance(test, dict)]
    tests += [t for column in members["columns"] for t in column.get("data_tests", ()) if isinstance(t, dict)]
    wheres = {arguments.get("config", {}).get("where") for test in tests for arguments in test.values()}
    assert any("is_current" in str(where) for where in wheres)


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "duckdb"])
def test_models_that_need_pandas_and_their_readers_are_left_out(dialect: str) -> None:
    readme = files(dialect)["README.md"]
    for name in ("rpt_time_to_first", "rpt_points_revenue"):
        assert re.search(rf"^\| `{name}` \| written in Python", readme, re.M)
        assert not any(name in path for path in files(dialect))


def test_exposures_name_the_tables_that_the_report_page_reads() -> None:
    code = [
        path.read_text()
        for name in ("report", "pictures")
        for path in (PROJECT / "runs" / name).rglob("*.py")
    ]
    read = {name for text in code for name in re.findall(r"\b(?:reports|marts|intermediate)\.(\w+)", text)}
    assert {name for name in read if name in project().nodes} - {"fct_redemption"} == set(REPORT_PAGE)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_profile_has_no_secret_and_no_clock_is_read(dialect: str) -> None:
    profile = yaml.safe_load(files(dialect)["profiles.yml"])["rivo_loyalty"]["outputs"]["rivo"]
    for name in ("password", "token"):
        assert "env_var" in profile.get(name, "env_var")
    clocks = r"\b(current_date|current_timestamp|now\(\)|getdate|sysdate|today\(\))"
    for path, text in selects(dialect).items():
        assert not re.search(clocks, text, re.IGNORECASE), path


def test_export_gives_the_same_bytes_each_time() -> None:
    again = exported_files(load_project(), "postgres")
    assert {path: text if isinstance(text, str) else text.decode() for path, text in again.items()} == files(
        "postgres"
    )


def test_seeds_and_schemas_are_those_of_the_shop() -> None:
    shop = "demo_us"
    of_shop = load_project(shop=shop)
    [seed] = [seed for seed in of_shop.seeds if seed.name == "reward_type_values"]
    assert "shops/demo_us" in str(seed.path)
    written = project_files(choose(of_shop, "postgres"), shop)
    assert yaml.safe_load(written["dbt_project.yml"])["vars"]["rivo_raw_schema"] == "demo_us_rivo_raw"
    assert "`rivo_demo_us_marts`" in written["README.md"]
    in_file = project_files(choose(of_shop, "duckdb"), shop)
    assert yaml.safe_load(in_file["dbt_project.yml"])["vars"]["rivo_raw_schema"] == "rivo_raw"


def test_personal_columns_of_the_sources_are_marked() -> None:
    [raw] = [source for source in entries("spark", "sources") if source["name"] == "rivo_raw"]
    [customers] = [table for table in raw["tables"] if table["name"] == "customers"]
    columns = {column["name"]: column for column in customers["columns"]}
    assert columns["email"]["config"]["meta"] == {"personal": "email"}
    assert columns["vip_tier"]["data_type"] == "string"
    assert "config" not in columns["id"]
