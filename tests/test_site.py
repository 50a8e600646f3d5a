"""The documentation as a site: it builds without warnings, its links lead somewhere, and it needs no network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pipelines.settings import PROJECT

pytest.importorskip("sphinx", reason="`make test` installs it")

TABLES = "models.html"
"""The page that `make docs` adds with `rivo models docs`."""


@dataclass
class Page(HTMLParser):
    """The links and anchors of a page."""

    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    """Files that a browser loads with it."""
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif "src" in found or (tag == "link" and "href" in found):
            self.loads.add(found.get("src") or found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, without the page of tables."""
    folder = tmp_path_factory.mktemp("site")
    options = ("-q", "-W", "--keep-going", "-c", "docs/site", "-d", str(folder / "doctrees"))
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ".", str(folder / "pages")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    return folder / "pages"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Page()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_site_has_every_document_and_begins_with_the_readme(site: Path, pages: dict[Path, Page]) -> None:
    documents = [path.relative_to(PROJECT) for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"))]

    assert {site / path.with_suffix(".html") for path in documents} < pages.keys()
    index = pages[site / "index.html"]
    assert "quickstart" in index.anchors
    # Its navigation leads to all others.
    others = {str(path.with_suffix(".html")) for path in documents if path.name != "README.md"}
    assert others < {urlsplit(link).path for link in index.links}
    assert TABLES in index.links


def test_site_links_and_anchors_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    wrong = []
    for path, page in pages.items():
        for link in page.links | page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            is_known = target.is_file() or target == site / TABLES
            if parts.fragment and target in pages:
                is_known = is_known and unquote(parts.fragment) in pages[target].anchors
            if not is_known:
                wrong.append(f"{path.relative_to(site)}: {link}")

    assert sum(len(page.links) for page in pages.values()) > 300
    assert wrong == []


def test_site_loads_nothing_from_the_network(site: Path, pages: dict[Path, Page]) -> None:
    loads = {each for page in pages.values() for each in page.loads}
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))

    assert loads
    assert [each for each in loads if urlsplit(each).scheme or urlsplit(each).netloc] == []
    assert "url(http" not in styles
    assert "@import" not in styles


def test_site_offers_linked_files_of_the_repository(site: Path) -> None:
    offered = {path.name: path.read_bytes() for path in site.glob("_downloads/*/*")}

    assert offered[".env.example"] == (PROJECT / ".env.example").read_bytes()
    assert offered["plain_dlt.py"] == (PROJECT / "examples" / "plain_dlt.py").read_bytes()
