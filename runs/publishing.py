"""Publishes a shop's warehouse to its targets, after a run or when asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dbt_like_sql.runner import Project
from pipelines.errors import command
from pipelines.target_settings import TargetSetting
from pipelines.targets.publication import Publication
from runs.shop import Shop

if TYPE_CHECKING:
    from pipelines.rivo.doctor import Finding
    from pipelines.targets.last_publications import LastPublication


def known_targets(shop: Shop) -> list[str]:
    """Return the names of the targets that may hold data of a shop: those to publish to, and those of the past."""
    from pipelines.targets.last_publications import read_last_publications

    return list(
        dict.fromkeys(
            [*(target.name for target in shop.settings.to_publish), *read_last_publications(shop.warehouse)]
        )
    )


def publish_to(
    shop: Shop,
    project: Project,
    targets: Sequence[TargetSetting],
    *,
    replace_all: bool = False,
    purge: bool = False,
) -> Iterator[Publication]:
    """Publish the warehouse of a shop to targets, and yield how each ended.

    Raises:
        RivoError: the warehouse itself cannot be read.
    """
    if not targets:
        return
    # Imported here, since most installs have no target.
    from pipelines.targets.publishing import publish

    keys = {node.relation: tuple(node.texts("grain")) for node in project.nodes.values()}
    schemas = shop.settings.publish_schemas.split(",")
    yield from publish(
        shop.warehouse, shop.name, targets, schemas, keys, replace_all=replace_all, purge=purge
    )
    shop.warehouse.push_last_publications()


def pull_newest(shop: Shop) -> None:
    """Bring the files of a shop up to date with the shared state, before something is published without a run.

    Raises:
        RivoError: the state cannot be read.
    """
    # A run that goes on has pulled.
    if not shop.warehouse.is_being_built:
        shop.warehouse.pull()


def forget_target(shop: Shop, name: str) -> bool:
    """Forget that a target got a copy of a shop's data, since that copy is gone; return whether it was known.

    Raises:
        RivoError: this cannot be noted.
    """
    from pipelines.targets.last_publications import read_last_publications, write_last_publications

    known = read_last_publications(shop.warehouse)
    if name not in known:
        return False
    write_last_publications(shop.warehouse, {other: last for other, last in known.items() if other != name})
    shop.warehouse.push_last_publications()
    return True


def check_targets(shop: Shop) -> Iterator[Finding]:
    """Ask the targets of RIVO_PUBLISH whether a sync can publish to them.

    Raises:
        RivoError: the warehouse itself cannot be read.
    """
    if not shop.settings.to_publish:
        return
    from pipelines.rivo.doctor import Finding
    from pipelines.targets.publishing import look_at

    for target, last in look_at(shop.warehouse, shop.name, shop.settings.to_publish):
        found = f"has data as of {last.observed_at:%Y-%m-%d %H:%M} UTC" if last.observed_at else "is empty"
        text = last.problem or f"target {target.name} ({target.variable}) can be reached; it {found}"
        yield Finding(not last.problem, text, is_local=True)


def purge_targets(shop: Shop, project: Project) -> Iterator[Publication]:
    """Publish to every target that may hold a person who was erased, and delete its older versions.

    A target of the past that is no longer set is an outcome with a problem: it still has the person.
    """
    from pipelines.targets.last_publications import LastPublication, read_last_publications

    names = known_targets(shop)
    targets = [shop.settings.targets[name] for name in names if name in shop.settings.targets]
    if targets:
        yield from publish_to(shop, project, targets, purge=True)
    else:
        shop.warehouse.delete_target_scratch()
    for name in names:
        if name not in shop.settings.targets:
            last = read_last_publications(shop.warehouse).get(name, LastPublication())
            yield Publication(name, problem=unset_target(name, last))


def unset_target(name: str, last: LastPublication) -> str:
    """Return the sentence about a target that may have data of a shop, and that is not set any more."""
    past = (
        "got a copy in the past"
        if last.observed_at
        else "may have got a part of the data from a publication that failed"
    )
    return (
        f"The target {name} {past} and is not set any more, so an erased person may still be there. Set "
        f"RIVO_TARGET_{name.upper()} and run `{command()} publish {name} --purge`; or delete what is there, then run "
        f"`{command()} publish {name} --gone`."
    )
