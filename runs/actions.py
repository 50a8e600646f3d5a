"""Plans actions and applies them: opens the warehouse, the outbox and the API, and carries out the steps in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from pipelines.actions.apply import SendOptions, Session, resolve, send, settle, verify
from pipelines.actions.entries import Entry, State
from pipelines.actions.kinds import call_of, parameters_of
from pipelines.actions.outbox import Outbox, open_outbox
from pipelines.actions.parameters import ActionRow, check_columns, read_rows
from pipelines.actions.plan import ActionPlan, make_plan
from pipelines.actions.readback import customer
from pipelines.errors import RivoError
from pipelines.rivo.endpoints import ENDPOINTS
from pipelines.rivo.paging import by_id
from pipelines.settings import Settings
from pipelines.sql import scalar
from pipelines.warehouse import RAW
from pipelines.warehouse.journals import sole_use
from runs import action_facts
from runs.action_rows import Definition, Row, from_row
from runs.client import client_of, opened
from runs.shop import Shop, shop_to_sync
from runs.waiting import wait_for_sync


@dataclass(frozen=True)
class Watcher:
    """Who follows an apply: what is shown, and what is asked.

    Attributes:
        notice: called with a sentence.
        progress: called with the number of actions sent so far, and their total.
        confirm: called with the plan before anything is sent; returns whether to send it.
        confirm_rest: called with the first entry of an unconfirmed call and its text; returns whether to go on.
    """

    notice: Callable[[str], None] = lambda _sentence: None
    progress: Callable[[int, int], None] = lambda _sent, _total: None
    confirm: Callable[[ActionPlan], bool] = lambda _plan: True
    confirm_rest: Callable[[Entry, str], bool] = lambda _entry, _call: False


@dataclass(frozen=True)
class Applied:
    """The result of an apply.

    Attributes:
        plan: the plan, as it was after unknown outcomes of earlier applies were resolved.
        resolved: entries of earlier applies whose outcome was found now, as they are now.
        entries: the entries that this apply planned, as they are now.
        is_demo: whether they were applied to the sandbox store.
        stopped: why it ended before all were sent; empty if it did not.
    """

    plan: ActionPlan
    resolved: list[Entry]
    entries: list[Entry]
    is_demo: bool
    stopped: str = ""

    @property
    def problems(self) -> list[Entry]:
        """The entries that a person should look at: refused, unknown or different from what was asked for."""
        seen = {entry.action_id: entry for entry in (*self.resolved, *self.entries)}
        return [e for e in seen.values() if e.state in ("refused", "unknown", "sending") or e.difference]


@dataclass
class Desk:
    """A shop's warehouse and outbox, as of now."""

    shop: Shop
    connection: duckdb.DuckDBPyConnection
    outbox: Outbox
    observed_at: datetime | None
    """Last observation of the warehouse."""
    session: Session | None = None
    """The API; None where Rivo is not asked."""
    ids: dict[str, int] = field(default_factory=dict)

    def plan(self, definition: Definition, *, retry_refused: bool = False) -> ActionPlan:
        """Decide what would be sent now.

        Raises:
            RivoError: the rows cannot be read, or have wrong columns.
        """
        settings, kind = self.shop.settings, definition.kind
        known = parameters_of(kind, call_of(kind, settings))
        columns, rows = definition.read(self.connection)
        check_columns(kind, known, columns, definition.where)
        if missing := [column for column in definition.key if column not in columns]:
            raise RivoError(
                f"{definition.where}: the key column {missing[0]} is not among {', '.join(columns)}."
            )
        rows = self._with_ids(rows)
        read = read_rows(definition.name, kind, known, definition.key, rows, self.outbox.hashed)
        ids = {row.customer_id for row in read if isinstance(row, ActionRow) and row.customer_id is not None}
        return make_plan(
            definition.name,
            kind,
            read,
            known=self.outbox.known(definition.name),
            members=action_facts.members(self.connection, ids),
            value_of=action_facts.values(self.connection),
            limits=definition.limits,
            spent_today=self.outbox.spent(definition.name, self._midnight()),
            allow_negative=definition.allow_negative,
            retry_refused=retry_refused,
        )

    def decide(self, action_id: int, *, is_done: bool) -> str:
        """Record what a person found out about an action with an unknown outcome; return a sentence about it.

        Raises:
            RivoError: there is no such action, or its outcome is known.
        """
        assert self.session
        open_entries = {entry.action_id: entry for entry in self.outbox.open()}
        if action_id not in open_entries:
            known = ", ".join(map(str, open_entries)) or "none"
            raise RivoError(f"Action {action_id} has no unknown outcome. Those that have: {known}.")
        state: State = "done" if is_done else "planned"
        why = "found out by a person"
        self.outbox.resolved(open_entries[action_id], state, self.now(), None, why)
        if is_done:
            self.outbox.verified(open_entries[action_id], self.now(), None)
        return (
            f"Action {action_id} is recorded as {'done' if is_done else 'not done, and can be sent again'}."
        )

    def now(self) -> datetime:
        """Return the time by Rivo's clock where it was asked; in the demo, that of its last sync."""
        if self.session:
            return self.session.now()
        return self.observed_at if self.shop.is_demo and self.observed_at else datetime.now(UTC)

    def _midnight(self) -> datetime:
        local = self.now().astimezone(ZoneInfo(self.shop.settings.timezone))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)

    def _with_ids(self, rows: list[Row]) -> list[Row]:
        """Return the rows with customers by id where they are named by e-mail address and known."""
        addresses = {
            str(row["customer_id"]).strip().lower() for row in rows if "@" in str(row.get("customer_id"))
        }
        if not addresses:
            return rows
        self.ids |= action_facts.ids_of_addresses(self.connection, addresses)
        for address in sorted(addresses - self.ids.keys()):
            found = customer(self.session.client, address) if self.session else None
            if found:
                self.ids[address] = found.id

        def with_id(row: Row) -> dict[str, Any]:
            address = str(row.get("customer_id")).strip().lower()
            return {**row, "customer_id": self.ids.get(address, row.get("customer_id"))}

        return [with_id(row) for row in rows]


