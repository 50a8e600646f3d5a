"""Publishes a warehouse to targets, each by itself: a target that fails keeps its last state and stops no other."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Protocol

import duckdb

from pipelines.errors import RivoError, command
from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Content, opened
from pipelines.targets.marks import OtherWarehouse, TargetError, without_secret
from pipelines.targets.publication import Publication
from pipelines.targets.states import TargetState, read_states, write_states
from pipelines.warehouse import Warehouse

_MODULES = {
    "dlt": "pipelines.targets.dlt_publishing",
    "ducklake": "pipelines.targets.ducklake",
    "motherduck": "pipelines.targets.motherduck",
    "parquet": "pipelines.targets.parquet",
    "postgres": "pipelines.targets.postgres",
}
"""The module for each kind of target. Each has a function `publish`; imported when used."""
_PLACE_PER_SHOP = frozenset({"dlt", "ducklake", "parquet"})
"""Kinds of targets in which a shop that gets another name gets another place; the others move its tables."""
_WAIT_SECONDS = 1800
"""How long a publication waits for another one of the same warehouse on this machine."""


class _Publish(Protocol):
    """Publishes a content to a target.

    With `replace_all`, a target that holds newer data or that of another warehouse is replaced; with `purge`, no older
    version of the data is left in the target. Raises a `TargetError` for whatever a server or a network can cause; the
    target then has the state that it had before.
    """

    def __call__(
        self, content: Content, target: TargetSetting, *, replace_all: bool, purge: bool
    ) -> Publication: ...


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
            state = read_states(warehouse).get(target.name, TargetState())
            must_purge = purge or state.must_purge
            if must_purge and not state.must_purge:
                # Noted first: if this process is killed, the next publication purges.
                _note(warehouse, target.name, replace(state, must_purge=True))
            former = None if state.shop == content.shop else state.shop
            outcome = _publish_to(content, target, former, replace_all=replace_all, purge=must_purge)
            if outcome.problem:
                _note(warehouse, target.name, replace(state, problem=outcome.problem, must_purge=must_purge))
            else:
                _note(warehouse, target.name, TargetState(outcome.observed_at, datetime.now(UTC), shop=shop))
            yield outcome


def _publish_to(
    content: Content, target: TargetSetting, former: str | None, *, replace_all: bool, purge: bool
) -> Publication:
    started = time.monotonic()
    try:
        _refuse_empty(content)
        # Each kind has packages of its own, which are slow to import or not installed.
        to_target: _Publish = import_module(_MODULES[target.kind]).publish
        outcome = to_target(content, target, replace_all=replace_all, purge=purge)
        if former is not None and target.kind in _PLACE_PER_SHOP:
            _withdraw(to_target, content, target, former)
    except RivoError as error:
        problem = str(error)
    except (duckdb.Error, OSError) as error:
        problem = (
            f"{target.variable} could not be published to ({without_secret(error, target)}). It keeps what it has. "
            f"Then run `{command()} publish {target.name}`."
        )
    else:
        return replace(outcome, seconds=time.monotonic() - started)
    return Publication(target.name, problem=problem, seconds=time.monotonic() - started)


def _withdraw(to_target: _Publish, content: Content, target: TargetSetting, former: str) -> None:
    """Delete the tables that the target has under the former name of the shop, as before an adoption.

    Raises:
        TargetError: they could not be deleted.
    """
    try:
        to_target(replace(content, shop=former, tables=()), target, replace_all=False, purge=True)
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


def _note(warehouse: Warehouse, name: str, state: TargetState) -> None:
    write_states(warehouse, {**read_states(warehouse), name: state})


@contextmanager
def _alone(warehouse: Warehouse) -> Iterator[None]:
    """Wait until no other process publishes this warehouse to targets: the last one must publish the newest state."""
    if not warehouse.exists:
        # Says that there is none.
        warehouse.read().close()
    path = warehouse.target_states.with_suffix(".lock")
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
