"""Models whose rows depend on more than the tables that they read: the clock, chance, settings, files."""

from __future__ import annotations

import ast
import re

from dbt_like_sql.runner.project import Model

_NO_CODE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
"""Strings and comments of SQL."""
_SQL = re.compile(
    r"\b(current_(date|time|timestamp|localtime|localtimestamp|user|role)|localtime(stamp)?|session_user)\b"
    r"|\b(tablesample|using\s+sample)\b"
    r"|\b(now|today|age|transaction_timestamp|get_current_\w+|random|setseed|\w*uuid\w*|nextval|currval|current_\w+"
    r"|getvariable|getenv|read_\w+|glob|\w+_scan|query|query_table|duckdb_\w+|pragma_\w+)\s*\(",
    re.IGNORECASE,
)
_PYTHON = re.compile(
    r"\b(now|today|utcnow|random|sample|default_rng|shuffle|open|read_\w+|exec|eval|__import__)\b"
)
_PURE_MODULES = {
    *(
        "__future__",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "fractions",
        "functools",
        "itertools",
    ),
    *("math", "numpy", "operator", "pandas", "re", "statistics", "string", "typing"),
}
"""Modules whose functions, apart from those above, depend only on their arguments."""


def is_volatile(model: Model) -> bool:
    """Return whether a model may return other rows although the tables that it reads are the same."""
    if model.language == "sql":
        return bool(_SQL.search(_NO_CODE.sub(" ", model.code)))
    return bool(_PYTHON.search(model.code)) or not _imported(model.code) <= _PURE_MODULES


def _imported(code: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or ".").partition(".")[0])
    return found
