"""Rules of the house that no tool checks."""

from __future__ import annotations

from importlib.metadata import version

from pipelines.settings import PROJECT
from pipelines.warehouse.sources_yml import sources_yml


def test_the_sql_project_knows_the_raw_tables_as_they_are() -> None:
    """`make sources` writes the file anew."""
    path = PROJECT / "dbt_like_sql" / "models" / "staging" / "_rivo_raw__sources.yml"

    assert path.read_text() == sources_yml()


def test_the_cap_on_sqlglot_is_still_needed() -> None:
    """sqlglot 30.22 breaks dlt 1.31's dataset API. When dlt moves on, try without the cap in pyproject.toml."""
    assert version("dlt").startswith("1.31."), "dlt moved on: does it still need sqlglot<30.22?"
