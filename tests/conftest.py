"""No test reads the settings of whoever runs it, neither the environment's nor those of a `.env` file."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ["RIVO_ENV_FILE"] = os.devnull
for _name in [name for name in os.environ if name.startswith("RIVO_") and name != "RIVO_ENV_FILE"]:
    del os.environ[_name]

# A busy machine is no reason to fail.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


_LONG = tuple(
    f"tests/{name}"
    for name in (
        "ui",
        "postgres",
        "torture",
        "pipelines/privacy",
        "cli",
        "pipelines/load/test_thirty",
        "assets",
        "dbt_like_sql/models",
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker waits for another one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
