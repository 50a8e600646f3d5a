"""All settings, typed. No other module reads them from the environment or `.env`."""

from __future__ import annotations

import difflib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import available_timezones

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import SettingsError
from pipelines.rivo.columns import API_URL

PROJECT = Path(__file__).resolve().parent.parent
MAKE_A_KEY = (
    "Create one with `openssl rand -hex 32`, store it with your other secrets, and do not change it later"
)


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

    api_key: SecretStr | None = None
    api_url: str = API_URL
    warehouse: str = "data/rivo.duckdb"
    timezone: str = "UTC"
    currency: str = ""
    """ISO 4217 code of the shop's currency, shown with amounts of money."""
    report: bool = True
    """Whether a sync writes the report page beside the warehouse."""
    sync_cron: str = "0 3 * * *"
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

    @field_validator("pii_key")
    @classmethod
    def _check_pii_key(cls, key: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        if not text and others.data.get("pii") == "hash":
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
        # To list all zones takes longer than a query.
        if name != "UTC" and name not in available_timezones() - {"localtime"}:
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
        fields = cron.split()
        if len(fields) != 5 or not all(map(_is_cron_field, fields, _CRON_LIMITS)):
            raise ValueError(f"'{cron}' is not a cron expression of five fields, such as 0 3 * * *")
        from croniter import CroniterError, croniter

        try:
            croniter(cron, datetime.now(UTC)).get_next()
        except CroniterError:
            raise ValueError(f"'{cron}' matches no date") from None
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

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the environment and `.env`.

        Raises:
            SettingsError: a setting is invalid. The message names every invalid setting and shows no secret.
        """
        _check_env_file(cls.model_config.get("env_file"), cls._variables())
        try:
            return cls()
        except ValidationError as error:
            problems = [
                _variable(problem["loc"]) + ": " + problem["msg"].removeprefix("Value error, ")
                for problem in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError(
                "Invalid settings (environment or .env): " + "; ".join(problems) + "."
            ) from None


def _check_env_file(path: Any, known: list[str]) -> None:
    """Reject lines that would otherwise be ignored: with a mistyped RIVO_PII, personal data would be stored.

    Raises:
        SettingsError: the file cannot be read, a line cannot be parsed, or a name looks like a mistyped setting.
    """
    file = Path(path or os.devnull)
    if not file.is_file():
        return
    try:
        with file.open(encoding="utf-8") as text:
            bindings = list(parse_stream(text))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"{file} cannot be read ({reason}). It holds the settings: make it a readable UTF-8 text file."
        ) from None
    for binding in bindings:
        source = binding.original.string
        blank = source[: len(source) - len(source.lstrip())].count("\n")
        line = f"Line {binding.original.line + blank} of {file}"
        name = (binding.key or "").upper()
        if binding.error or (binding.value is None and name in known):
            raise SettingsError(
                f"{line} cannot be parsed. Write NAME=value, with quotes on both sides of the value or on neither."
            )
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if near and name not in known:
            raise SettingsError(f"{line}: there is no setting {name}. Did you mean {near[0]}?")


def _variable(location: tuple[int | str, ...]) -> str:
    name = "_".join(map(str, location)).upper()
    return name if name.startswith("DAGSTER_") else f"RIVO_{name}"


_CRON_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat", re.I)


def _is_cron_field(text: str, limits: tuple[int, int]) -> bool:
    """Return whether a field of a cron expression is valid: `*`, numbers, ranges, steps, lists, names."""
    for part in text.split(","):
        match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if not match or match[3] == "0":
            return False
        for value in match.group(1, 2):
            number = value and value.isdigit() and limits[0] <= int(value) <= limits[1]
            if value not in (None, "*") and not number and not _CRON_NAMES.fullmatch(value or ""):
                return False
    return True
