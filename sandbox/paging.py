"""Paging by cursor and by page number, with the quirks of Rivo's API."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sandbox.clock import parse
from sandbox.view import Object, View, owner

Params = Mapping[str, str]

DEFAULT_SIZE = 25
MOST = 250
LAST_PAGE = 500

_MEMO = 200

_FILTERS = ("filters[customer_identifier]", "filters[used]")
_SORTS = ("sort[order_type]", "sort[order_direction]")


class BadRequest(ValueError):
    """A request parameter is invalid."""


def _number(params: Params, name: str, default: int, least: int) -> int:
    text = params.get(f"pagination[{name}]")
    if text is None or text == "":
        return default
    if not text.isdecimal() or int(text) < least:
        raise BadRequest(f"pagination[{name}] must be a number of at least {least}")
    return int(text)


def is_cursor(params: Params) -> bool:
    """Return whether a request uses the cursor: `since_id` without `per_page`, which silently disables it."""
    return "pagination[since_id]" in params and "pagination[per_page]" not in params


def page(
    view: View, name: str, params: Params, path: str, faults: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[Object]]:
    """Return the links and the objects of one page."""
    if is_cursor(params):
        rows = _asked(view, name, params, _FILTERS)
        links, chosen = _cursor_page(rows, params, path, faults)
    else:
        rows = _asked(view, name, params, _FILTERS + _SORTS)
        links, chosen = _offset_page(rows, params, path)
    if "empty_page" in faults:
        chosen = []
        links = {**links, "next_since_id": None} if is_cursor(params) else {"self": links["self"]}
    return links, [view.object(name, row) for row in chosen]


def _asked(view: View, name: str, params: Params, heeded: tuple[str, ...]) -> list[Any]:
    # Filtering and sorting is done once for all pages of a list.
    given = {key: params[key] for key in heeded if key in params}
    if not given:
        return view.rows(name)
    key = (name, *sorted(given.items()))
    if key not in view.memo:
        if len(view.memo) >= _MEMO:
            view.memo.clear()
        view.memo[key] = _sorted(name, _filtered(view, name, given), given)
    return view.memo[key]


def _filtered(view: View, name: str, params: Params) -> list[Any]:
    rows = view.rows(name)
    identifier = params.get("filters[customer_identifier]")
    used = params.get("filters[used]") if name == "points_redemptions" else None
    if identifier is not None:
        customer = find_customer(view, identifier)
        wanted = None if customer is None else customer.id
        if name == "customers":
            rows = [row for row in rows if row.id == wanted]
        elif name in ("points_events", "points_redemptions"):
            rows = [row for row in rows if wanted is not None and owner(row) == wanted]
        elif name == "referrals":
            rows = [row for row in rows if wanted and row.attrs.get("referrer_customer_id") == wanted]
    if used in ("true", "false"):
        wants = used == "true"
        rows = [row for row in rows if (_attribute(view, name, row, "used_at") is not None) == wants]
    return rows


def _attribute(view: View, name: str, row: Any, key: str) -> Any:
    return view.object(name, row)["attributes"].get(key)


def find_customer(view: View, identifier: str) -> Any | None:
    """Find a customer by Shopify id or e-mail address."""
    if identifier.isdecimal():
        return view.find("customers", int(identifier))
    for row in view.rows("customers"):
        base = row.email if hasattr(row, "email") else row.attrs.get("email")
        email = view.changed("customers", row.id).get("email", base)
        if email and email.lower() == identifier.lower():
            return row
    return None


def _sorted(name: str, rows: list[Any], params: Params) -> list[Any]:
    # "applied_at" is the only sort key; it is ignored in cursor mode.
    if params.get("sort[order_type]") == "applied_at" and name in ("points_events", "points_redemptions"):
        rows = sorted(rows, key=_applied_at)
    if params.get("sort[order_direction]") == "desc":
        rows = rows[::-1]
    return rows


def _applied_at(row: Any) -> tuple[int, int]:
    at = row.attrs.get("applied_at") or 0
    if isinstance(at, str):
        at = int(parse(at).timestamp() * 1000)
    return at, row.id


def _id(row: Any) -> int:
    return row.id


def _cursor_page(
    rows: list[Any], params: Params, path: str, faults: frozenset[str]
) -> tuple[dict[str, Any], list[Any]]:
    since_id = _number(params, "since_id", 0, 0)
    limit = 1 if "short_page" in faults else min(_number(params, "limit", DEFAULT_SIZE, 1), MOST)
    first = 0 if "cursor_ignored" in faults else bisect_right(rows, since_id, key=_id)
    chosen = rows[first : first + limit]
    has_more = first + limit < len(rows)
    following = chosen[-1].id if has_more and chosen else None
    if "old_links" in faults:
        return {"self": _address(path, params)}, chosen
    links: dict[str, Any] = {"since_id": since_id, "limit": limit, "next_since_id": following}
    if "cursor_stuck" in faults and following is not None:
        links["next_since_id"] = since_id
    if "next_null" in faults:
        links["next_since_id"] = None
    if "next_missing" in faults:
        del links["next_since_id"]
    return links, chosen


def _offset_page(rows: list[Any], params: Params, path: str) -> tuple[dict[str, Any], list[Any]]:
    number = _number(params, "page", 1, 1)
    size = _number(params, "per_page", DEFAULT_SIZE, 1)
    if number > LAST_PAGE or size > MOST:
        raise BadRequest(f"pagination is limited to page {LAST_PAGE} and {MOST} records per page")
    chosen = rows[(number - 1) * size : number * size]
    links = {"self": _address(path, {**params, "pagination[page]": str(number)})}
    if number * size < len(rows) and number < LAST_PAGE:
        links["next"] = _address(path, {**params, "pagination[page]": str(number + 1)})
    return links, chosen


def _address(path: str, params: Params) -> str:
    return f"{path}?{urlencode(params)}"
