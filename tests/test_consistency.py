"""Files that must agree with each other, and pins that wait for another release: no tool checks these."""

from __future__ import annotations

from importlib.metadata import version

from pipelines.settings import PROJECT
from pipelines.warehouse.sources_yml import sources_yml


def test_sources_file_equals_the_raw_tables() -> None:
    """`make sources` rewrites the file."""
    path = PROJECT / "dbt_like_sql" / "models" / "staging" / "_rivo_raw__sources.yml"

    assert path.read_text() == sources_yml()


def test_sqlglot_cap_is_still_needed() -> None:
    """sqlglot 30.22 breaks dlt 1.31's dataset API. When dlt moves on, try without the cap in pyproject.toml."""
    assert version("dlt").startswith("1.31."), "dlt moved on: does it still need sqlglot<30.22?"
