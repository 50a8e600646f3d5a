"""Plans actions and applies them: opens the warehouse, the outbox and the API, and carries out the steps in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import duckdb

from pipelines.actions.entries import OPEN, Entry, State
from pipelines.actions.kinds import call_of, parameters_of
from pipelines.actions.outbox import Outbox
from pipelines.actions.outbox_file import look_into_outbox, open_outbox, restore_copy
from pipelines.actions.parameters import ActionRow, Invalid, check_columns, read_rows
from pipelines.actions.plan import ActionPlan, make_plan
from pipelines.actions.readback import customer
from pipelines.actions.resolving import resolve, settle, verify
from pipelines.actions.sending import SendOptions, Session, send
from pipelines.errors import RivoError, SettingsError
from pipelines.load.guards import refuse_other_shop, refuse_unadopted
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

_MANY_ADDRESSES = 50
"""Number of addresses from which on it is said that looking them up takes a while."""


@dataclass(frozen=True)
class Watcher:
    """The callbacks of an apply.

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
        """The entries to look at: refused, unknown, different from what was asked for, or sent and not carried out."""
        seen = {entry.action_id: entry for entry in (*self.resolved, *self.entries)}
        lost = {e.action_id for e in self.resolved if e.state == "planned"}
        failed = ("refused", *OPEN)
        return [e for e in seen.values() if e.state in failed or e.difference or e.action_id in lost]


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
        if self.session:
            read = [_known(position, row) for position, row in enumerate(read, 1)]
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
            self.outbox.verified(open_entries[action_id], self.now(), None, None)
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
        """Return the rows with customers by id where they are named by e-mail address and known.

        Rivo knows who has an address now. Without it, the warehouse knows who had it at the last sync.
        """
        addresses = {address for row in rows if (address := _address(row))}
        if not addresses:
            return rows
        if self.session:
            if len(addresses) > _MANY_ADDRESSES:
                self.session.notice(f"Asking Rivo whose the {len(addresses):,} e-mail addresses are.")
            for address in sorted(addresses - self.ids.keys()):
                if found := customer(self.session.client, address):
                    self.ids[address] = found.id
        else:
            self.ids = action_facts.ids_of_addresses(self.connection, addresses)
        ids = self.ids
        return [{**row, "customer_id": ids.get(_address(row), row["customer_id"])} for row in rows]


def _known(position: int, row: ActionRow | Invalid) -> ActionRow | Invalid:
    """Leave a row out whose customer is named by an address that Rivo does not know."""
    if isinstance(row, ActionRow) and isinstance(row.parameters.get("customer_id"), str):
        return Invalid(position, {}, "Rivo has no customer with this address")
    return row


def _address(row: Row) -> str:
    """Return the e-mail address that names the customer of a row, in lower case; empty if none does."""
    text = str(row.get("customer_id") or "").strip().lower()
    return text if "@" in text else ""


@contextmanager
def desk(settings: Settings) -> Iterator[Desk]:
    """Open a shop's warehouse and outbox to look at them; nothing is written and Rivo is not asked.

    Raises:
        RivoError: a file cannot be read.
    """
    shop = shop_to_sync(settings)
    path = shop.warehouse.outbox
    with opened(shop) as connection, look_into_outbox(path) as outbox:
        if not path.exists():
            restore_copy(outbox, connection)
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
    with sole_use(path, busy), _shared(shop), opened(shop) as connection, open_outbox(path) as outbox:
        restore_copy(outbox, connection)
        _refuse_other_url(shop, outbox)
        observed_at = _observed_at(connection)
        with client_of(shop, observed_at, notice) as client:
            # Before anything is planned: whether the key works, whose it is, and the time by Rivo's clock.
            client.get(ENDPOINTS["vip_tiers"].path, by_id(0, 1), ENDPOINTS["vip_tiers"].title)
            refuse_unadopted(shop.settings, client)
            refuse_other_shop(connection, client)
            ids = action_facts.largest_ids(connection)
            push = shop.warehouse.push_outbox
            session = Session(client, outbox, settings.settle_seconds, ids, notice, recorded=push)
            yield Desk(shop, connection, outbox, observed_at, session)


