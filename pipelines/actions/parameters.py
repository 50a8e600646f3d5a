"""Turns the rows of a SELECT or a file into actions, and finds the rows that are not valid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from pipelines.actions.kinds import Kind, Parameter
from pipelines.errors import RivoError

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,18})(\.\d{1,9})?", re.ASCII)
"""Numbers as a program writes them. A spreadsheet writes others, such as 7.19863E+12, which has lost digits."""
_PLAIN_KEY = re.compile(r"-?\d+(\.\d+)?|\d{4}-\d\d-\d\d", re.ASCII)
_MAX_ID = 2**63 - 1
_MAX_AMOUNT = 2**31 - 1
"""Larger amounts are a mistake, and do not fit Rivo's documented int32."""


@dataclass(frozen=True)
class ActionRow:
    """One action to carry out.

    Attributes:
        name: name of the action that its row belongs to.
        kind: name of its kind.
        key: JSON of the values that make it unique within `name`. Addresses in it are hashed.
        parameters: the values to send, by parameter.
        extra: the other columns of the row.
    """

    name: str
    kind: str
    key: str
    parameters: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def customer_id(self) -> int | None:
        """Shopify's id of the customer whom the row names."""
        id = self.parameters.get("customer_id")
        return id if isinstance(id, int) else None

    @property
    def points(self) -> int:
        """Points that it adds or takes; 0 if it names none."""
        return int(self.parameters.get("points_amount") or 0)

    @property
    def credits(self) -> Decimal:
        """Store credits that it adds or takes, in the shop's currency; 0 if it names none."""
        return Decimal(str(self.parameters.get("credits_amount") or 0))


@dataclass(frozen=True)
class Invalid:
    """A row that cannot become an action. `position` counts rows from 1."""

    position: int
    row: Mapping[str, Any]
    reason: str


def check_columns(kind: Kind, known: Mapping[str, Parameter], columns: Sequence[str], where: str) -> None:
    """Check the columns of an action's rows.

    Raises:
        RivoError: a required column is missing, or a column looks like a mistyped parameter.
    """
    names = list(known)
    for column in columns:
        # `points` for points_amount is a mistake that circulates.
        near = [name for name in names if name.startswith(f"{column}_") or name.endswith(f"_{column}")]
        near += get_close_matches(column, names, n=1, cutoff=0.85)
        if near and column not in known:
            raise RivoError(
                f"{where}: {kind.name} has no parameter {column}. Did you mean {near[0]}? Rename the column; a column "
                "that is not a parameter is not sent."
            )
    missing = [name for name, parameter in known.items() if parameter.required and name not in columns]
    if missing:
        raise RivoError(
            f"{where}: {kind.name} needs the column {missing[0]}, and the rows have {', '.join(columns)}."
        )


def read_rows(
    name: str,
    kind: Kind,
    known: Mapping[str, Parameter],
    key: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    hashed: Callable[[str], str],
) -> list[ActionRow | Invalid]:
    """Return an action for each row, or why there is none.

    Args:
        name: name of the action.
        kind: its kind.
        known: the parameters, as `parameters_of` returns them.
        key: columns that make a row unique; none for all that have a value.
        rows: values by column, as a SELECT or a CSV file has them.
        hashed: returns what stands for a text in a key that identifies a person.
    """
    read: list[ActionRow | Invalid] = []
    for position, row in enumerate(rows, 1):
        try:
            parameters = {
                column: _parsed(known[column], value) for column, value in row.items() if column in known
            }
            parameters = {column: value for column, value in parameters.items() if value is not None}
            _check(kind, known, parameters)
            given = {column: parameters.get(column, value) for column, value in row.items()}
            key_values = {column: given.get(column) for column in key}
            key_values = key_values or {
                column: value for column, value in given.items() if value not in (None, "")
            }
            extra = {column: value for column, value in row.items() if column not in known}
            # Columns that the user did not choose for the key can hold anything.
            text = key_text(key_values, known, hashed, hides_texts=not key)
            read.append(ActionRow(name, kind.name, text, parameters, extra))
        except (ValueError, OverflowError) as error:
            read.append(Invalid(position, row, str(error)))
    return read


