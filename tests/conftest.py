"""For all tests: no setting of the machine reaches them, neither from the environment nor from a `.env` file."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ["RIVO_ENV_FILE"] = os.devnull
for _name in [name for name in os.environ if name.startswith("RIVO_") and name != "RIVO_ENV_FILE"]:
    del os.environ[_name]

# A busy machine must not fail a test.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


_LONG = (
    "tests/ui",
    "tests/postgres",
    "tests/torture",
    "tests/dbt_like_sql/models",
    "tests/pipelines/privacy",
    "tests/assets",
    "tests/cli",
    "tests/pipelines/load/test_thirty",
)
_ONE_WORKER = ("tests/ui", "tests/postgres", "tests/dbt_like_sql/models", "tests/torture/test_judge")
"""Files whose stores are expensive and shared by many tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest tests, and keep those that share a store in one worker of pytest-xdist."""
    items.sort(key=lambda item: next((n for n, name in enumerate(_LONG) if item.nodeid.startswith(name)), 99))
    for item in items:
        if item.nodeid.startswith(_ONE_WORKER):
            parameters = (
                item.callspec.params
                if isinstance(item, pytest.Function) and hasattr(item, "callspec")
                else {}
            )
            store = parameters.get("store", "")
            group = f"{item.path.stem}-{getattr(store, 'name', store)}"
            item.add_marker(pytest.mark.xdist_group(group))
