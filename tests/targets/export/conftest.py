"""The shop that the engines build, and its models as the runner built them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbt_like_sql.runner import Project, load_project
from tests.targets.export.compare import Local
from tests.targets.export.shop import shop_file


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_file(tmp_path_factory)


@pytest.fixture(scope="session")
def project() -> Project:
    return load_project()


@pytest.fixture(scope="session")
def local(file: Path, project: Project) -> Local:
    return Local(file, project)
