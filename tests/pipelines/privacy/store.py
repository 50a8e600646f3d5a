"""A small store with a warehouse, and a search for texts in all its tables and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipelines.load.sync import ListResult, SyncOptions, sync_lists
from pipelines.settings import Settings
from pipelines.warehouse import Build, Warehouse
from runs.run import Finished, Plan, run
from sandbox import Server
from tests.dbt_like_sql.models.shop import project

KEY = "a-key-that-nobody-can-guess"

# Reports on the whole programme: none of their rows is about one person.
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


@dataclass
class Store:
    """A served store and a warehouse."""

    server: Server
    path: Path
    pii: str = "keep"
    key: str | None = KEY

    @property
    def settings(self) -> Settings:
        return Settings(
            api_key=SecretStr(self.server.key),
            api_url=self.server.url,
            warehouse=str(self.path),
            rate_limit=10_000,
            patience_seconds=5,
            pii=self.pii,
            pii_key=SecretStr(self.key) if self.key else None,
        )

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.path)

    def wait(self, days: float = 1) -> None:
        self.server.now += timedelta(days=days)

    def run(self, plan: Plan) -> list[ListResult]:
        events = list(run(plan, self.settings, project()))
        end = events[-1]
        assert isinstance(end, Finished)
        assert not end.problems
        return [event for event in events if isinstance(event, ListResult)]

    def build(
        self, lists: SyncOptions | None = None, prepare: Callable[[Build], object] | None = None
    ) -> None:
        """Read the lists, if any, then build and check all models, and publish."""
        self.run(Plan(lists, list(project().nodes), publish=True, prepare=prepare))

    def sync(self, **options: Any) -> dict[str, ListResult]:
        """Read the lists and publish, without building a model."""
        with self.warehouse.build() as work:
            results = {each.name: each for each in sync_lists(work, self.settings, SyncOptions(**options))}
            assert all(result.complete for result in results.values())
            work.publish()
        return results

    def change(self, prepare: Callable[[Build], Any]) -> Any:
        """Change the raw tables and publish."""
        with self.warehouse.build() as work:
            result = prepare(work)
            work.publish()
        return result

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(sql).fetchall()

    def totals(self) -> dict[str, list[tuple[Any, ...]]]:
        return {name: self.query(f"from reports.{name} order by all") for name in TOTALS}

    def raw(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        return {name: self.query(f'from rivo_raw."{name}" order by all') for name in names}

    def values(self) -> str:
        """Return every value of every table as one text: the bytes of a file may be compressed."""
        tables = self.query(
            "select schema_name, table_name from duckdb_tables() where not internal order by all"
        )
        return "\n".join(str(self.query(f'from "{schema}"."{table}"')) for schema, table in tables)

    def traces(self, words: Iterable[str]) -> list[str]:
        """Return which of these words occur, in whatever capitals, in a table or a file beside the warehouse."""
        wanted = [word.lower() for word in words if word]
        values = self.values().lower()
        found = [f"{word} in a table" for word in wanted if word in values]
        for file in self.path.parent.rglob("*"):
            content = file.read_bytes().lower() if file.is_file() else b""
            found += [f"{word} in {file.name}" for word in wanted if word.encode() in content]
        return found


def personal_words(server: Server) -> set[str]:
    """Return the personal words in the store's present answers: addresses, links, codes, tokens, IP addresses."""
    lists = server.program.snapshot(server.now)
    words = set()
    for row in lists["customers"]:
        a = row["attributes"]
        words |= {a["email"], a["referral_code"], a["referral_url"]}
    for row in lists["referrals"]:
        a = row["attributes"]
        words |= {a["advocate_email"], a["referred_email"], a["visitor_token"], a["signup_ip"]}
    return {word for word in words if word}
