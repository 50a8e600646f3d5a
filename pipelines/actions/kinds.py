"""The table of the six kinds of action: their parameters, and the call that carries each out.

Sources: Rivo's reference pages adjust-customer-points, create-points-redemption, refund-points-redemption. The calls
marked as unconfirmed are not described in any documentation that could be read; their method, path and field names
are settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from pipelines.errors import SettingsError
from pipelines.settings import Settings


@dataclass(frozen=True)
class Parameter:
    """A column of an action's rows.

    Attributes:
        name: name of the column.
        type: one of the types of `parameters.PARSERS`.
        about: description for people.
        required: whether each row needs a value.
        is_personal: whether the value identifies a person.
    """

    name: str
    type: str
    about: str
    required: bool = False
    is_personal: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of action.

    Attributes:
        name: its name in property files, such as 'add_points'.
        title: what it does, for messages: "Add points".
        parameters: the columns that its rows may have.
        call: method, path and field names; `{name}` in the path is a parameter.
        reads: the list in which its effect can be read back; 'customers' for a change of the customer.
        setting: the setting that changes `call`; None if Rivo documents the call.
        forbidden: values of loyalty_status that Rivo does not permit or that must not get it.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    call: str
    reads: str
    setting: str | None = None
    forbidden: tuple[str, ...] = ("excluded", "guest")

    @property
    def is_about_customer(self) -> bool:
        """Whether its rows name a customer, whom Rivo is asked about before the call."""
        return any(parameter.name == "customer_id" for parameter in self.parameters)


@dataclass(frozen=True)
class Call:
    """A call as it is sent: method, path with `{parameter}`, and the name of the field for each parameter."""

    method: str
    path: str
    fields: Mapping[str, str]

    @property
    def text(self) -> str:
        """The call in the notation of its setting."""
        fields = (name if name == field else f"{name}={field}" for name, field in self.fields.items())
        return " ".join([self.method, self.path, *fields])


_CUSTOMER = Parameter(
    "customer_id", "customer", "Shopify's id of the customer, or the e-mail address.", required=True
)
_SPENT = (
    Parameter("points_amount", "points", "Points to spend on an incremental reward."),
    Parameter("credits_amount", "credits", "Store credits to spend on an incremental reward."),
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "add_points",
            "Add points",
            (
                _CUSTOMER,
                Parameter("points_amount", "points", "Points to add; negative to take them away."),
                Parameter("credits_amount", "credits", "Store credits to add; negative to take them away."),
                Parameter("external_note", "text", "A note that the shopper sees."),
                Parameter("internal_note", "text", "A note that only staff see. A token is appended."),
                Parameter(
                    "custom_action_name", "text", "Name of a custom action; the source is then custom_action."
                ),
                Parameter("applied_at", "time", "When the points count as earned; now if empty."),
            ),
            "POST /points_events customer_id=customer_identifier points_amount credits_amount external_note "
            "internal_note custom_action_name applied_at source skip_email",
            "points_events",
        ),
        Kind(
            "redeem_reward",
            "Redeem a reward",
            (
                _CUSTOMER,
                Parameter("reward_id", "id", "Id of the reward (rewards.id).", required=True),
                *_SPENT,
            ),
            "POST /points_redemptions customer_id=customer_identifier reward_id points_amount credits_amount",
            "points_redemptions",
        ),
        Kind(
            "refund_redemption",
            "Refund a redemption",
            (
                Parameter(
                    "redemption_id", "id", "Id of the redemption (points_redemptions.id).", required=True
                ),
            ),
            "POST /points_redemptions/{redemption_id}/refund",
            "points_redemptions",
            "RIVO_CALL_REFUND_REDEMPTION",
        ),
        Kind(
            "create_referral",
            "Create a referral",
            (
                Parameter("email", "email", "E-mail address of the friend.", required=True, is_personal=True),
                Parameter(
                    "referral_code", "text", "Referral code of the advocate.", required=True, is_personal=True
                ),
                Parameter("remote_ip", "text", "IP address of the friend.", required=True, is_personal=True),
            ),
            "POST /referrals email referral_code remote_ip",
            "referrals",
            "RIVO_CALL_CREATE_REFERRAL",
        ),
        Kind(
            "update_customer",
            "Update a customer",
            (_CUSTOMER, Parameter("dob", "birthday", "Birthday as MM-DD.", is_personal=True)),
            "PUT /customers/{customer_id} dob",
            "customers",
            "RIVO_CALL_UPDATE_CUSTOMER",
            forbidden=("excluded",),
        ),
        Kind(
            "set_vip_tier",
            "Set a customer's VIP tier",
            (_CUSTOMER, Parameter("vip_tier_id", "id", "Id of the tier (vip_tiers.id).", required=True)),
            "POST /customers/{customer_id}/vip_tier vip_tier_id",
            "customers",
            "RIVO_CALL_SET_VIP_TIER",
        ),
    )
}
"""Every kind by name."""

_CALL = re.compile(r"(POST|PUT|PATCH) (/[\w/{}.-]+)((?: \w+(?:=[\w\[\]]+)?)*)")


def call_of(kind: Kind, settings: Settings) -> Call:
    """Return the call of a kind, as its setting or the table says.

    Raises:
        SettingsError: the setting cannot be parsed, or its path names a parameter that the kind does not have.
    """
    given = getattr(settings, kind.setting.removeprefix("RIVO_").lower()) if kind.setting else None
    match = _CALL.fullmatch(" ".join((given or kind.call).split()))
    in_path = _names_in(match[2]) if match else None
    names = {parameter.name for parameter in kind.parameters}
    if not match or in_path is None or not in_path <= names:
        raise SettingsError(
            f"{kind.setting}: {given!r} is not a call. Write method, path and fields, such as {kind.call!r}."
        )
    fields = dict(pair.partition("=")[::2] for pair in match[3].split())
    for parameter in kind.parameters:
        if parameter.required and parameter.name not in in_path | fields.keys():
            raise SettingsError(
                f"{kind.setting}: {given!r} does not send {parameter.name}, which {kind.name} needs."
            )
    return Call(match[1], match[2], {name: field or name for name, field in fields.items()})


def _names_in(path: str) -> set[str] | None:
    """Return the parameters in a path; None if its braces are not in pairs."""
    try:
        return {name for _, name, _, _ in Formatter().parse(path) if name is not None}
    except ValueError:
        return None


def parameters_of(kind: Kind, call: Call) -> dict[str, Parameter]:
    """Return the columns that rows of a kind may have: its own, and the further fields of a call from a setting."""
    own = {parameter.name: parameter for parameter in kind.parameters}
    if kind.setting:
        further = {
            name: Parameter(name, "text", "A field of the call.", is_personal=True)
            for name in call.fields
            if name not in own
        }
        return own | further
    return own