@contextmanager
def _shared(shop: Shop) -> Iterator[None]:
    """Begin with the newest outbox of all machines, and share this one's at the end, if there is a shared state."""
    shop.warehouse.pull(holds_outbox=True)
    try:
        yield
    except BaseException:
        with suppress(RivoError):
            shop.warehouse.push_outbox()
        raise
    shop.warehouse.push_outbox()


def _refuse_other_url(shop: Shop, outbox: Outbox) -> None:
    known = outbox.belongs_to(shop.source)
    if known != shop.source:
        raise SettingsError(
            f"{shop.warehouse.outbox} records what was sent to {known}, and RIVO_API_URL is {shop.source}. What has an "
            "unknown outcome there cannot be looked up here. Nothing was sent. Correct RIVO_API_URL, or set "
            "RIVO_WAREHOUSE to another file for another shop."
        )


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
    options = SendOptions(
        call_of(definition.kind, desk.shop.settings), definition.send_email, definition.allow_negative
    )
    resolved, _ = resolve(session)
    resolved = [*resolved, *verify(session)]
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
    ours = {entry.action_id for entry in entries}
    if not stopped:
        settle(session, ours, options)
    resolved += verify(session)
    desk.outbox.strip_planned()
    others = {entry.action_id for entry in resolved} - ours
    return Applied(
        plan,
        [desk.outbox.entry(id) for id in sorted(others)],
        [desk.outbox.entry(id) for id in sorted(ours)],
        desk.shop.is_demo,
        stopped,
    )


def times_done(desk: Desk, kind: str, row: Row) -> int:
    """Return how often a single action with these values was done, to plan an equal one.

    Raises:
        RivoError: the last one has an unknown outcome, so that a further one could be one too many.
    """
    times = 0
    while True:
        [planned] = desk.plan(from_row(kind, row, repeat=times)).rows
        entry = desk.outbox.find(kind, planned.action.key) if planned.action else None
        if entry and entry.state in OPEN:
            raise RivoError(
                f"Action {entry.action_id} is equal to this one, and its outcome is unknown. Run the command without "
                "--again: it finds out what became of it."
            )
        if entry is None or entry.state != "done":
            return times
        times += 1


def _send(
    desk: Desk, entries: list[Entry], definition: Definition, options: SendOptions, watcher: Watcher
) -> str:
    """Send entries; the first use of an unconfirmed call sends one and asks. Returns why it stopped, or ''."""
    session = desk.session
    assert session
    text = options.call.text
    rest = list(entries)
    if definition.kind.setting and not desk.outbox.was_tried(text):
        tried = _try(session, rest, options)
        if tried is None:
            return ""
        if tried.state != "done" or tried.difference:
            return (
                f"The first use of `{text}` on this shop did not do what was expected, so no more were sent. If Rivo "
                f"describes the call differently, set {definition.kind.setting}."
            )
        if rest and not watcher.confirm_rest(tried, text):
            desk.outbox.tried(text, session.now())
            return f"`{text}` was tried with one row and did what was expected. Run the command again for the rest."
        desk.outbox.tried(text, session.now())
    before = len(entries) - len(rest)
    send(session, rest, options, lambda sent: watcher.progress(sent + before, len(entries)))
    return ""


def _try(session: Session, rest: list[Entry], options: SendOptions) -> Entry | None:
    """Send the first entry that is not skipped, once, and read it back; take what was looked at out of `rest`.

    Returns:
        The entry as it is now; None if all were skipped.
    """
    while rest:
        entry = rest.pop(0)
        send(session, [entry], options)
        if session.outbox.entry(entry.action_id).state == "skipped":
            continue
        settle(session, {entry.action_id}, options, resend=False)
        verify(session)
        return session.outbox.entry(entry.action_id)
    return None


def _observed_at(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    found: datetime | None = scalar(connection, f"select max(observed_at) from {RAW}.sync_log where complete")
    return found.astimezone(UTC) if found else None
