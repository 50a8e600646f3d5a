"""Select nodes with dbt's selectors.

    dim_member        one model                 marts, path:models/marts   every model in a folder
    +dim_member       and all it is built from  tag:nightly                every model with a tag
    dim_member+       and all built from it     +tag:nightly+              `+` works with each of these

Several selectors, separated by spaces, select their union.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from dbt_like_sql.runner.errors import ProjectError, did_you_mean
from dbt_like_sql.runner.project import Project


def select(
    project: Project, selectors: str | Iterable[str] = (), exclude: str | Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the names of the selected nodes in build order, or all nodes if there is no selector.

    Raises:
        ProjectError: a selector matches nothing.
    """
    chosen = _union(project, selectors) if _words(selectors) else set(project.nodes)
    chosen -= _union(project, exclude)
    return tuple(name for name in project.nodes if name in chosen)


def _union(project: Project, selectors: str | Iterable[str]) -> set[str]:
    return {name for word in _words(selectors) for name in _expand(project, word)}


def _words(selectors: str | Iterable[str]) -> list[str]:
    texts = [selectors] if isinstance(selectors, str) else selectors
    return [word for text in texts for word in text.split()]


def _expand(project: Project, word: str) -> set[str]:
    found = _match(project, word.strip("+"), word)
    chosen = set(found)
    for name in found:
        if word.startswith("+"):
            chosen.update(project.upstream(name))
        if word.endswith("+"):
            chosen.update(project.downstream(name))
    return chosen


def _match(project: Project, what: str, word: str) -> set[str]:
    nodes = project.nodes.values()
    names = {n.name for n in nodes if what in (n.name, n.relation)}
    if names:
        return names
    tags = sorted({tag for n in nodes for tag in n.tags})
    schemas = sorted({n.schema for n in nodes})
    if what.startswith("tag:"):
        found = {n.name for n in nodes if what.removeprefix("tag:") in n.tags}
        known = [f"tag:{tag}" for tag in tags]
    else:
        folder = PurePosixPath(what.removeprefix("path:"))
        found = {n.name for n in nodes if n.schema == what or folder in (p := n.path).parents or folder == p}
        known = [*project.nodes, *schemas, *(n.relation for n in nodes)]
    if not found:
        raise ProjectError(
            f"The selector {word} matches no model, seed, folder or tag.{did_you_mean(what, known)}"
        )
    return found
