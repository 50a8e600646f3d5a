"""For all tests: no setting of the machine reaches them, neither from the environment nor from a `.env` file."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

os.environ["RIVO_ENV_FILE"] = os.devnull
for _name in [name for name in os.environ if name.startswith("RIVO_") and name != "RIVO_ENV_FILE"]:
    del os.environ[_name]

# DuckDB takes its number of threads from here. The tables of tests are small: more threads cost a third more time.
os.environ["SLURM_CPUS_ON_NODE"] = "1"

# A busy machine must not fail a test.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


_EARLY = (
    "tests/ui",
    "tests/postgres",
    # Long, and they wait most of the time: beside one another they would leave the machine idle.
    "tests/pipelines/rivo/test_limiter",
    "tests/torture",
    "tests/dbt_like_sql/models",
    "tests/pipelines/privacy",
    "tests/assets",
    "tests/pipelines/rivo/test_client",
    "tests/cli",
    "tests/pipelines/load/test_thirty",
    "tests/upgrades",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the long files, so that no worker of pytest-xdist waits for another one at the end."""
    items.sort(
        key=lambda item: next((n for n, name in enumerate(_EARLY) if item.nodeid.startswith(name)), 99)
    )


def pytest_collection_finish() -> None:
    """Search for reference cycles less often, and never among what was imported: it took a thirtieth of the suite."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
