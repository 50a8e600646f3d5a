"""Sphinx's settings for the documentation as a site: README.md, the other documents of the root folder and docs/.

The Markdown files are read where they are, so that their links work on GitHub and in the site. Links to other files of
the repository become downloads.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

project = "rivo-warehouse"
html_title = project
author = f"the authors of {project}"
project_copyright = ""
root_doc = "README"
include_patterns = ["*.md", "docs/*.md"]
# Folders that hold no document are not searched.
exclude_patterns = [".*", "data", "build", "tests", "**/node_modules", "dbt_like_sql", "sandbox"]
extensions = ["myst_parser"]
# Anchors of headings as on GitHub, down to the queries of docs/queries.md.
myst_heading_anchors = 4

html_theme = "furo"
templates_path = ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "tables.html",
        "sidebar/scroll-end.html",
    ]
}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_use_index = False
# Text as it is in the files: -- is not a dash.
smartquotes = False

SECTIONS = {
    "Use": ("queries", "reading", "metrics", "cli", "actions", "dagster", "webhooks", "shopify-orders"),
    "Run": ("deploying", "shops", "privacy", "guarantees"),
    "Beyond one machine": ("targets", "targets-parquet", "targets-dlt", "engines", "scaling"),
    "Project": ("../CONTRIBUTING", "../DECISIONS", "../CHANGELOG"),
}
"""The navigation: documents of docs/, and of the root folder, by section."""


def add_navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    """Append the navigation to the home page, whose file shows none on GitHub."""
    if name != root_doc:
        return
    for section, documents in SECTIONS.items():
        paths = "\n".join(
            document.removeprefix("../") if document.startswith("..") else f"docs/{document}"
            for document in documents
        )
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {section}\n\n{paths}\n```\n"


def make_index(app: Sphinx, exception: Exception | None) -> None:
    """Make the home page the one that a web server shows for the folder."""
    if exception is None and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    """Connect the functions of this file; called by Sphinx."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", make_index)
