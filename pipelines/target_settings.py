"""Settings of targets: RIVO_TARGET_<NAME> says where one is, RIVO_PUBLISH which ones follow each sync."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import SecretStr

from pipelines.env_file import OF_KUBERNETES

PREFIX = "RIVO_TARGET_"
PASSWORD = "_PASSWORD"  # noqa: S105, the end of a name
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DLT = re.compile(r"dlt:[a-z][a-z0-9_]*(\?[a-z_]+=[A-Za-z0-9_]+(&[a-z_]+=[A-Za-z0-9_]+)*)?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_SECRETS = frozenset(
    {
        "password",
        "passwd",
        "pwd",
        "sslpassword",
        "token",
        "motherduck_token",
        "secret",
        "key",
        "access_key",
        "secret_key",
    }
)
"""Options of a URL that are secrets."""
_NOT_DATABASES = frozenset({"memory", "temp", "system", "main", "published"})
"""Names that mean another database in DuckDB or in ours."""
_KINDS = (
    ("ducklake:", "ducklake"),
    ("postgresql://", "postgres"),
    ("postgres://", "postgres"),
    ("md:", "motherduck"),
    ("s3://", "parquet"),
    ("file://", "parquet"),
    ("dlt:", "dlt"),
)
"""How a URL begins -> kind of the target."""
EXAMPLES = (
    "postgresql://user@host/db, ducklake:postgresql://user@host/db?data=s3://bucket/path, md:name, s3://bucket/prefix, "
    "file:///folder or dlt:snowflake"
)
SCHEMAS = (
    "rivo_raw",
    "rivo_actions",
    "seeds",
    "staging",
    "intermediate",
    "marts",
    "reports",
)
"""Schemas of a warehouse that can be published."""


@dataclass(frozen=True)
class TargetSetting:
    """Where a target is. The URL has no secret in it."""

    name: str
    kind: str
    url: str
    password: SecretStr | None = field(default=None, repr=False)

    @property
    def variable(self) -> str:
        """Name of the variable, for messages."""
        return f"{PREFIX}{self.name}".upper()

    @property
    def password_variable(self) -> str:
        """Name of the variable of the password, for messages."""
        return f"{self.variable}{PASSWORD}"


def names_of_targets(text: str) -> tuple[str, ...]:
    """Return the names in a value of RIVO_PUBLISH, in its order.

    Raises:
        ValueError: a name cannot be one, or is there twice.
    """
    names = tuple(filter(None, (name.strip().lower() for name in text.split(","))))
    if text.strip() and not names:
        raise ValueError("names no target")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"'{name}' cannot be the name of a target. A name has up to 40 letters, digits and underscores, and "
                "begins with a letter, such as lake or pg"
            )
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is there twice")
    return names


def check_schemas(text: str) -> str:
    """Return a valid list of the schemas to publish, as RIVO_PUBLISH_SCHEMAS has it.

    Raises:
        ValueError: one is not a schema that can be published, or there is none.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SCHEMAS]
    if not names:
        raise ValueError(f"names no schema. The schemas are {', '.join(SCHEMAS)}")
    if unknown:
        raise ValueError(f"'{', '.join(unknown)}' cannot be published. The schemas are {', '.join(SCHEMAS)}")
    return ",".join(dict.fromkeys(names))


