"""Sends planned actions to Rivo, one after another, each once.

Each action is recorded as `sending` before its request leaves, so that a crash leaves no action behind of which it is
not known that it may have been sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from pipelines.actions.batch import PATH, batches, body, record
from pipelines.actions.entries import Entry
from pipelines.actions.kinds import KINDS, Call
from pipelines.actions.outbox import Outbox
from pipelines.actions.parameters import ActionRow
from pipelines.actions.plan import Member, refusal
from pipelines.actions.readback import FINDERS, NOTE, ListedRow, customer, rows_after
from pipelines.errors import ApiError, RivoError
from pipelines.rivo.changes import Answer, send_change
from pipelines.rivo.client import Client


@dataclass
class Session:
    """One use of the outbox and the API.

    Attributes:
        client: the shop's API.
        outbox: the shop's outbox, locked by the caller.
        settle_seconds: time after which an action that cannot be found counts as not carried out.
        since_ids: by list, an id that is known to exist; later the largest one.
        notice: called with a sentence when something is waited for.
        recorded: called when actions are recorded as about to be sent, before the request leaves; an error keeps it.
        has_done: whether a call of this session succeeded, so that the key may make it.
    """

    client: Client
    outbox: Outbox
    settle_seconds: float
    since_ids: dict[str, int]
    notice: Callable[[str], None] = lambda _sentence: None
    recorded: Callable[[], None] = lambda: None
    has_done: bool = False
    _read: set[str] = field(default_factory=set)
    _started: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return the time by Rivo's clock, so that it can be compared with the times of rows."""
        if self.client.observed_at is None:
            return datetime.now(UTC)
        return self.client.observed_at + timedelta(seconds=time.monotonic() - self._started)

    def since_id(self, name: str) -> int:
        """Return the largest id of a list, as of now or of the last action that was sent."""
        if name not in self._read:
            known = self.since_ids.get(name, 0)
            _, self.since_ids[name] = rows_after(self.client, name, known, lambda _row: False)
            self._read.add(name)
        return self.since_ids[name]


@dataclass(frozen=True)
class SendOptions:
    """How an apply sends: the call, whether Rivo may send mails, and whether balances may become negative."""

    call: Call
    send_email: bool = False
    allow_negative: bool = False


def send(
    session: Session,
    entries: Sequence[Entry],
    options: SendOptions,
    progress: Callable[[int], None] = lambda _sent: None,
) -> None:
    """Send planned entries of one kind, each once. What became of them is in the outbox.

    Raises:
        ApiError: no call can succeed, such as with a wrong key; the entries that were not sent stay planned.
        ListError: a customer or the end of a list cannot be read.
    """
    is_batched = options.send_email and entries and entries[0].kind == "add_points"
    groups = batches(entries) if is_batched else [[entry] for entry in entries]
    sent = 0
    for group in groups:
        progress(sent)
        _send(session, group, options)
        sent += len(group)
    progress(len(entries))


def member_of(found: ListedRow | None) -> Member | None:
    """Return a customer's status and balances as Rivo shows them; None for a customer that it does not have."""
    if found is None:
        return None
    status = found.attributes.get("loyalty_status")
    points = found.attributes.get("points_tally", found.attributes.get("loyalty_points_tally"))
    try:
        credits = Decimal(str(found.attributes.get("credits_tally")))
    except InvalidOperation:
        credits = None
    return Member(
        str(status).lower() if status else None,
        points if isinstance(points, int) else None,
        credits if credits is not None and credits.is_finite() else None,
    )


def _send(session: Session, group: Sequence[Entry], options: SendOptions) -> None:
    """Send entries in one call: one, or a batch of points."""
    kind, outbox = KINDS[group[0].kind], session.outbox
    allowed = [(entry, member) for entry in group for member in [_allowed(session, entry, options)] if member]
    if not allowed:
        return
    since_id = session.since_id(kind.reads) if kind.name in FINDERS else None
    entries = [entry for entry, _ in allowed]
    # Before the entries are `sending`: nothing else that can fail is between that and the request.
    fields = [_fields(entry, options) for entry in entries]
    path = PATH if len(entries) > 1 else options.call.path.format(**entries[0].parameters)
    for entry, member in allowed:
        outbox.sending(entry, session.now(), time.time(), since_id, member.points)

    try:
        session.recorded()
    except RivoError as error:
        _not_sent(session, entries, error)
        raise

    def again() -> None:
        for entry in entries:
            outbox.sending_again(entry, time.time())

    try:
        if len(entries) > 1:
            answer = send_change(
                session.client, "POST", path, body(fields), kind.title, as_json=True, before_repeat=again
            )
            last_id = record(outbox, entries, answer, session.now())
        else:
            answer = send_change(
                session.client,
                options.call.method,
                path,
                fields[0],
                kind.title,
                before_repeat=again,
                is_permitted=session.has_done,
            )
            last_id = _record(session, entries[0], answer)
    except ApiError as error:
        # Nothing was changed. After any other error the entries stay `sending`.
        _not_sent(session, entries, error)
        raise
    session.has_done = session.has_done or answer.outcome == "done"
    if kind.name in FINDERS:
        session.since_ids[kind.reads] = max(last_id, session.since_ids.get(kind.reads, 0))


def _not_sent(session: Session, entries: Sequence[Entry], error: RivoError) -> None:
    for entry in entries:
        session.outbox.answered(entry, "planned", session.now(), None, None, str(error))


def _allowed(session: Session, entry: Entry, options: SendOptions) -> Member | None:
    """Ask Rivo about the entry's customer; None if the customer must not get the action, which is then skipped."""
    kind = KINDS[entry.kind]
    if not kind.is_about_customer:
        return Member(None, None)
    member = member_of(customer(session.client, entry.parameters["customer_id"]))
    action = ActionRow(entry.action, entry.kind, entry.action_key, entry.parameters)
    why = refusal(kind, action, member, allow_negative=options.allow_negative)
    if why:
        session.outbox.skipped(entry, session.now(), why)
        return None
    return member


def _record(session: Session, entry: Entry, answer: Answer) -> int:
    rivo_id = answer.data.get("id") if isinstance(answer.data, dict) else None
    rivo_id = rivo_id if isinstance(rivo_id, int) else None
    message = answer.message or None
    session.outbox.answered(entry, answer.outcome, session.now(), answer.status, rivo_id, message)
    return rivo_id or 0


def _fields(entry: Entry, options: SendOptions) -> dict[str, Any]:
    values: dict[str, Any] = dict(entry.parameters)
    if entry.kind == "add_points":
        note = values.get("internal_note")
        # First, so that a note that is cut off still has it.
        token = f"[{NOTE} {entry.action} {entry.token}]"
        values["internal_note"] = f"{token} {note}" if note else token
        values["source"] = "custom_action" if values.get("custom_action_name") else "manual"
        # A points-earned mail exists, and it is not known whether `manual` sends it.
        values["skip_email"] = not options.send_email
    return {field: values.get(name) for name, field in options.call.fields.items()}
