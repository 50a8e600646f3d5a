"""The benchmarks of large shops."""

from __future__ import annotations

from pathlib import Path

from benchmarks.large import documented_queries

PAGE = Path(__file__).resolve().parents[2] / "docs" / "queries.md"


def test_every_documented_query_is_measured() -> None:
    assert len(documented_queries()) == PAGE.read_text().count("```sql\n")
    assert all(sql.lower().startswith(("select", "with", "from")) for sql in documented_queries().values())
