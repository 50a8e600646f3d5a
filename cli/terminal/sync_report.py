"""The JSON document of `rivo sync --json`. Its fields are described in docs/cli.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cli import exits
from cli.terminal.console import Terminal
from pipelines.load.sync import ListResult
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.targets.publication import Publication

_OUTCOMES = {exits.DONE: "done", exits.FAILED: "failed"}


def report(terminal: Terminal, code: int) -> dict[str, Any]:
    """Return the document of a run that ended with this exit code."""
    done = terminal.finished
    problems = [terminal.failure] if terminal.failure else list(done.problems) if done else []
    if terminal.stopped:
        problems = [terminal.stopped_sentence]
    models = Counter(node.status for node in terminal.nodes if node.kind == "model")
    tests = [(node, test) for node in terminal.nodes for test in node.tests]
    return {
        "outcome": outcome(code),
        "exit_code": code,
        "seconds": round(terminal.seconds, 1),
        "problems": problems,
        "warehouse": {
            "path": str(done.warehouse),
            "is_demo": done.is_demo,
            "published": done.published,
            "observed_at": done.observed_at.isoformat() if done.observed_at else None,
            "size_bytes": done.size_bytes,
            "report": str(done.report) if done.report else None,
        }
        if done
        else None,
        "lists": [_list(result) for result in terminal.lists],
        "models": dict(models),
        "checks": dict(Counter(test.status for _, test in tests)),
        "checks_not_passed": [
            {
                "table": node.relation,
                "check": test.name,
                "status": test.status,
                "failing_rows": test.failures,
                "message": test.message,
            }
            for node, test in tests
            if test.status != "pass"
        ],
        "targets": [_target(publication) for publication in done.publications] if done else [],
        "notes": terminal.notes(),
        "trust": list(done.findings) if done else [],
    }


def failed_before(problem: str) -> dict[str, Any]:
    """Return the document of a sync that could not begin."""
    return {"outcome": "failed", "exit_code": exits.FAILED, "problems": [problem]}


def stopped_before(code: int, problem: str) -> dict[str, Any]:
    """Return the document of a sync that a signal ended without one; `code` is the exit code for the signal."""
    return {"outcome": outcome(code), "exit_code": code, "problems": [problem]}


def report_of_shops(documents: Mapping[str, dict[str, Any]], code: int, seconds: float) -> dict[str, Any]:
    """Return the document of a sync of several shops, from the documents of each by name."""
    return {
        "outcome": outcome(code),
        "exit_code": code,
        "seconds": round(seconds, 1),
        "shops": dict(documents),
    }


def outcome(code: int) -> str:
    """Return the word for an exit code of a sync."""
    return _OUTCOMES.get(code, "stopped")


def _list(result: ListResult) -> dict[str, Any]:
    return {
        "list": result.name,
        "title": ENDPOINTS[result.name].title,
        "kind": result.kind,
        "complete": result.complete,
        "observed_at": result.observed_at.isoformat(),
        "requests": result.requests,
        "seconds": result.seconds,
        **asdict(result.counts),
        "rows_total": result.rows_total,
        "new_columns": list(result.new_columns),
        "error": result.error,
    }


def _target(publication: Publication) -> dict[str, Any]:
    at = publication.observed_at
    return {**asdict(publication), "observed_at": at.isoformat() if at else None}


def as_text(document: dict[str, Any]) -> str:
    """Return the text of a document."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