def key_text(
    values: Mapping[str, Any],
    known: Mapping[str, Parameter],
    hashed: Callable[[str], str],
    *,
    hides_texts: bool,
) -> str:
    """Return the text under which the outbox knows an action: its key columns as JSON, in alphabetical order.

    Equal values have equal texts, whatever their type: 5, 5.0 and "5" are one key. Values that identify a person, notes
    and texts with an e-mail address are hashed; with `hides_texts` all texts are.

    Raises:
        ValueError: a value is missing.
    """
    for column, value in values.items():
        if value is None or value == "":
            raise ValueError(f"the key column {column} is empty")

    def shown(column: str, value: Any) -> str:
        text = _key_value(value)
        is_personal = column in known and (known[column].is_personal or column.endswith("_note"))
        is_text = hides_texts and not _PLAIN_KEY.fullmatch(text)
        return hashed(text.lower()) if is_personal or is_text or _ADDRESS.search(text) else text

    return json.dumps(
        {column: shown(column, values[column]) for column in sorted(values)}, ensure_ascii=False
    )


def _key_value(value: Any) -> str:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    number = _decimal(text) if _NUMBER.fullmatch(text) else None
    # Without this, 5, 5.0 and 5.00 would be three keys.
    return f"{number.normalize():f}" if number is not None else text


def _check(kind: Kind, known: Mapping[str, Parameter], parameters: Mapping[str, Any]) -> None:
    for name, parameter in known.items():
        if parameter.required and parameters.get(name) is None:
            raise ValueError(f"{name} is empty")
    if kind.name == "add_points" and not any(
        parameters.get(name) for name in ("points_amount", "credits_amount")
    ):
        raise ValueError("points_amount and credits_amount are both empty or 0")
    if kind.name == "redeem_reward" and any(
        parameters.get(n, 1) <= 0 for n in ("points_amount", "credits_amount")
    ):
        raise ValueError("the amount to spend must be greater than 0")
    if kind.name == "update_customer" and len(parameters) < 2:
        raise ValueError("there is nothing to change")


def _parsed(parameter: Parameter, value: Any) -> Any:
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    parsed = PARSERS[parameter.type](value)
    if parsed is None:
        shown = "" if parameter.is_personal else f" {value!r},"
        raise ValueError(f"{parameter.name} is{shown} {_EXPECTED[parameter.type]}")
    return parsed


def _whole(value: Any) -> int | None:
    number = _decimal(value)
    return _int(number) if number is not None and abs(number) <= _MAX_AMOUNT else None


def _id(value: Any) -> int | None:
    number = _decimal(value)
    return _int(number) if number is not None and 0 < number <= _MAX_ID else None


def _int(number: Decimal) -> int | None:
    return int(number) if number == int(number) else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.removeprefix("+"))):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _credits(value: Any) -> float | None:
    number = _decimal(value)
    return float(number) if number is not None and abs(number) <= _MAX_AMOUNT else None


def _customer(value: Any) -> int | str | None:
    text = str(value)
    return text if _ADDRESS.fullmatch(text) else _id(value)


def _email(value: Any) -> str | None:
    return str(value) if _ADDRESS.fullmatch(str(value)) else None


def _time(value: Any) -> str | None:
    if not isinstance(value, datetime):
        try:
            value = datetime.fromisoformat(str(value))
        except ValueError:
            return None
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return str(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _birthday(value: Any) -> str | None:
    text = f"{value:%m-%d}" if isinstance(value, date) else str(value)
    return text if re.fullmatch(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", text) else None


PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "customer": _customer,
    "id": _id,
    "points": _whole,
    "credits": _credits,
    "text": str,
    "email": _email,
    "time": _time,
    "birthday": _birthday,
}
"""By type, the function that returns a value as it is sent, or None for an invalid one."""
_EXPECTED = {
    "customer": "not an id or an e-mail address",
    "id": "not an id",
    "points": "not a whole number of points",
    "credits": "not an amount",
    "text": "not a text",
    "email": "not an e-mail address",
    "time": "not a time such as 2026-11-26T10:00:00Z",
    "birthday": "not a day such as 05-31",
}
