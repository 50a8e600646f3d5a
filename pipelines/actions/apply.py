"""Sends planned actions to Rivo one after another, resolves unknown outcomes, and verifies what was done.

Each action is recorded as `sending` before its request leaves. One whose outcome is unknown is never sent again before
it was looked for in Rivo and not found, and only after RIVO_SETTLE_SECONDS, since a request without an answer may
still take effect.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.actions.batch import PATH, batches, body, record
from pipelines.actions.entries import Entry
from pipelines.actions.kinds import KINDS, Call
from pipelines.actions.outbox import Outbox
from pipelines.actions.parameters import ActionRow
from pipelines.actions.plan import Member, refusal
from pipelines.actions.readback import FINDERS, NOTE, ListedRow, customer, difference, holds, rows_after
from pipelines.errors import ApiError
from pipelines.rivo.changes import Answer, send_change
from pipelines.rivo.client import Client

_ROUNDS = 3
"""How often an apply sends again what turned out not to have been carried out."""


@dataclass
class Session:
    """One use of the outbox and the API.

    Attributes:
        client: the shop's API.
        outbox: the shop's outbox, locked by the caller.
        settle_seconds: time after which an action that cannot be found counts as not carried out.
        since_ids: by list, an id that is known to exist; later the largest one.
        notice: called with a sentence when something is waited for or was resolved.
    """

    client: Client
    outbox: Outbox
    settle_seconds: float
    since_ids: dict[str, int]
    notice: Callable[[str], None] = lambda _sentence: None
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
            _, self.since_ids[name] = rows_after(
                self.client, name, self.since_ids.get(name, 0), lambda _row: False
            )
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


def _send(session: Session, group: Sequence[Entry], options: SendOptions) -> None:
    """Send entries in one call: one, or a batch of points."""
    kind, outbox = KINDS[group[0].kind], session.outbox
    allowed = [(entry, member) for entry in group for member in [_allowed(session, entry, options)] if member]
    if not allowed:
        return
    since_id = session.since_id(kind.reads) if kind.name in FINDERS else None
    for entry, member in allowed:
        outbox.sending(entry, session.now(), time.time(), since_id, member.points)
    entries = [entry for entry, _ in allowed]
    call, fields = options.call, [_fields(entry, options) for entry in entries]
    try:
        if len(entries) > 1:
            answer = send_change(session.client, "POST", PATH, body(fields), kind.title, as_json=True)
            last_id = record(outbox, entries, answer, session.now())
        else:
            path = call.path.format(**entries[0].parameters)
            answer = send_change(session.client, call.method, path, fields[0], kind.title)
            last_id = _record(session, entries[0], answer)
    except ApiError as error:
        # Nothing was changed. After any other error the entries stay `sending`.
        for entry in entries:
            outbox.answered(entry, "planned", session.now(), None, None, str(error))
        raise
    if kind.name in FINDERS:
        session.since_ids[kind.reads] = max(last_id, session.since_ids.get(kind.reads, 0))


def _allowed(session: Session, entry: Entry, options: SendOptions) -> Member | None:
    """Ask Rivo about the entry's customer; None if the customer must not get the action, which is then skipped."""
    kind = KINDS[entry.kind]
    if not kind.is_about_customer:
        return Member(None, None)
    assert entry.customer_id is not None
    member = _member(customer(session.client, entry.customer_id))
    action = ActionRow(entry.action, entry.kind, entry.action_key, entry.parameters)
    points = member.points if member else None
    why = refusal(kind, action, member, points, allow_negative=options.allow_negative)
    if why:
        session.outbox.skipped(entry, session.now(), why)
        return None
    return member


def _record(session: Session, entry: Entry, answer: Answer) -> int:
    rivo_id = answer.data.get("id") if isinstance(answer.data, dict) else None
    rivo_id = rivo_id if isinstance(rivo_id, int) else None
    session.outbox.answered(
        entry, answer.outcome, session.now(), answer.status, rivo_id, answer.message or None
    )
    return rivo_id or 0


def _fields(entry: Entry, options: SendOptions) -> dict[str, Any]:
    values: dict[str, Any] = dict(entry.parameters)
    if entry.kind == "add_points":
        note = values.get("internal_note")
        token = f"[{NOTE} {entry.action} {entry.token}]"
        values["internal_note"] = f"{note} {token}" if note else token
        values["source"] = "custom_action" if values.get("custom_action_name") else "manual"
        # A points-earned mail exists, and it is not known whether `manual` sends it.
        values["skip_email"] = not options.send_email
    return {field: values.get(name) for name, field in options.call.fields.items()}


