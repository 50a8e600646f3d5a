"""Points for several customers in one call, for actions that let Rivo send mails.

The batch call has no `skip_email`, and takes at most ten events (reference page batch-create-points-events). What a
partial failure answers is unknown, so any answer but success leaves all ten with an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.actions.entries import Entry, State
from pipelines.actions.outbox import Outbox
from pipelines.rivo.changes import Answer

SIZE = 10
"""Maximum number of points events in one call."""
PATH = "/points_events/batch"


def batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Split entries into batches; what was sent before goes alone, so that Rivo answers for it."""
    groups: list[list[Entry]] = []
    for entry in entries:
        # Two rows of one customer never go together, since each is allowed by the balance that the others leave.
        is_new = not entry.attempts
        last = groups[-1] if groups else []
        has_room = 0 < len(last) < SIZE and not any(each.attempts for each in last)
        if is_new and has_room and all(each.customer_id != entry.customer_id for each in last):
            last.append(entry)
        else:
            groups.append([entry])
    return groups


def body(fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the body of the batch call for the fields of single calls."""
    events = [
        {name: value for name, value in each.items() if value is not None and name != "skip_email"}
        for each in fields
    ]
    return {"points_events": events}


def record(outbox: Outbox, entries: Sequence[Entry], answer: Answer, now: Any) -> int:
    """Record the answer to a batch for each of its entries.

    Returns:
        The largest id of the events that were made; 0 if Rivo named none.
    """
    made = answer.data if isinstance(answer.data, list) else []
    notes = {
        str(row["attributes"].get("internal_note")): row["id"]
        for row in made
        if isinstance(row, dict)
        and isinstance(row.get("id"), int)
        and isinstance(row.get("attributes"), dict)
    }
    for entry in entries:
        id = next((id for note, id in notes.items() if entry.token in note), None)
        state: State = "done" if answer.outcome == "done" and id is not None else "unknown"
        message = answer.message or (
            None if id is not None else "Rivo's answer to the batch does not name it"
        )
        outbox.answered(entry, state, now, answer.status, id, message)
    return max(notes.values(), default=0)
