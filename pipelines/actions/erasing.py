"""Erases a person from the outbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.actions.outbox_file import open_outbox
from pipelines.privacy.erasure import Person
from pipelines.privacy.redaction import Redactor
from pipelines.warehouse.action_tables import IMPERSONAL
from pipelines.warehouse.journals import sole_use

_TEXTS = ("action_key", "parameters", "message", "difference")


def erase_from_outbox(path: Path, person: Person) -> int:
    """Replace a person by the opaque key in the outbox, delete the notes to the person, and rewrite the file.

    The amounts stay, and so does the record that an action was sent.

    Returns:
        The number of actions that were changed.

    Raises:
        WarehouseError: a command is applying actions, or the file cannot be used.
    """
    if not path.exists():
        return 0
    busy = "A command is applying actions. Wait until it ends, then erase the person again."
    with sole_use(path, busy), open_outbox(path) as outbox:
        return outbox.rewrite(lambda row: _erased(row, person))


def erase_again_from_outbox(path: Path, redactor: Redactor) -> None:
    """Erase from a restored outbox the people who were erased after its backup was made.

    Raises:
        WarehouseError: as for `erase_from_outbox`.
    """
    with open_outbox(path) as outbox:
        people = outbox.customer_ids()
    for id in people:
        key = redactor.key_of(str(id))
        if key is not None:
            erase_from_outbox(path, Person(id, set(), key))


def _erased(row: dict[str, Any], person: Person) -> dict[str, Any] | None:
    """Return the changed columns of a row, None if the row is not about the person."""
    words = {word.lower() for word in person.words}
    is_theirs = person.id is not None and row["customer_id"] == person.id
    if not is_theirs and not any(_mentions(row[name], words) for name in _TEXTS):
        return None
    kept = {name: value for name, value in json.loads(row["parameters"]).items() if name in IMPERSONAL}
    if is_theirs:
        kept["customer_id"] = person.key
    return {
        "customer_id": person.key if is_theirs else row["customer_id"],
        "parameters": json.dumps(kept),
        # A row of a file can hold more than the id.
        "action_key": json.dumps({"erased": row["action_id"]}),
        "message": None if _mentions(row["message"], words) else row["message"],
        "difference": None if _mentions(row["difference"], words) else row["difference"],
    }


def _mentions(text: str | None, words: set[str]) -> bool:
    return text is not None and any(word in text.lower() for word in words)
