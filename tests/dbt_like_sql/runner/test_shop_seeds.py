"""Seeds of single shops: which file counts for which shop, which files are refused, what is kept and built again."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import Project, ProjectError, build, load_project, parsing

from .building import rows
from .conftest import SHOP, Write

FILES = SHOP | {
    "seeds/rules.csv": "code,points\na,1\n",
    "seeds/other.csv": "x\n1\n",
    "seeds/shops/de/rules.csv": "points,code\n2,a\n3,b\n",
    "seeds/_seeds.yml": """
        seeds:
          - name: rules
            description: The rules.
            config: {column_types: {code: varchar, points: smallint}}
            columns: [{name: code, description: Its code., data_tests: [unique]}]
        """,
    "models/intermediate/int_rules.sql": "select code, points from seeds.rules\n",
}


@pytest.fixture
def root(write: Write) -> Path:
    """A project with two seeds, of which the shop `de` changes one."""
    return write(FILES)


def test_seed_of_a_shop_takes_the_place_of_the_seed_for_that_shop_alone(root: Path) -> None:
    def files(shop: str) -> list[str]:
        return [str(seed.path) for seed in load_project(root, shop).seeds]

    assert files("de") == ["seeds/other.csv", "seeds/shops/de/rules.csv"]
    assert files("fr") == files("") == ["seeds/other.csv", "seeds/rules.csv"]


def test_seed_of_a_shop_has_the_properties_of_the_seed(root: Path) -> None:
    base, own = (load_project(root, shop).node("rules") for shop in ("", "de"))
    assert own.description == base.description == "The rules."
    assert own.data_tests == base.data_tests
    assert {c.name: (c.description, c.data_tests) for c in own.columns} == {
        c.name: (c.description, c.data_tests) for c in base.columns
    }


def test_build_loads_the_rows_of_the_shop_and_builds_what_differs(
    connection: duckdb.DuckDBPyConnection, root: Path
) -> None:
    def built(shop: str) -> set[str]:
        results = build(connection, load_project(root, shop))
        return {result.name for result in results if result.status == "success"}

    assert {"rules", "int_rules", "other"} <= built("")
    assert built("fr") == set()
    assert built("de") == {"rules", "int_rules"}
    assert rows(connection, "select code, points, typeof(points) from intermediate.int_rules order by 1") == [
        ("a", 2, "SMALLINT"),
        ("b", 3, "SMALLINT"),
    ]
    assert built("de") == set()


def test_tests_of_a_seed_run_on_the_rows_of_the_shop(
    connection: duckdb.DuckDBPyConnection, write: Write
) -> None:
    root = write(FILES | {"seeds/shops/de/rules.csv": "code,points\na,1\na,2\n"})
    statuses = {result.name: result.status for result in build(connection, load_project(root, "de"))}
    assert (statuses["rules"], statuses["int_rules"]) == ("failed", "skipped")


@pytest.mark.parametrize("shop", ["", "de", "fr"])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "seeds/shops/fr/ruels.csv",
            "seeds/shops/fr/ruels.csv takes the place of no seed: there is no seeds/ruels.csv. Did you mean rules? ",
        ),
        ("seeds/shops/fr/rules.xlsx", "seeds/shops/fr/rules.xlsx: the folder of a shop has only CSV files. "),
        ("seeds/shops/fr/_seeds.yml", "seeds/shops/fr/_seeds.yml: the folder of a shop has only CSV files. "),
        ("seeds/shops/fr/more/rules.csv", "seeds/shops/fr/more: the folder of a shop has only CSV files. "),
        ("seeds/shops/rules.csv", "seeds/shops/rules.csv is not in the folder of a shop. "),
        ("seeds/shops/Shop FR/rules.csv", "seeds/shops/Shop FR cannot be the folder of a shop. "),
        ("seeds/shops/1st/rules.csv", "seeds/shops/1st cannot be the folder of a shop. "),
    ],
)
def test_file_that_is_no_seed_of_a_shop_is_refused(write: Write, shop: str, file: str, message: str) -> None:
    root = write(FILES | {file: "code,points\n"})
    with pytest.raises(ProjectError) as error:
        load_project(root, shop)
    assert str(error.value).startswith(message)


def test_impossible_shop_name_is_refused_with_a_usable_one(write: Write) -> None:
    with pytest.raises(ProjectError, match=r"Did you mean shop_fr\?$"):
        load_project(write(FILES | {"seeds/shops/Shop FR/rules.csv": ""}))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("code,pionts", "has a column pionts, which seeds/rules.csv does not have. Did you mean points?"),
        ("code", "has no column points, which seeds/rules.csv has. Add it."),
    ],
)
def test_seed_of_a_shop_with_other_columns_is_refused_for_that_shop(
    write: Write, header: str, message: str
) -> None:
    root = write(FILES | {"seeds/shops/de/rules.csv": f"{header}\n"})
    assert load_project(root).node("rules")
    with pytest.raises(ProjectError) as error:
        load_project(root, "de")
    assert str(error.value) == f"seeds/shops/de/rules.csv {message}"


def test_hidden_file_in_the_folder_of_shops_is_ignored(write: Write) -> None:
    root = write(FILES | {"seeds/shops/.DS_Store": "", "seeds/shops/de/.DS_Store": ""})
    assert load_project(root, "de").node("rules")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shops whose projects are parsed, in order."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    shops: list[str] = []
    parse = parsing.parse_project

    def noted(folder: Path, shop: str = "") -> Project:
        shops.append(shop)
        return parse(folder, shop)

    monkeypatch.setattr(parsing, "parse_project", noted)
    return shops


def test_shops_without_seeds_share_one_kept_copy(root: Path, parsed: list[str]) -> None:
    (root / "seeds/shops/empty").mkdir()
    for shop in ("fr", "", "it", "empty", "de", "de", "fr"):
        load_project(root, shop)
    assert parsed == ["fr", "de"]
    assert len(list((root / "__pycache__").iterdir())) == 2
    assert load_project(root, "de") == parsing.parse_project(root, "de")


def test_changed_seed_of_a_shop_parses_the_project_of_that_shop_alone(
    root: Path, parsed: list[str], write: Write
) -> None:
    load_project(root)
    load_project(root, "de")
    write({"seeds/shops/de/rules.csv": "code,points\nc,9\n"})
    load_project(root)
    load_project(root, "fr")
    assert parsed == ["", "de"]
    load_project(root, "de")
    assert parsed == ["", "de", "de"]
