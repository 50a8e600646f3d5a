"""What documents name exists: links between them, and paths in this project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assets.instance.storage import OpenSqliteEventLogStorage
from pipelines.settings import PROJECT

DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
PATHS = re.compile(
    r"`((?:assets|benchmarks|cli|dbt_like_sql|deploy|docs|examples|pipelines|runs|sandbox|tests)/[\w./-]+)`"
)


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_document_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_document_paths_exist(document: Path) -> None:
    examples = ("stg_rivo__webhooks", "<")

    named = [path for path in PATHS.findall(document.read_text()) if not any(e in path for e in examples)]

    assert [path for path in named if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_document_anchors_exist(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", document.read_text())

    for name, anchor in links:
        target = (document.parent / name) if name else document
        headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
        known = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in known, f"{target.name} has no heading #{anchor}"


def test_decisions_name_every_overridden_method_of_the_event_log() -> None:
    [sentence] = re.findall(
        r"overrides the methods.*?\.", (PROJECT / "DECISIONS.md").read_text(), flags=re.DOTALL
    )
    base = OpenSqliteEventLogStorage.__base__

    overridden = {name for name in vars(OpenSqliteEventLogStorage) if name[0] != "_" and hasattr(base, name)}

    assert set(re.findall(r"`(\w+)`", sentence)) == overridden