def resolve(session: Session) -> tuple[list[Entry], list[Entry]]:
    """Look in Rivo for every entry whose outcome is unknown, whichever action it belongs to.

    One that is found is done. One that is not found is planned again, once it is older than `settle_seconds`.

    Returns:
        The entries that are resolved, and those that are not.

    Raises:
        ListError, ApiError: Rivo cannot be read.
    """
    open_entries = session.outbox.open()
    rows = _new_rows(session, open_entries)
    known = {kind: session.outbox.rivo_ids(kind) for kind in FINDERS}
    resolved, left = [], []
    for entry in open_entries:
        if entry.kind in FINDERS:
            after = [row for row in rows[KINDS[entry.kind].reads] if row.id > (entry.since_id or 0)]
            found = FINDERS[entry.kind](entry, after, known[entry.kind])
        else:
            found = "absent" if holds(session.client, entry) else 0
        if isinstance(found, int):
            if found:
                known[entry.kind].add(found)
            session.outbox.resolved(entry, "done", session.now(), found or None, "found in Rivo")
            resolved.append(entry)
        elif found == "absent" and time.time() - (entry.sent_clock or 0) >= session.settle_seconds:
            session.outbox.resolved(
                entry, "planned", session.now(), None, "not found in Rivo: free to be sent again"
            )
            resolved.append(entry)
        else:
            if entry.state == "sending":
                why = "the command ended before the answer came"
                session.outbox.resolved(entry, "unknown", session.now(), None, why)
            left.append(entry)
    return resolved, left


def settle(session: Session, name: str, options: SendOptions) -> list[Entry]:
    """Wait until unknown outcomes can be decided, and send again what was not carried out, a few times.

    Returns:
        The entries that stay unknown.

    Raises:
        ListError, ApiError: Rivo cannot be read.
    """
    left: list[Entry] = []
    for _ in range(_ROUNDS):
        resolved, left = resolve(session)
        waiting = [session.settle_seconds - (time.time() - (entry.sent_clock or 0)) for entry in left]
        if waiting and max(waiting) > 0:
            session.notice(
                f"{len(left)} sent without an answer. Waiting {max(waiting):.0f} seconds (RIVO_SETTLE_SECONDS) before "
                "looking for them in Rivo again."
            )
            time.sleep(max(waiting))
            more, left = resolve(session)
            resolved += more
        again = [session.outbox.entry(entry.action_id) for entry in resolved if entry.action == name]
        again = [entry for entry in again if entry.state == "planned"]
        if not again:
            break
        send(session, again, options)
    return left


def verify(session: Session) -> list[Entry]:
    """Read back every done entry that was not read back yet, and record what differs.

    Returns:
        The entries as they are now.

    Raises:
        ListError, ApiError: Rivo cannot be read.
    """
    entries = session.outbox.unverified()
    rows = _new_rows(session, entries)
    by_list = {name: {row.id: row for row in listed} for name, listed in rows.items()}
    balances: dict[int, int | None] = {}
    for entry in entries:
        reads = KINDS[entry.kind].reads
        if entry.kind not in FINDERS:
            differs = holds(session.client, entry)
        else:
            id = entry.rivo_id
            if id is None:
                after = [row for row in rows[reads] if row.id > (entry.since_id or 0)]
                found = FINDERS[entry.kind](entry, after, session.outbox.rivo_ids(entry.kind))
                id = found if isinstance(found, int) else None
            differs = difference(entry, by_list[reads].get(id or 0))
            differs = differs or _balance_difference(session, entry, entries, rows, balances)
        session.outbox.verified(entry, session.now(), differs)
    return [session.outbox.entry(entry.action_id) for entry in entries]


def _balance_difference(
    session: Session,
    entry: Entry,
    entries: Sequence[Entry],
    rows: Mapping[str, Sequence[ListedRow]],
    balances: dict[int, int | None],
) -> str | None:
    """Return what is wrong with a balance after all actions on its customer; None where other events moved it too."""
    id = entry.customer_id
    ours = [each for each in entries if each.customer_id == id and each.kind == "add_points"]
    ours.sort(key=lambda each: each.sent_clock or 0)
    if id is None or entry.kind != "add_points" or entry is not ours[-1] or ours[0].points_before is None:
        return None
    tokens = [each.token for each in ours]
    theirs = [row for row in rows["points_events"] if row.customer_id == id and not _has_token(row, tokens)]
    if any(row.id > (ours[0].since_id or 0) for row in theirs):
        return None
    if id not in balances:
        member = _member(customer(session.client, id))
        balances[id] = member.points if member else None
    expected = ours[0].points_before + sum(each.points_amount for each in ours)
    balance = balances[id]
    if balance is None or balance == expected:
        return None
    before = ours[0].points_before
    return f"the balance is {balance:,} points, and was {before:,} points before; {expected:,} was expected"


def _has_token(row: ListedRow, tokens: Sequence[str]) -> bool:
    note = row.attributes.get("internal_note")
    return isinstance(note, str) and any(token in note for token in tokens)


def _new_rows(session: Session, entries: Sequence[Entry]) -> dict[str, list[ListedRow]]:
    """Read, once a list, the rows that entries can have made, and the other events of their customers."""
    since: dict[str, int] = {}
    for entry in entries:
        if entry.kind in FINDERS:
            reads = KINDS[entry.kind].reads
            since[reads] = min(since.get(reads, entry.since_id or 0), entry.since_id or 0)
    people = {entry.customer_id for entry in entries}
    found: dict[str, list[ListedRow]] = defaultdict(list)
    for name, since_id in since.items():
        found[name], _ = rows_after(
            session.client, name, since_id, lambda row: row.customer_id is None or row.customer_id in people
        )
    return found


def _member(found: ListedRow | None) -> Member | None:
    if found is None:
        return None
    points = found.attributes.get("points_tally", found.attributes.get("loyalty_points_tally"))
    status = found.attributes.get("loyalty_status")
    return Member(str(status).lower() if status else None, points if isinstance(points, int) else None)