@contextmanager
def desk(settings: Settings) -> Iterator[Desk]:
    """Open a shop's warehouse and outbox to look at them; nothing is written and Rivo is not asked.

    Raises:
        RivoError: a file cannot be read.
    """
    shop = shop_to_sync(settings)
    path = shop.warehouse.outbox
    # Without an outbox, an empty one in memory, so that looking creates no file.
    with opened(shop) as connection, open_outbox(path if path.exists() else Path(":memory:")) as outbox:
        yield Desk(shop, connection, outbox, _observed_at(connection))


@contextmanager
def applying(settings: Settings, notice: Callable[[str], None] = lambda _sentence: None) -> Iterator[Desk]:
    """Open a shop's warehouse, its outbox under a lock, and its API, to change something in Rivo.

    While a sync runs, this waits: both would use Rivo's rate limit, and the sync would see half of the changes.

    Raises:
        RivoError: another command applies actions, a sync does not end, or a file cannot be used.
    """
    shop = shop_to_sync(settings)
    path = shop.warehouse.outbox
    wait_for_sync(shop.warehouse, notice)
    busy = f"Another command is applying actions to {shop.warehouse}. Wait until it ends, then run this one again."
    with sole_use(path, busy), opened(shop) as connection:
        is_new = not path.exists()
        with open_outbox(path) as outbox:
            if is_new:
                outbox.restore(connection)
            observed_at = _observed_at(connection)
            with client_of(shop, observed_at, notice) as client:
                ids = action_facts.largest_ids(connection)
                session = Session(client, outbox, settings.settle_seconds, ids, notice)
                # Before anything is planned: whether the key works, and the time by Rivo's clock.
                client.get(ENDPOINTS["vip_tiers"].path, by_id(0, 1), ENDPOINTS["vip_tiers"].title)
                yield Desk(shop, connection, outbox, observed_at, session)


def apply(
    desk: Desk, definition: Definition, watcher: Watcher, *, retry_refused: bool = False
) -> Applied | None:
    """Resolve what earlier applies left, plan, ask, send, and read everything back.

    Returns:
        The result; None if the plan was not confirmed.

    Raises:
        RivoError: the action is disabled, its rows are wrong, or Rivo cannot be used. The outbox knows what was sent.
    """
    session = desk.session
    assert session
    if definition.disabled:
        raise RivoError(definition.disabled)
    call = call_of(definition.kind, desk.shop.settings)
    options = SendOptions(call, definition.send_email, definition.allow_negative)
    found, _ = resolve(session)
    resolved = [*found, *verify(session)]
    plan = desk.plan(definition, retry_refused=retry_refused)
    entries: list[Entry] = []
    stopped = ""
    if plan.ready:
        if not watcher.confirm(plan):
            return None
        # Rows whose action is planned from here on are in the outbox, whatever happens.
        entries = desk.outbox.plan(
            [(row.action, row.value) for row in plan.ready if row.action], session.now()
        )
        stopped = _send(desk, entries, definition, options, watcher)
    settle(session, definition.name, options)
    resolved += verify(session)
    ours = {entry.action_id for entry in entries}
    latest = {entry.action_id: desk.outbox.entry(entry.action_id) for entry in resolved}
    return Applied(
        plan,
        [entry for id, entry in latest.items() if id not in ours],
        [desk.outbox.entry(id) for id in sorted(ours)],
        desk.shop.is_demo,
        stopped,
    )


def times_sent(desk: Desk, kind: str, row: Row) -> int:
    """Return how often a single action with these values was planned, to plan an equal one."""
    for times in itertools.count():
        [planned] = desk.plan(from_row(kind, row, repeat=times)).rows
        if planned.action is None or desk.outbox.find(kind, planned.action.key) is None:
            return times
    raise AssertionError


def _send(
    desk: Desk, entries: list[Entry], definition: Definition, options: SendOptions, watcher: Watcher
) -> str:
    """Send entries; the first use of an unconfirmed call sends one and asks. Returns why it stopped, or ''."""
    session = desk.session
    assert session
    first = 0
    text = options.call.text
    if definition.kind.setting and not desk.outbox.was_tried(text):
        first = 1
        tried = _try(session, entries[0], definition.name, options)
        if tried.state != "done" or tried.difference:
            return (
                f"The first use of `{text}` on this shop did not do what was expected, so no more were sent. If Rivo "
                f"describes the call differently, set {definition.kind.setting}."
            )
        if len(entries) > 1 and not watcher.confirm_rest(tried, text):
            desk.outbox.tried(text, session.now())
            return f"`{text}` was tried with one row and did what was expected. Run the command again for the rest."
        desk.outbox.tried(text, session.now())
    rest = entries[first:]
    send(session, rest, options, lambda sent: watcher.progress(sent + first, len(entries)))
    return ""


def _try(session: Session, entry: Entry, name: str, options: SendOptions) -> Entry:
    send(session, [entry], options)
    settle(session, name, options)
    verify(session)
    return session.outbox.entry(entry.action_id)


def _observed_at(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    found: datetime | None = scalar(connection, f"select max(observed_at) from {RAW}.sync_log where complete")
    return found.astimezone(UTC) if found else None
