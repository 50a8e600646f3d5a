"""Publishes a warehouse to targets, each by itself: a target that fails keeps its last state and stops no other."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Protocol

import duckdb

from pipelines.env_file import export_variables
from pipelines.errors import RivoError, command
from pipelines.settings import Settings
from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Content, opened
from pipelines.targets.last_publications import (
    LastPublication,
    read_last_publications,
    write_last_publications,
)
from pipelines.targets.marks import Mark, OtherWarehouse, TargetError, check_marks, without_secret
from pipelines.targets.publication import Publication
from pipelines.warehouse import Warehouse

_MODULES = {
    "dlt": "pipelines.targets.dlt_publishing",
    "ducklake": "pipelines.targets.ducklake",
    "motherduck": "pipelines.targets.motherduck",
    "parquet": "pipelines.targets.parquet",
    "postgres": "pipelines.targets.postgres",
}
"""The module for each kind of target, a `_Target`; imported when used."""
_PLACE_PER_SHOP = frozenset({"dlt", "ducklake", "parquet"})
"""Kinds of targets in which a shop that gets another name gets another place; the others move its tables."""
_WAIT_SECONDS = 1800
"""How long a publication waits for another one of the same warehouse on this machine."""


class _Target(Protocol):
    """A module for a kind of target. Raises a `TargetError` for whatever a server or a network can cause."""

    def look(self, content: Content, target: TargetSetting) -> list[Mark]:
        """Return the mark of the target; nothing if it is empty. Writes nothing."""

    def publish(
        self, content: Content, target: TargetSetting, *, replace_all: bool, purge: bool
    ) -> Publication:
        """Publish a content to a target, which keeps the state that it had if this fails.

        With `replace_all`, a target that holds newer data or that of another warehouse is replaced; with `purge`, no
        older version of the data is left in the target.
        """


def publish(
    warehouse: Warehouse,
    shop: str,
    targets: Sequence[TargetSetting],
    schemas: Collection[str],
    keys: Mapping[str, tuple[str, ...]],
    *,
    replace_all: bool = False,
    purge: bool = False,
) -> Iterator[Publication]:
    """Publish the warehouse to targets, one after the other, and note how it ended.

    Args:
        warehouse: the published warehouse; syncs can go on meanwhile.
        shop: the shop's name in RIVO_SHOPS; empty without it.
        targets: where to publish.
        schemas: the schemas to publish.
        keys: columns that are unique together, by relation.
        replace_all: replace targets that hold newer data, or that of another warehouse.
        purge: delete older versions of the data, which a target keeps for readers and for time travel.

    Yields:
        an outcome for each target, as it comes.

    Raises:
        RivoError: the warehouse itself cannot be read.
    """
    if not targets:
        return
    with _alone(warehouse), opened(warehouse, shop, schemas, keys) as content:
        for target in targets:
            last = read_last_publications(warehouse).get(target.name, LastPublication())
            # An older file that is published after an erasure has an older time, and so does not count as purged.
            must_purge = purge or last.is_before(content.erased_at)
            former = None if last.shop == content.shop else last.shop
            outcome = _publish_to(content, target, former, replace_all=replace_all, purge=must_purge)
            if outcome.problem:
                _note(warehouse, target.name, replace(last, problem=outcome.problem))
            else:
                _note(
                    warehouse,
                    target.name,
                    LastPublication(
                        outcome.observed_at,
                        datetime.now(UTC),
                        version=content.published_at,
                        erased_at=content.erased_at,
                        shop=shop,
                    ),
                )
            yield outcome


def look_at(
    warehouse: Warehouse, shop: str, targets: Sequence[TargetSetting]
) -> Iterator[tuple[TargetSetting, LastPublication]]:
    """Ask targets whether they can be published to, and yield the answer of each. Writes nothing.

    Args:
        warehouse: the warehouse to be published; it may have to be made yet.
        shop: the shop's name in RIVO_SHOPS; empty without it.
        targets: the targets to ask.

    Yields:
        a state for each target: the time of its newest data, or the problem that a publication would have.

    Raises:
        RivoError: the warehouse itself cannot be read.
    """
    with ExitStack() as stack:
        if warehouse.exists:
            content = stack.enter_context(opened(warehouse, shop, (), {}))
        else:
            connection = stack.enter_context(duckdb.connect())
            never = datetime.min.replace(tzinfo=UTC)
            content = Content(connection, (), never, never, None, shop, "", warehouse)
        for target in targets:
            try:
                found = _module_of(target).look(content, target)
                check_marks(found, content, target, replace=False)
            except (RivoError, duckdb.Error, OSError) as error:
                yield target, LastPublication(problem=_problem_of(target, error))
            else:
                own = [mark.observed_at for mark in found if mark.shop == shop]
                yield target, LastPublication(max(own, default=None))


def _publish_to(
    content: Content, target: TargetSetting, former: str | None, *, replace_all: bool, purge: bool
) -> Publication:
    started = time.monotonic()
    try:
        _refuse_empty(content)
        outcome = _module_of(target).publish(content, target, replace_all=replace_all, purge=purge)
        if former is not None and target.kind in _PLACE_PER_SHOP:
            _withdraw(content, target, former)
    except (RivoError, duckdb.Error, OSError) as error:
        outcome = Publication(target.name, problem=_problem_of(target, error))
    return replace(outcome, seconds=time.monotonic() - started)


def _module_of(target: TargetSetting) -> _Target:
    export_variables(Settings.model_config.get("env_file"))
    # Each kind has packages of its own, which are slow to import or not installed.
    module: _Target = import_module(_MODULES[target.kind])
    return module


def _problem_of(target: TargetSetting, error: Exception) -> str:
    if isinstance(error, RivoError):
        return str(error)
    return (
        f"{target.variable} could not be published to ({without_secret(error, target)}). It keeps what it has. "
        f"Then run `{command()} publish {target.name}`."
    )


def _withdraw(content: Content, target: TargetSetting, former: str) -> None:
    """Delete the tables that the target has under the former name of the shop, as before an adoption.

    Raises:
        TargetError: they could not be deleted.
    """
    try:
        nothing = replace(content, shop=former, tables=())
        _module_of(target).publish(nothing, target, replace_all=False, purge=True)
    except OtherWarehouse:
        # Another shop has taken the name and the place.
        pass
    except RivoError as error:
        raise TargetError(
            f"{target.variable} has been published to, but the copy from before the shop was renamed is still there. "
            f"{error}"
        ) from None


def _refuse_empty(content: Content) -> None:
    if not content.tables:
        raise TargetError(
            "There is nothing to publish: the warehouse has no table in the schemas of RIVO_PUBLISH_SCHEMAS. With "
            "RIVO_MODELS=none it has rivo_raw and rivo_actions only."
        )


def _note(warehouse: Warehouse, name: str, last: LastPublication) -> None:
    write_last_publications(warehouse, {**read_last_publications(warehouse), name: last})


@contextmanager
def _alone(warehouse: Warehouse) -> Iterator[None]:
    """Wait until no other process publishes this warehouse to targets: the last one must publish the newest file."""
    if not warehouse.exists:
        # Says that there is none.
        warehouse.read().close()
    path = warehouse.publishing_lock
    try:
        lock = path.open("a")
    except OSError as error:
        raise TargetError(f"{path} cannot be written ({error.strerror}). Nothing was published.") from None
    with lock:
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise TargetError(
                        f"Another process has been publishing {warehouse} for {_WAIT_SECONDS // 60} minutes. Nothing "
                        f"was published. When it has ended, run `{command()} publish`."
                    ) from None
                time.sleep(0.2)
        # Left by publications that were killed.
        warehouse.delete_target_scratch()
        yield
