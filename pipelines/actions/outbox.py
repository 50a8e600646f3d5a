"""The outbox: what was planned, sent and answered, in a journal beside the warehouse that no sync replaces."""

from __future__ import annotations

import hmac
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipelines.actions.entries import OPEN, Entry, Spent, State
from pipelines.actions.parameters import ActionRow
from pipelines.warehouse.action_tables import IMPERSONAL
from pipelines.warehouse.journals import shred


class Outbox:
    """The outbox of one shop. Each method is one transaction, flushed to the disk."""

    def __init__(self, connection: sqlite3.Connection, secret: str) -> None:
        """`secret` is the key of the hashes in keys, in hexadecimal digits."""
        self._connection = connection
        self._secret = secret

    def plan(self, actions: Sequence[tuple[ActionRow, Decimal | None]], now: datetime) -> list[Entry]:
        """Record actions with their value as planned. Those that were skipped or refused are planned again.

        Raises:
            ValueError: one of them is done, or its outcome is unknown.
        """
        entries = []
        with self._transaction():
            for action, value in actions:
                known = self.find(action.name, action.key)
                if known and known.state in ("done", *OPEN):
                    raise ValueError(f"{action.name} {action.key} is {known.state}")
                self._connection.execute(
                    """
                    insert into actions (action, kind, action_key, state, customer_id, parameters, points_amount,
                        credits_amount, value, token, planned_at)
                    values (?, ?, ?, 'planned', ?, ?, ?, ?, ?, ?, ?)
                    on conflict (action, action_key) do update set
                        kind = excluded.kind, state = 'planned', customer_id = excluded.customer_id,
                        parameters = excluded.parameters, points_amount = excluded.points_amount,
                        credits_amount = excluded.credits_amount, value = excluded.value,
                        planned_at = excluded.planned_at, message = null,
                        -- After a refusal, newer rows of others must not be taken for this action.
                        since_id = case when state = 'planned' then since_id end
                    """,
                    [
                        *(action.name, action.kind, action.key, action.customer_id),
                        *(json.dumps(dict(action.parameters), ensure_ascii=False), action.points),
                        *(str(action.credits), None if value is None else str(value)),
                        *(secrets.token_hex(8), _text(now)),
                    ],
                )
                entry = self.find(action.name, action.key)
                assert entry
                entries.append(entry)
        return entries

    def fill(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows from a copy of another outbox."""
        with self._transaction():
            self._connection.executemany(
                f"insert into actions ({', '.join(columns)}) values ({_marks(columns)})", rows
            )

    def belongs_to(self, shop: str) -> str:
        """Return the shop that the outbox was first used for, which is `shop` for a new one."""
        with self._transaction():
            self._connection.execute(
                "insert into shops select ? where not exists (select 1 from shops)", [shop]
            )
        [found] = self._connection.execute("select shop from shops").fetchone()
        return str(found)

    def hashed(self, text: str) -> str:
        """Return what replaces a personal text in a key: a hash under a secret that the warehouse does not have."""
        return "hash:" + hmac.new(bytes.fromhex(self._secret), text.encode(), "sha256").hexdigest()[:32]

    def rewrite(self, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> int:
        """Change rows of the outbox, and write the file again without the bytes of the old values.

        Args:
            change: returns the changed columns of a row, None for a row that stays.

        Returns:
            The number of rows changed.
        """
        changed = 0
        with self._transaction():
            for row in self._connection.execute("select * from actions").fetchall():
                values = change(dict(row))
                if values is not None:
                    changed += 1
                    columns = ", ".join(f"{name} = ?" for name in values)
                    self._connection.execute(
                        f"update actions set {columns} where action_id = ?",
                        [*values.values(), row["action_id"]],
                    )
                    self._connection.execute(
                        "update results set message = null where action_id = ?", [row["action_id"]]
                    )
        if changed:
            shred(self._connection)
        return changed

    def customer_ids(self) -> list[int]:
        """Return the ids of all customers in the outbox."""
        rows = self._connection.execute("select distinct customer_id from actions where customer_id > 0")
        return [id for (id,) in rows]

    def find(self, action: str, key: str) -> Entry | None:
        """Return the entry of an action by its key."""
        return next(self._select("action = ? and action_key = ?", [action, key]), None)

    def known(self, action: str) -> dict[str, Entry]:
        """Return the entries of an action by key."""
        return {entry.action_key: entry for entry in self._select("action = ?", [action])}

    def open(self) -> list[Entry]:
        """Return the entries whose outcome is not known, of all actions."""
        return list(self._select(f"state in ({_marks(OPEN)})", OPEN))

    def unverified(self) -> list[Entry]:
        """Return the entries that are done and were not read back yet, of all actions."""
        return list(self._select("state = 'done' and verified_at is null", []))

    def entry(self, action_id: int) -> Entry:
        """Return an entry by its id."""
        return next(self._select("action_id = ?", [action_id]))

    def count(self) -> dict[tuple[str, State], int]:
        """Return the number of entries by action and state."""
        rows = self._connection.execute("select action, state, count(*) from actions group by 1, 2")
        return {(action, state): number for action, state, number in rows}

    def last_sent_at(self, action: str) -> datetime | None:
        """Return when an action was last sent."""
        [found] = self._connection.execute(
            "select max(sent_at) from actions where action = ?", [action]
        ).fetchone()
        return _moment(found)

    def spent(self, action: str, since: datetime) -> Spent:
        """Return what an action has sent since a moment, refused calls not counted."""
        sent = list(
            self._select(
                "action = ? and sent_at >= ? and state in ('done', 'sending', 'unknown')",
                [action, _text(since)],
            )
        )
        points, values = (
            sum(abs(each.points_amount) for each in sent),
            (each.value or Decimal(0) for each in sent),
        )
        return Spent(len(sent), points, sum(map(abs, values), Decimal(0)))

    def sending(
        self, entry: Entry, now: datetime, clock: float, since_id: int | None, points_before: int | None
    ) -> None:
        """Record that an action is about to be sent: the last write before the request leaves."""
        with self._transaction():
            self._connection.execute(
                "update actions set state = 'sending', sent_at = ?, sent_clock = ?, since_id = coalesce(since_id, ?), "
                "points_before = ?, attempts = attempts + 1 where action_id = ?",
                [_text(now), clock, since_id, points_before, entry.action_id],
            )
            self._connection.execute(
                "insert into results (action_id, attempt, sent_at, outcome) "
                "select action_id, attempts, sent_at, 'sending' from actions where action_id = ?",
                [entry.action_id],
            )

    def sending_again(self, entry: Entry, clock: float) -> None:
        """Record that the request of an action leaves once again, after Rivo's rate limit refused it."""
        with self._transaction():
            self._connection.execute(
                "update actions set sent_clock = ? where action_id = ?", [clock, entry.action_id]
            )

    def answered(
        self,
        entry: Entry,
        state: State,
        now: datetime,
        status: int | None,
        rivo_id: int | None,
        message: str | None,
    ) -> None:
        """Record the answer to an action that was sent."""
        with self._transaction():
            self._connection.execute(
                "update results set answered_at = ?, http_status = ?, outcome = ?, message = ? where action_id = ? "
                "and attempt = (select attempts from actions where action_id = ?)",
                [_text(now), status, state, message, entry.action_id, entry.action_id],
            )
            self._finish(entry.action_id, state, now, rivo_id, message)
            if state == "refused":
                self._strip(entry.action_id)
            if state == "planned":
                self._connection.execute(
                    "update actions set since_id = null where action_id = ?", [entry.action_id]
                )

    def resolved(self, entry: Entry, state: State, now: datetime, rivo_id: int | None, message: str) -> None:
        """Record the outcome of an action that was found by reading back, or that it is free to be sent again."""
        with self._transaction():
            self._finish(entry.action_id, state, now, rivo_id, message)

    def skipped(self, entry: Entry, now: datetime, message: str) -> None:
        """Record that a planned action was left out."""
        with self._transaction():
            self._finish(entry.action_id, "skipped", now, None, message)
            self._strip(entry.action_id)

    def verified(self, entry: Entry, now: datetime, difference: str | None, rivo_id: int | None) -> None:
        """Record that a done action was read back, what differs, and the id of its object if it was not known."""
        with self._transaction():
            self._connection.execute(
                "update actions set verified_at = ?, difference = ?, rivo_id = coalesce(rivo_id, ?) "
                "where action_id = ?",
                [_text(now), difference, rivo_id, entry.action_id],
            )
            self._strip(entry.action_id)

    def rivo_ids(self, kind: str) -> set[int]:
        """Return the ids of the objects in Rivo that actions of a kind are known to have made."""
        rows = self._connection.execute(
            "select rivo_id from actions where kind = ? and rivo_id is not null", [kind]
        )
        return {id for (id,) in rows}

    def was_tried(self, call: str) -> bool:
        """Return whether an unconfirmed call was tried and read back on this shop."""
        return (
            self._connection.execute("select 1 from tried_calls where call = ?", [call]).fetchone()
            is not None
        )

    def tried(self, call: str, now: datetime) -> None:
        """Record that an unconfirmed call did what it is expected to do."""
        with self._transaction():
            self._connection.execute("insert or ignore into tried_calls values (?, ?)", [call, _text(now)])

    def strip_planned(self) -> None:
        """Delete the values that identify a person from actions that were planned and not sent."""
        with self._transaction():
            for entry in self._select("state = 'planned'", []):
                self._strip(entry.action_id)

    def _strip(self, action_id: int) -> None:
        """Delete values that identify a person, once they are no longer needed."""
        kept = {name: value for name, value in self.entry(action_id).parameters.items() if name in IMPERSONAL}
        self._connection.execute(
            "update actions set parameters = ? where action_id = ?",
            [json.dumps(kept, ensure_ascii=False), action_id],
        )

    def _finish(
        self, action_id: int, state: State, now: datetime, rivo_id: int | None, message: str | None
    ) -> None:
        self._connection.execute(
            "update actions set state = ?, finished_at = ?, rivo_id = coalesce(?, rivo_id), message = ? "
            "where action_id = ?",
            [state, _text(now), rivo_id, message, action_id],
        )

    def _select(self, condition: str, values: Sequence[Any]) -> Iterator[Entry]:
        for row in self._connection.execute(
            f"select * from actions where {condition} order by action_id", values
        ):
            yield Entry(
                **{name: row[name] for name in _PLAIN},
                parameters=json.loads(row["parameters"]),
                credits_amount=Decimal(row["credits_amount"]),
                value=None if row["value"] is None else Decimal(row["value"]),
                sent_at=_moment(row["sent_at"]),
                verified_at=_moment(row["verified_at"]),
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")


_PLAIN = (
    *(
        "action_id",
        "action",
        "kind",
        "action_key",
        "state",
        "customer_id",
        "points_amount",
        "token",
        "since_id",
    ),
    *("points_before", "sent_clock", "attempts", "rivo_id", "message", "difference"),
)
"""Columns that an `Entry` holds as they are stored."""


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