def read_targets(variables: Mapping[str, str]) -> tuple[dict[str, TargetSetting], list[str]]:
    """Return the targets of RIVO_TARGET_..., and a sentence about each variable that is not valid.

    Args:
        variables: all variables, with names in upper case.
    """
    targets: dict[str, TargetSetting] = {}
    passwords: dict[str, str] = {}
    problems: list[str] = []
    for variable, value in variables.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or not name:
            continue
        if name == "password":
            problems.append(f"{variable} names no target. Write {PREFIX}<NAME>{PASSWORD}")
            continue
        if variable.endswith(PASSWORD):
            passwords[name.removesuffix(PASSWORD.lower())] = value
        elif OF_KUBERNETES.search(variable) and not _kind_of(value):
            continue
        elif not _NAME.fullmatch(name):
            problems.append(
                f"{variable}: the name of a target begins with a letter and has up to 40 characters"
            )
        elif problem := _problem(value):
            problems.append(f"{variable}: {problem}")
        else:
            targets[name] = TargetSetting(name, _kind_of(value), value.rstrip("/") or value)
    wrong = {variable.removeprefix(PREFIX).lower() for variable in variables if variable.startswith(PREFIX)}
    for name, password in passwords.items():
        if name in targets:
            known = targets[name]
            targets[name] = TargetSetting(known.name, known.kind, known.url, SecretStr(password))
        elif name not in wrong:
            variable = f"{PREFIX}{name}".upper()
            problems.append(f"{variable}{PASSWORD} is set, but {variable} is not")
    return targets, problems


def _kind_of(url: str) -> str:
    """Return the kind of a target; empty if the URL is of none."""
    return next((kind for begin, kind in _KINDS if url.startswith(begin)), "")


def _problem(url: str) -> str | None:
    """Return why a URL cannot be that of a target, without showing it: it may have a password in it."""
    if not _kind_of(url):
        return f"the value is none of the supported kinds. Examples: {EXAMPLES}"
    if url.startswith("dlt:"):
        return (
            None if _DLT.fullmatch(url) else "write dlt: and the name of a destination, such as dlt:snowflake"
        )
    try:
        parts = urlsplit(url.removeprefix("ducklake:"))
        options = parse_qs(parts.query, keep_blank_values=True)
        _ = parts.port
    except ValueError:
        return f"the value is not a valid URL. Examples: {EXAMPLES}"
    secrets = _SECRETS & {option.lower() for option in options}
    if parts.password or secrets or (parts.scheme in ("s3", "file") and parts.username):
        return (
            "the URL must not contain a password, token or key. Give it in the variable of the same name with "
            f"{PASSWORD} at its end; S3 keys come from the usual AWS variables"
        )
    if url.startswith("ducklake:"):
        return _problem_of_lake(parts)
    if parts.query and parts.scheme in ("s3", "file", "md"):
        return "the URL must not have a question mark"
    if parts.scheme in ("postgresql", "postgres") and not parts.path.strip("/"):
        return "the URL names no database. Write postgresql://user@host/db"
    if parts.scheme == "s3" and not _BUCKET.fullmatch(parts.netloc):
        return "the URL names no bucket that S3 can have. Write s3://bucket/prefix"
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        return "the folder must be an absolute path, after three slashes: file:///folder"
    if parts.scheme == "md" and (
        not _NAME.fullmatch(parts.path.lower()) or parts.path.lower() in _NOT_DATABASES
    ):
        return "write md: and the name of a database, in letters, digits and underscores, such as md:loyalty"
    return None


def lake_options(query: str) -> dict[str, list[str]]:
    """Return the options of a lake's URL. A plus is a plus, since it can be part of a folder's name."""
    return parse_qs(query.replace("+", "%2B"), keep_blank_values=True)


def _problem_of_lake(parts: SplitResult) -> str | None:
    options = lake_options(parts.query)
    places = options.get("data", [])
    if parts.scheme not in ("postgresql", "postgres") or len(places) != 1 or not parts.path.strip("/"):
        return (
            "a lake has a Postgres catalogue and a folder for its data: "
            "ducklake:postgresql://user@host/db?data=s3://bucket/path or ...?data=/folder"
        )
    if not re.match(r"s3://[^/]|file:///|/", places[0]):
        return "the lake's data must be s3://bucket/path, file:///folder or an absolute path"
    if unknown := sorted(options.keys() - {"data"}):
        return (
            f"a lake's URL has no option {unknown[0]}. For options of the connection set libpq's variables, such as "
            "PGSSLMODE=verify-full"
        )
    return None
