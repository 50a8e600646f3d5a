"""All settings, typed. No other module reads them from the environment or `.env`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.cron import check_cron
from pipelines.env_file import check_env_file, variables_of
from pipelines.errors import SettingsError
from pipelines.objects.opening import check_place
from pipelines.rivo.columns import API_URL
from pipelines.shop_settings import (
    ALL,
    is_demo_name,
    mixed_with_demos,
    names_of,
    same_account,
    values_by_shop,
    variable,
)
from pipelines.target_settings import TargetSetting, check_schemas, names_of_targets, read_targets
from pipelines.time_zones import is_time_zone

PROJECT = Path(__file__).resolve().parent.parent
MAKE_A_KEY = (
    "Create one with `openssl rand -hex 32`, store it with your other secrets, and do not change it later"
)


_OF_ALL_SHOPS = frozenset(
    {"shops", "warehouse", "state", "dagster_home", "dagster_postgres_url", "keep_runs_days", "owners"}
)
"""The settings that cannot differ by shop."""


_S = TypeVar("_S", bound="Settings")


class Settings(BaseSettings):
    """All settings. The environment overrides `.env`; an empty value means "not set"."""

    model_config = SettingsConfigDict(
        env_prefix="RIVO_",
        # RIVO_ENV_FILE replaces the file, so that tests do not read the settings of the person who runs them.
        env_file=os.environ.get("RIVO_ENV_FILE", PROJECT / ".env"),
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    shops: str = ""
    """Names of the shops, comma-separated, if there are several; `of_shop` returns the settings of each."""
    api_key: SecretStr | None = None
    api_url: str = API_URL
    warehouse: str = "data/rivo.duckdb"
    state: Annotated[str, AfterValidator(check_place)] = ""
    """Where the state is kept that several machines share: s3://bucket/prefix or a folder; empty for this machine."""
    timezone: str = "UTC"
    currency: str = ""
    """ISO 4217 code of the shop's currency, shown with amounts of money."""
    report: bool = True
    """Whether a sync writes the report page beside the warehouse."""
    sync_cron: str = "0 3 * * *"
    models: Literal["all", "none"] = "all"
    """Whether a sync builds the models; "none" if another engine does, from the raw tables in a target."""
    rate_limit: float = Field(15, ge=0.001, allow_inf_nan=False)
    """Requests per second, for all lists together."""
    lookback_days: int = Field(30, ge=0, le=36_500)
    full_sweep_days: int = Field(7, ge=0, le=36_500)
    dagster_home: Path = Field(PROJECT / ".dagster", validation_alias="DAGSTER_HOME")
    """Folder in which Dagster stores runs and events. Relative paths start at the project folder."""
    dagster_postgres_url: SecretStr | None = Field(None, validation_alias="DAGSTER_POSTGRES_URL")
    """Database in which Dagster stores runs and events instead of that folder."""
    keep_runs_days: int = Field(90, ge=0, le=36_500)
    """Number of days for which Dagster keeps the record of a run; 0 keeps all."""
    patience_seconds: float = Field(300, gt=0, allow_inf_nan=False)
    """How long one request is retried before its list fails."""
    owners: str = ""
    """Owners of assets without an owner in the property files: e-mail addresses or team:name, comma-separated."""
    alert_url: SecretStr | None = None
    """Webhook that accepts Slack's JSON. It is a secret, since the address alone permits posting."""

    webhook_secret: SecretStr | None = None
    """Secret with which Rivo signs webhooks; several, comma-separated, while it is replaced."""
    settle_seconds: float = Field(90, ge=0, allow_inf_nan=False)
    """How long an action that was sent and got no answer may still take effect in Rivo."""
    call_refund_redemption: str | None = None
    call_create_referral: str | None = None
    call_update_customer: str | None = None
    call_set_vip_tier: str | None = None
    """The calls that Rivo's documentation does not describe: method, path, fields. `pipelines.actions.kinds`."""

    pii: Literal["keep", "hash", "drop"] = "keep"
    """How personal data is treated before anything is written."""
    pii_key: SecretStr | None = Field(None, validate_default=True)
    """Secret key of the hashes for RIVO_PII=hash and `rivo forget`."""

    publish: str = ""
    """Names of the targets that follow each sync, comma-separated; RIVO_TARGET_<NAME> says where each is."""
    publish_schemas: str = "marts,reports"
    """Schemas that are published to targets, comma-separated."""

    _targets: dict[str, TargetSetting] = PrivateAttr(default_factory=dict)
    _shop: str = PrivateAttr("")
    _single: str = PrivateAttr("")
    _by_shop: dict[str, Settings] = PrivateAttr(default_factory=dict)

    @field_validator("shops")
    @classmethod
    def _check_shops(cls, shops: str) -> str:
        return ",".join(names_of(shops))

    @field_validator("publish")
    @classmethod
    def _check_publish(cls, names: str) -> str:
        return ",".join(names_of_targets(names))

    @field_validator("publish_schemas")
    @classmethod
    def _check_schemas(cls, names: str) -> str:
        return check_schemas(names)

    @field_validator("pii_key")
    @classmethod
    def _check_pii_key(cls, key: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        # With several shops, each may have a key of its own, and is checked by itself.
        if not text and others.data.get("pii") == "hash" and not others.data.get("shops"):
            raise ValueError(f"is required for RIVO_PII=hash. {MAKE_A_KEY}")
        if text and len(text) < 16:
            raise ValueError(f"must have at least 16 characters, so that it cannot be guessed. {MAKE_A_KEY}")
        return SecretStr(text) if text else None

    @field_validator("api_key")
    @classmethod
    def _strip_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        # Other characters are invalid in a header, and the error of the HTTP library would show the key.
        if not all("!" <= character <= "~" for character in text):
            raise ValueError(
                "must be the raw key: printable ASCII without spaces and without the prefix 'Bearer'"
            )
        return SecretStr(text) if text else None

    @field_validator("dagster_postgres_url")
    @classmethod
    def _check_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be postgresql://user:password@host:port/database")
        return url

    @field_validator("api_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with https:// (or http:// for a server on this machine)")
        if url == API_URL:
            return url
        # Imported here because it is slow and few users set this.
        from urllib3.exceptions import LocationParseError
        from urllib3.util import parse_url

        try:
            parts = parse_url(url)
        except LocationParseError:
            parts = None
        if parts is None or not parts.host or re.search(r"\s", url):
            raise ValueError("is not a valid URL. Rivo's API is at " + API_URL)
        if parts.auth:
            raise ValueError("must not contain a user name or password. The API key has a setting of its own")
        return url.rstrip("/")

    @field_validator("alert_url")
    @classmethod
    def _check_alert_url(cls, url: SecretStr | None) -> SecretStr | None:
        text = url.get_secret_value().strip() if url else ""
        if text and not text.startswith(("http://", "https://")):
            raise ValueError("must start with https:// (or http:// for a service on this machine)")
        return SecretStr(text) if text else None

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of RIVO_WEBHOOK_SECRET; empty if it is not set."""
        text = self.webhook_secret.get_secret_value() if self.webhook_secret else ""
        return tuple(filter(None, map(str.strip, text.split(","))))

    @field_validator("owners")
    @classmethod
    def _check_owners(cls, owners: str) -> str:
        for owner in filter(None, map(str.strip, owners.split(","))):
            if not re.fullmatch(r"team:[\w.-]+|[^@\s]+@[^@\s]+\.[^@\s]+", owner):
                raise ValueError(f"'{owner}' is neither an e-mail address nor team:name")
        return owners

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        if not is_time_zone(name):
            raise ValueError(f"'{name}' is not an IANA time zone such as Europe/Berlin or America/New_York")
        return name

    @field_validator("currency")
    @classmethod
    def _check_currency(cls, code: str) -> str:
        if code and not re.fullmatch(r"[A-Za-z]{3}", code):
            raise ValueError(f"'{code}' is not an ISO 4217 code such as EUR or USD")
        return code.upper()

    @field_validator("sync_cron")
    @classmethod
    def _check_cron(cls, cron: str) -> str:
        check_cron(cron)
        return cron

    @field_validator("dagster_home")
    @classmethod
    def _from_project(cls, path: Path) -> Path:
        try:
            return PROJECT / path.expanduser()
        except RuntimeError:
            raise ValueError(f"there is no user {path.parts[0]}") from None

    @classmethod
    def _variables(cls) -> list[str]:
        return [str(f.validation_alias or f"RIVO_{name.upper()}") for name, f in cls.model_fields.items()]

    @property
    def targets(self) -> dict[str, TargetSetting]:
        """Every target that is set, by name. Shops share them."""
        return self._targets

    @property
    def to_publish(self) -> tuple[TargetSetting, ...]:
        """The targets that follow each sync, in the order of RIVO_PUBLISH."""
        return tuple(self._targets[name] for name in filter(None, self.publish.split(",")))

    @property
    def shop(self) -> str:
        """Name of the shop that these settings are of; empty without RIVO_SHOPS."""
        return self._shop

    @property
    def single(self) -> str:
        """With several shops, RIVO_WAREHOUSE: the warehouse that the install had as one of one shop."""
        return self._single

    @property
    def is_demo(self) -> bool:
        """Whether the sandbox store takes the place of Rivo: there is no key, and of several shops a demo's name."""
        return self.api_key is None and (not self.shop or is_demo_name(self.shop))

    @property
    def shop_names(self) -> tuple[str, ...]:
        """The names in RIVO_SHOPS, in its order; empty if it is not set."""
        return tuple(filter(None, self.shops.split(",")))

    @property
    def united(self) -> str:
        """The warehouse that unites all shops, as RIVO_WAREHOUSE would name it: beside RIVO_WAREHOUSE."""
        return _beside(self.warehouse, f"{ALL}.duckdb")

    def file_of(self, shop: str) -> str:
        """Return the warehouse of a shop, in RIVO_SHOPS or not, as RIVO_WAREHOUSE would name it."""
        return _beside(self.warehouse, f"shops/{shop}.duckdb")

    def variable(self, setting: str) -> str:
        """Return the name of a setting's variable, for messages: the shop's own if there are several shops."""
        return variable(self.shop, setting) if self.shop else f"RIVO_{setting.upper()}"

    def of_shop(self, name: str) -> Settings:
        """Return the settings of one shop: what is set for it alone, else what is set for all.

        Its `warehouse` is `shops/<name>.duckdb` in the folder of RIVO_WAREHOUSE. The name '' stands for the only shop
        of an install without RIVO_SHOPS, or with one name in it.

        Raises:
            SettingsError: RIVO_SHOPS has no such name.
        """
        if not self.shop_names and not name:
            return self
        if not name and len(self.shop_names) == 1:
            name = self.shop_names[0]
        if name in self._by_shop:
            return self._by_shop[name]
        known = f"It has {', '.join(self.shop_names)}." if self.shop_names else "It is not set."
        raise SettingsError(f"RIVO_SHOPS has no shop {name or 'without a name'}. {known}")

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the environment and `.env`, those of each shop included.

        Raises:
            SettingsError: a setting is invalid. The message names every invalid setting and shows no secret.
        """
        file = cls.model_config.get("env_file")
        check_env_file(file, cls._variables())
        problems: list[str] = []
        settings = _valid(cls, _variable, problems)
        if settings is not None:
            variables = variables_of(file)
            settings._read_shops(variables, problems)
            settings._read_targets(variables, problems)
        if problems or settings is None:
            raise SettingsError(
                "Invalid settings (environment or .env): " + "; ".join(problems) + "."
            ) from None
        return settings

    def _read_shops(self, variables: dict[str, str], problems: list[str]) -> None:
        """Make the settings of each shop; add a sentence to `problems` for each that is invalid."""
        fields = [name for name in type(self).model_fields if name not in _OF_ALL_SHOPS]
        values, unknown = values_by_shop(variables, self.shop_names, fields)
        problems += unknown
        common = {
            str(type(self).model_fields[name].validation_alias or name): getattr(self, name)
            for name in self.model_fields_set
        }
        for name, own in values.items():
            given: dict[str, Any] = {**common, **own, "shops": "", "warehouse": self.file_of(name)}
            if is_demo_name(name) and "api_key" not in own:
                given["api_key"] = None
            if made := _valid(partial(_without_sources, type(self), given), _namer(name), problems):
                made._shop, made._single = name, self.warehouse
                self._by_shop[name] = made
        problems += [*same_account(self._by_shop), *mixed_with_demos(self._by_shop)]
        if self.shop_names and self.warehouse.rpartition("/")[2].lower() == f"{ALL}.duckdb":
            problems.append(
                f"RIVO_WAREHOUSE: {ALL}.duckdb is the file that unites all shops, and would be replaced. Name another "
                "file of that folder, such as rivo.duckdb"
            )

    def _read_targets(self, variables: dict[str, str], problems: list[str]) -> None:
        """Give all shops the targets; add a sentence to `problems` for each that is invalid or missing."""
        self._targets, invalid = read_targets(variables)
        problems += invalid
        for each in (self, *self._by_shop.values()):
            each._targets = self._targets
            if each is not self and each.publish == self.publish:
                continue
            problems += [
                f"{each.variable('publish')}: there is no target {name}. Set RIVO_TARGET_{name.upper()} to its URL"
                for name in names_of_targets(each.publish)
                if name not in self._targets and not any(name.upper() in problem for problem in invalid)
            ]


def _without_sources(kind: type[_S], values: dict[str, Any]) -> _S:
    """Return settings of these values alone: to look at the environment and `.env` for each of many shops is slow."""
    made = kind.__new__(kind)
    BaseModel.__init__(made, **values)
    return made


def _valid(
    make: Callable[[], _S], name_of: Callable[[tuple[int | str, ...]], str], problems: list[str]
) -> _S | None:
    """Return valid settings; else None, with a sentence in `problems` for each invalid one."""
    try:
        return make()
    except ValidationError as error:
        problems += [
            name_of(problem["loc"]) + ": " + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_input=False, include_url=False)
        ]
        return None


def _namer(shop: str) -> Callable[[tuple[int | str, ...]], str]:
    return lambda location: variable(shop, "_".join(map(str, location)))


def _beside(warehouse: str, name: str) -> str:
    """Return another file of the folder of a RIVO_WAREHOUSE value, as RIVO_WAREHOUSE would name it."""
    folder, slash, _ = warehouse.rpartition("/")
    return f"{folder}{slash}{name}"


def _variable(location: tuple[int | str, ...]) -> str:
    name = "_".join(map(str, location)).upper()
    return name if name.startswith("DAGSTER_") else f"RIVO_{name}"
