"""Search a warehouse and everything beside it for texts that identify a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox import Server
from tests.harness.store import Store

KEY = "a-key-that-is-hard-to-guess"

PEOPLE = ("customers", "points_events", "points_redemptions", "referrals")
"""The lists whose rows are about people."""

# Reports on the program as a whole: none of their rows is about one person.
TOTALS = (
    "rpt_points_rollforward",
    "rpt_program_daily",
    "rpt_redemption_rates",
    "rpt_referral_funnel",
    "rpt_reward_performance",
    "rpt_tier_distribution",
    "rpt_tier_migration",
    "rpt_member_funnel",
    "rpt_member_cohort_retention",
)

TOTALS_SELECTION = " ".join(f"+{name}" for name in TOTALS)


def totals(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return the reports in TOTALS, sorted."""
    with store.warehouse.read() as connection:
        return {name: connection.execute(f"from reports.{name} order by all").fetchall() for name in TOTALS}


def values(store: Store) -> str:
    """Return every value of every table as one text: the file's own bytes may be compressed."""
    with store.warehouse.read() as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where not internal order by all"
        ).fetchall()
        # DuckDB writes the rows, which takes a tenth of the time that Python needs for its values.
        texts = [
            connection.execute(
                f'select string_agg(whole_row::varchar, chr(10)) from "{schema}"."{table}" as whole_row'
            ).fetchall()
            for schema, table in tables
        ]
    return "\n".join(text or "" for [(text,)] in texts)


def traces(store: Store, words: Iterable[str]) -> list[str]:
    """Return which words occur in the tables or in any file beside the warehouse, in whatever case."""
    wanted = [word.lower() for word in words if word]
    text = values(store).lower()
    found = [f"{word} in a table" for word in wanted if word in text]
    for file in store.path.parent.rglob("*"):
        content = file.read_bytes().lower() if file.is_file() else b""
        found += [f"{word} in {file.name}" for word in wanted if word.encode() in content]
    return found


def personal_words(server: Server) -> set[str]:
    """Return what the API answers about people today: email and IP addresses, links, codes, tokens."""
    lists = server.program.snapshot(server.now)
    words = set()
    for row in lists["customers"]:
        a = row["attributes"]
        words |= {a["email"], a["referral_code"], a["referral_url"]}
    for row in lists["referrals"]:
        a = row["attributes"]
        words |= {a["advocate_email"], a["referred_email"], a["visitor_token"], a["signup_ip"]}
    return {word for word in words if word}
