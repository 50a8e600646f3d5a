"""Manual adjustments and the quality of referrals, worked out naively."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import timedelta
from hashlib import md5
from typing import Any

from tests.dbt_like_sql.models.facts import World, moment
from tests.dbt_like_sql.models.judge_ledger import Entry, entries

Rows = dict[Any, dict[str, Any]]


def adjustments(world: World) -> Rows:
    """`rpt_manual_adjustments` by event and unit."""
    notes = {row["id"]: row["attributes"] for row in world.observations[-1].lists["points_events"]}
    mine = [entry for entry in entries(world) if entry.event.source == "manual" and entry.leg == "original"]
    found: Rows = {}
    for entry in mine:
        attrs = notes[entry.event.id]
        sizes = sorted(
            abs(other.amount)
            for other in mine
            if other.unit == entry.unit and (other.amount > 0) == (entry.amount > 0)
        )
        # The nearest rank: the smallest size that at least 99 of 100 do not exceed.
        p99 = next(size for size in sizes if 100 * sum(other <= size for other in sizes) >= 99 * len(sizes))
        state = world.states_at(entry.at).get(entry.event.customer_id)
        address = re.search(r"[\w.%+-]+@[\w.-]*\w", attrs.get("internal_note") or "", re.ASCII)
        is_large, is_repeated = abs(entry.amount) > p99, len(_recent(world, mine, entry)) >= 3
        found[entry.event.id, entry.unit] = {
            "adjusted_at": entry.at,
            "adjusted_date": world.day(entry.at),
            "customer_id": entry.event.customer_id,
            "amount": entry.amount,
            "entry_class": entry.entry_class,
            "reason": (attrs.get("external_note") or "").strip() or attrs["title"],
            "agent_key": address and "agent-" + md5(address[0].lower().encode()).hexdigest()[:8],
            "tier": world.state_name(state) if state and state.tier_id else None,
            "p99_amount": p99,
            "is_large": is_large,
            "is_repeated": is_repeated,
            "is_outlier": is_large or is_repeated,
            "is_revoked": entry.event.revoked_at is not None,
            "is_counted": True,
        }
    return found


def _recent(world: World, mine: list[Entry], entry: Entry) -> set[int]:
    """Return the customer's manual events in the 90 days up to an entry, with its own."""
    return {
        other.event.id
        for other in mine
        if other.event.customer_id == entry.event.customer_id
        and (other.at, other.event.id) <= (entry.at, entry.event.id)
        and (world.day(entry.at) - world.day(other.at)).days < 90
    }


def referral_quality(world: World) -> Rows:
    """`rpt_referral_quality` by advocate."""
    attributes = {row["id"]: row["attributes"] for row in world.observations[-1].lists["referrals"]}
    sent: dict[int, list[tuple[Any, dict[str, Any]]]] = defaultdict(list)
    for referral in world.referrals:
        if referral.advocate_id is not None:
            sent[referral.advocate_id].append((referral, attributes[referral.id]))
    found: Rows = {}
    for id, mine in sent.items():
        blocked = [attrs.get("block_reason") for referral, attrs in mine if referral.status == "blocked"]
        reasons = Counter(reason.strip().lower() for reason in blocked if reason)
        most = max(reasons.values(), default=0)
        by_ip = sum(count for reason, count in reasons.items() if re.search(r"(?<![a-z])ip(?![a-z])", reason))
        ips = [attrs["signup_ip"] for _, attrs in mine if attrs.get("signup_ip")]
        shared = sum(ips.count(ip) > 1 for ip in ips)
        completed = [(referral, attrs) for referral, attrs in mine if referral.status == "completed"]
        times = [
            (referral, referral.completed_at or moment(attrs.get("status_last_changed_at")))
            for referral, attrs in completed
        ]
        known = [at - referral.created_at for referral, at in times if at is not None]
        fast = sum(took <= timedelta(days=1) for took in known)
        friends = {referral.friend_id for referral, _ in completed if referral.friend_id is not None}
        orders = [
            count
            for friend in friends
            if (count := world.people.get(friend, {}).get("orders_count")) is not None
        ]
        again = sum(count >= 2 for count in orders)
        signals = {
            "has_many_blocked": len(blocked) >= 3 and len(blocked) / len(mine) >= 0.5,
            "has_shared_ips": shared >= 3 and shared / len(ips) >= 0.5,
            "has_quick_single_orders": fast >= 3 and fast / len(known) >= 0.5 and bool(orders) and not again,
        }
        found[id] = {
            "referrals": len(mine),
            "blocked": len(blocked),
            "blocked_same_ip": by_ip,
            "blocked_other": sum(reasons.values()) - by_ip,
            "blocked_unknown": len(blocked) - sum(reasons.values()),
            "top_block_reason": min((r for r, count in reasons.items() if count == most), default=None),
            "referrals_with_ip": len(ips),
            "referrals_same_ip": shared if ips else None,
            "same_ip_share": shared / len(ips) if ips else None,
            "completed": len(completed),
            "completed_with_time": len(known),
            "completed_within_a_day": fast if known or not completed else None,
            "friends_with_known_orders": len(orders),
            "friends_with_second_order": again if orders or not completed else None,
            **signals,
            "is_suspicious": any(signals.values()),
        }
    return found
