"""DuckDB's extensions, which targets load when they need them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import duckdb

from pipelines.target_settings import TargetSetting
from pipelines.targets.marks import TargetError, without_secret


def load_extension(connection: duckdb.DuckDBPyConnection, name: str, target: TargetSetting) -> None:
    """Load an extension of DuckDB: from its Python package, as it is installed, or from DuckDB's server.

    Raises:
        TargetError: it is not installed, and cannot be downloaded.
    """
    if packaged := _packaged(name):
        connection.execute(f"load '{packaged}'")
        return
    try:
        connection.execute(f"load {name}")
        return
    except duckdb.Error:
        pass
    try:
        connection.execute(f"install {name}")
        connection.execute(f"load {name}")
    except duckdb.Error as error:
        raise TargetError(
            f"{target.variable} needs DuckDB's extension {name}, which is not installed and cannot be downloaded "
            f"({without_secret(error, target)}). On a machine without access to DuckDB's server, install the package "
            f"duckdb-extension-{name.replace('_', '-')} of DuckDB's version {duckdb.__version__}."
        ) from None


def _packaged(name: str) -> Path | None:
    """Return the file of an extension that was installed as a Python package for this version of DuckDB."""
    found = find_spec(f"duckdb_extension_{name}")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if file.exists():
            return file
    return None
