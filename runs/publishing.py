"""Publishes a shop's warehouse to its targets, after a run or when asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dbt_like_sql.runner import Project
from pipelines.errors import command
from pipelines.target_settings import TargetSetting
from pipelines.targets.publication import Publication
from runs.shop import Shop

if TYPE_CHECKING:
    from pipelines.rivo.doctor import Finding


def known_targets(shop: Shop) -> list[str]:
    """Return the names of the targets that may hold data of a shop: those to publish to, and those of the past."""
    from pipelines.targets.states import read_states

    return list(
        dict.fromkeys([*(target.name for target in shop.settings.to_publish), *read_states(shop.warehouse)])
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
    shop.warehouse.push_target_states()


def check_targets(shop: Shop) -> Iterator[Finding]:
    """Ask the targets of RIVO_PUBLISH whether a sync can publish to them.

    Raises:
        RivoError: the warehouse itself cannot be read.
    """
    if not shop.settings.to_publish:
        return
    from pipelines.rivo.doctor import Finding
    from pipelines.targets.publishing import look_at

    for target, state in look_at(shop.warehouse, shop.name, shop.settings.to_publish):
        found = f"has data as of {state.observed_at:%Y-%m-%d %H:%M} UTC" if state.observed_at else "is empty"
        text = state.problem or f"target {target.name} ({target.variable}) can be reached; it {found}"
        yield Finding(not state.problem, text, is_local=True)


def purge_later(shop: Shop) -> None:
    """Make the next publication to each target delete its older versions, which have a person who was erased.

    Raises:
        RivoError: this cannot be noted.
    """
    from pipelines.targets.states import TargetState, read_states, write_states

    if names := known_targets(shop):
        states = read_states(shop.warehouse)
        changed = {name: replace(states.get(name, TargetState()), must_purge=True) for name in names}
        write_states(shop.warehouse, {**states, **changed})


def purge_targets(shop: Shop, project: Project) -> Iterator[Publication]:
    """Publish to every target that may hold a person who was erased, and delete its older versions.

    A target of the past that is no longer set is an outcome with a problem: it still has the person.
    """
    names = known_targets(shop)
    targets = [shop.settings.targets[name] for name in names if name in shop.settings.targets]
    if targets:
        yield from publish_to(shop, project, targets, purge=True)
    else:
        shop.warehouse.delete_target_scratch()
    for name in names:
        if name not in shop.settings.targets:
            yield Publication(
                name,
                problem=f"The target {name} got a copy in the past and is not set any more, so it may still have the "
                f"person. Set RIVO_TARGET_{name.upper()} and run `{command()} publish {name} --purge`, or delete that "
                f"copy and the entry {name} of {shop.warehouse.target_states}.",
            )
