"""Finds the outcome of actions that were sent without an answer, and verifies what was done.

An action whose outcome is unknown is never sent again before it was looked for in Rivo and not found, and only
RIVO_SETTLE_SECONDS after its request left, since a request without an answer may still take effect.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from pipelines.actions.entries import Entry
from pipelines.actions.kinds import KINDS
from pipelines.actions.readback import (
    FINDERS,
    Found,
    ListedRow,
    customer,
    difference,
    find_state,
    holds,
    rows_after,
    token_of,
)
from pipelines.actions.sending import SendOptions, Session, member_of, send

_ROUNDS = 3
"""Maximum number of times that an apply sends again what turned out not to have been carried out."""
_SECOND_LOOK_SECONDS = 2.0
"""Time after which a difference is looked at a second time, since a list may lag behind."""


def resolve(session: Session) -> tuple[list[Entry], list[Entry]]:
    """Look in Rivo for every entry whose outcome is unknown, whichever action it belongs to.

    One that is found is done. One that is not found is planned again, if it was looked for `settle_seconds` or more
    after its request left.

    Returns:
        The entries that are resolved, and those that are not, as they were before.

    Raises:
        ListError, ApiError: Rivo cannot be read.
    """
    outbox, open_entries = session.outbox, session.outbox.open()
    read_at = time.time()
    rows = _new_rows(session, open_entries)
    known = {kind: outbox.rivo_ids(kind) for kind in FINDERS}
    resolved, left = [], []
    for entry in open_entries:
        found = _find(session, entry, rows, known)
        if isinstance(found, int):
            if found and entry.kind in known:
                known[entry.kind].add(found)
            outbox.resolved(entry, "done", session.now(), found or None, "found in Rivo")
            resolved.append(entry)
        elif found == "absent" and read_at - (entry.sent_clock or 0) >= session.settle_seconds:
            outbox.resolved(
                entry, "planned", session.now(), None, "not found in Rivo: it was not carried out"
            )
            resolved.append(entry)
        else:
            if entry.state == "sending":
                why = "the command ended before the answer came"
                outbox.resolved(entry, "unknown", session.now(), None, why)
            left.append(entry)
    return resolved, left


def settle(session: Session, ours: Collection[int], options: SendOptions, *, resend: bool = True) -> None:
    """Wait until the unknown outcomes of this apply can be decided, and send again what was not carried out.

    Args:
        session: the outbox and the API.
        ours: ids of the entries that this apply has planned; others are looked for and not sent.
        options: how this apply sends.
        resend: whether to send again at all.

    Raises:
        ListError, ApiError: Rivo cannot be read.
    """
    for _ in range(_ROUNDS):
        resolved, left = resolve(session)
        mine = [entry for entry in left if entry.action_id in ours]
        waiting = max((session.settle_seconds - (time.time() - (e.sent_clock or 0)) for e in mine), default=0)
        if waiting > 0:
            session.notice(
                f"{len(mine)} sent without an answer. Waiting {waiting:.0f} seconds (RIVO_SETTLE_SECONDS) before "
                "looking for them in Rivo again."
            )
            time.sleep(waiting)
            more, _ = resolve(session)
            resolved += more
        again = [session.outbox.entry(entry.action_id) for entry in resolved if entry.action_id in ours]
        again = [entry for entry in again if entry.state == "planned"]
        if not again or not resend:
            break
        send(session, again, options)


def verify(session: Session) -> list[Entry]:
    """Read back every done entry that was not read back yet, and record what differs.

    Returns:
        The entries as they are now.

    Raises:
        ListError, ApiError: Rivo cannot be read.
    """
    entries = session.outbox.unverified()
    differences = _differences(session, entries)
    if any(differs for differs, _ in differences.values()):
        time.sleep(min(_SECOND_LOOK_SECONDS, session.settle_seconds))
        differences = _differences(session, entries)
    for entry in entries:
        differs, id = differences[entry.action_id]
        session.outbox.verified(entry, session.now(), differs, id)
    return [session.outbox.entry(entry.action_id) for entry in entries]


def _differences(session: Session, entries: Sequence[Entry]) -> dict[int, tuple[str | None, int | None]]:
    """Return for each entry, by id, what differs, and the id of its object in Rivo."""
    rows = _new_rows(session, entries)
    known = {kind: session.outbox.rivo_ids(kind) for kind in FINDERS}
    by_id = {name: {row.id: row for row in listed} for name, listed in rows.items()}
    times = Counter(filter(None, map(token_of, rows["points_events"])))
    ours: dict[int | None, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: each.sent_clock or 0):
        if entry.kind == "add_points":
            ours[entry.customer_id].append(entry)
    theirs: dict[int | None, list[ListedRow]] = defaultdict(list)
    for row in rows["points_events"]:
        theirs[row.customer_id].append(row)
    found: dict[int, tuple[str | None, int | None]] = {}
    for entry in entries:
        if entry.kind not in FINDERS:
            found[entry.action_id] = (holds(session.client, entry), None)
            continue
        id = entry.rivo_id
        if id is None:
            outcome = _find(session, entry, rows, known)
            id = outcome if isinstance(outcome, int) else None
            known[entry.kind] |= {id} if id else set()
        listed_row = by_id.get(KINDS[entry.kind].reads, {}).get(id or 0)
        differs = difference(entry, listed_row, times[entry.token])
        same = ours[entry.customer_id]
        # A balance shows all actions on it, so it is compared once, for the last of them.
        if not differs and same and entry is same[-1]:
            differs = _balance_difference(session, same, theirs[entry.customer_id])
        found[entry.action_id] = (differs, id)
    return found


def _find(
    session: Session, entry: Entry, rows: Mapping[str, Sequence[ListedRow]], known: Mapping[str, set[int]]
) -> Found:
    with suppress(KeyError):
        if entry.kind not in FINDERS:
            return find_state(session.client, entry)
        after = [row for row in rows[KINDS[entry.kind].reads] if row.id > (entry.since_id or 0)]
        return FINDERS[entry.kind](entry, after, known[entry.kind])
    # A value that is needed was deleted, because the person was erased or the outbox was restored.
    return "unclear"


def _balance_difference(session: Session, ours: Sequence[Entry], events: Sequence[ListedRow]) -> str | None:
    """Return what is wrong with a customer's balance after our actions; None where other events of it moved it too."""
    id, before, since_id = ours[0].customer_id, ours[0].points_before, ours[0].since_id or 0
    tokens = {each.token for each in ours}
    if id is None or before is None:
        return None
    if any(row.id > since_id and token_of(row) not in tokens for row in events):
        return None
    member = member_of(customer(session.client, id))
    balance, expected = member.points if member else None, before + sum(each.points_amount for each in ours)
    if balance is None or balance == expected:
        return None
    return f"the balance is {balance:,} points, and was {before:,} points before; {expected:,} was expected"


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
