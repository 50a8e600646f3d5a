"""Documentation of a project as one self-contained HTML page: no server, no network.

`page.html` is the frame, `page.css` the style, and the scripts render the data. The data is never parsed as markup:
the scripts only set text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from dbt_like_sql.runner.actions import ACTIONS
from dbt_like_sql.runner.docs.rows import Answer, shown
from dbt_like_sql.runner.docs.templates import templates
from dbt_like_sql.runner.last_results import LastResults, read
from dbt_like_sql.runner.project import LAYERS, SEEDS, Action, Model, Project, Seed, Source
from dbt_like_sql.runner.sql import quoted, tables

__all__ = ["Answer", "page"]

_HERE = Path(__file__).parent
_SCRIPTS = ("base.js", "search.js", "graph.js", "table.js", "home.js", "frame.js")
"""In the order in which they run, as one script."""

_ABOUT = {
    "reports": "Answers to common questions, ready to chart.",
    "marts": "Members, tiers and facts for your own queries.",
    "intermediate": "Intermediate steps between staging and marts.",
    "staging": "Raw tables with clear names and types.",
    ACTIONS: "SELECTs whose rows are calls to Rivo. Nothing is sent before a person applies them.",
    SEEDS: "Small tables maintained by hand.",
}
THEMES = {
    "program": "The programme",
    "members": "Members",
    "points": "Points",
    "rewards": "Rewards",
    "tiers": "Tiers",
    "referrals": "Referrals",
    "money": "Money",
    "trust": "Trust in the numbers",
}
"""Titles of the values of `meta.theme`, in the order of the home page. Tables with other values follow."""


def page(
    project: Project,
    connection: duckdb.DuckDBPyConnection | None,
    note: str,
    title: str,
    *,
    answers: Mapping[str, Answer] | None = None,
    pictures: Mapping[str, str] | None = None,
    picture_css: str = "",
) -> str:
    """Return the page as HTML. Types, row counts and last results are read from `connection`, if given.

    Args:
        project: The project to document.
        connection: Its database, or None.
        note: A sentence that names the origin of rows, types and results, or says why there are none.
        title: Title of the page.
        answers: By relation, the rows that its example query returns.
        pictures: By relation, a drawing of it as the text of an SVG element. Its colours may be CSS variables.
        picture_css: Style that defines these variables. The page is dark where `:root[data-theme="dark"]` matches.

    Raises:
        ValueError: a picture is not an SVG element, or has a script.
    """
    parts = {
        "title": title.replace("&", "&amp;").replace("<", "&lt;"),
        "css": (_HERE / "page.css").read_text(encoding="utf-8") + picture_css,
        "js": "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "pictures": templates(pictures or {}),
        "data": _inline(_data(project, connection, note, title, answers or {})),
    }
    html = (_HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        html = html.replace(f"<!-- {name} -->", text)
    return html


def _inline(data: Any) -> str:
    """Return JSON that is safe inside a <script>: no `<` in the data can end it or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(
    project: Project,
    connection: duckdb.DuckDBPyConnection | None,
    note: str,
    title: str,
    answers: Mapping[str, Answer],
) -> dict[str, Any]:
    last = read(connection) if connection else LastResults({}, {})
    rows, types = _contents(connection, project) if connection else ({}, {})
    times = [row["data_as_of"] for row in last.builds.values() if row["data_as_of"]]
    loaded = dict.fromkeys(name.split(".")[0] for name in project.sources)
    acting = [ACTIONS] if project.actions else []
    schemas = [*reversed(LAYERS), *acting, SEEDS, *loaded]
    found = []
    for action in project.actions.values():
        found.append(_table(project, action, last, {}))
    for relation, table in project.tables.items():
        entry = _table(project, table, last, types.get(relation, {}))
        answer = answers.get(relation)
        found.append(entry | {"rows": rows.get(relation), "answer": shown(answer) if answer else None})
    return {
        "title": title,
        "note": note,
        "as_of": f"{max(times):%Y-%m-%d %H:%M} UTC" if times else None,
        "has_results": bool(last.builds),
        "themes": [{"name": name, "title": text} for name, text in THEMES.items()],
        "schemas": [{"name": s, "about": _ABOUT.get(s, "Raw tables, as loaded.")} for s in schemas],
        "tables": found,
    }


def _limits(action: Action) -> list[str]:
    by_scope = action.limits.items()
    return [
        f"{scope.replace('_', ' ')} {name} {most:,}"
        for scope, given in by_scope
        for name, most in given.items()
    ]


def _contents(
    connection: duckdb.DuckDBPyConnection, project: Project
) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """Return the row count of every existing table, and the types of its columns, by relation."""
    existing = tables(connection)
    rows = {}
    for relation in project.tables:
        schema, _, name = relation.partition(".")
        if (schema, name) in existing:
            [[rows[relation]]] = connection.execute(
                f"select count(*) from {quoted(schema)}.{quoted(name)}"
            ).fetchall()
    types: dict[str, dict[str, str]] = {}
    columns = connection.execute(
        "select lower(table_schema) || '.' || lower(table_name), lower(column_name), data_type "
        "from information_schema.columns where table_catalog = current_database() order by ordinal_position"
    )
    for relation, column, kind in columns.fetchall():
        types.setdefault(relation, {})[column] = kind.lower()
    return rows, types


def _table(
    project: Project, table: Model | Seed | Source, last: LastResults, types: dict[str, str]
) -> dict[str, Any]:
    known = {column.name: column for column in table.columns}
    entry: dict[str, Any] = {
        "id": table.relation,
        "description": table.description.strip(),
        "reads": [],
        "columns": [
            {
                "name": name,
                "type": types.get(name) or (known[name].data_type if name in known else None),
                "description": known[name].description if name in known else "",
                "from": [str(origin) for origin in project.origins_of(known[name])] if name in known else [],
            }
            for name in dict.fromkeys([*known, *types])
        ],
    }
    if isinstance(table, Source):
        return entry | {"kind": "raw"}
    if isinstance(table, Action):
        entry |= {
            "does": table.action,
            "key": list(table.key),
            "limits": _limits(table),
            "enabled": table.enabled,
        }
    results = last.tests.get(table.relation, {})
    built = last.builds.get(table.relation)
    entry |= {
        "kind": table.language if table.kind == "model" and isinstance(table, Model) else table.kind,
        "file": str(table.path),
        "code": table.code if isinstance(table, Model) else "",
        "tags": list(table.tags),
        "grain": table.texts("grain"),
        "theme": next(iter(table.texts("theme")), None),
        "questions": table.texts("questions"),
        "also_called": table.texts("also_called"),
        "example": "\n\n".join(table.texts("example")),
        "reads": [*table.sources, *(project.node(name).relation for name in table.depends_on)],
        "built": {"status": built["status"], "message": built["message"]} if built else None,
        "tests": [
            {
                "name": test.name,
                "kind": test.kind,
                "column": test.column,
                "severity": test.severity,
                "description": test.description,
                "sql": test.sql.strip(),
                "status": (results.get(test.name) or {}).get("status"),
                "message": _without_rows((results.get(test.name) or {}).get("message")),
            }
            for test in (() if isinstance(table, Action) else project.tests_of(table.name))
        ],
    }
    return entry


def _without_rows(message: str | None) -> str | None:
    """Return the message of a test without its samples of failing rows, whose ids do not belong on a shared page."""
    return re.sub(r", for example: .*", ".", message, flags=re.DOTALL) if message else message
