"""A destination of dlt: its datasets, loads into them, and its errors as one sentence.

Credentials come from dlt's own configuration. Nothing of dlt's is kept on this machine: each load has a folder of its
own beside the warehouse, which is deleted after it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pipelines.errors import command
from pipelines.target_settings import TargetSetting
from pipelines.targets.content import Content
from pipelines.targets.marks import TargetError

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.destination.client import JobClientBase
    from dlt.extract import DltResource

_OPTIONS = frozenset({"table_format", "name"})
_TABLE_FORMATS = frozenset({"delta", "iceberg"})
_SECRET_OF = {"databricks": "access_token", "bigquery": "private_key", "filesystem": "aws_secret_access_key"}
"""The credential that RIVO_TARGET_<NAME>_PASSWORD is, by destination; otherwise the password."""
_EXTRA_OF = {"delta": "deltalake", "iceberg": "pyiceberg"}
"""dlt's extra for a table format; for a destination it has the destination's name."""
_NEEDS_ADBC = frozenset({"postgres", "mssql"})
"""Destinations into which Parquet goes by a driver that is not installed with dlt."""
_SECRET_NAME = re.compile(r"pass|secret|token|key|connection_string", re.IGNORECASE)
_ENVIRONMENT = {
    # Otherwise the rows that were sent last stay in a dataset of their own, with a person who has been erased since.
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
    "LOAD__RAISE_ON_FAILED_JOBS": "true",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "RESTORE_FROM_DESTINATION": "false",
    "DATA_WRITER__FILE_MAX_ITEMS": "2000000",
}


@dataclass(frozen=True)
class Load:
    """Rows for a table of a dataset."""

    table: str
    batches: Iterable[pa.Table]
    """At least one batch, which may be empty: it has the columns."""
    disposition: Any = "replace"
    """dlt's write disposition."""
    key: tuple[str, ...] = ()
    hints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """dlt's hints by column."""
    comment: str | None = None


@dataclass(frozen=True)
class OpenedDestination:
    """An opened destination."""

    target: TargetSetting
    kind: str
    """Name of the destination in dlt, such as `snowflake`."""
    table_format: str | None
    factory: Any
    """dlt's factory of the destination."""
    folder: Path
    """Where dlt keeps a load until it has ended."""

    @cached_property
    def _capabilities(self) -> Any:
        # Each call reads all of dlt's configuration.
        return self.factory.capabilities()

    @property
    def is_files(self) -> bool:
        """Whether it is a folder or bucket, and no database."""
        return self.kind == "filesystem"

    @cached_property
    def strategies(self) -> frozenset[str]:
        """How rows can be merged into a table; empty if it can only be replaced."""
        if self.is_files and not self.table_format:
            return frozenset()
        found = frozenset(self._capabilities.supported_merge_strategies or ())
        return found - {"cdc"} if self.table_format == "iceberg" else found

    @contextmanager
    def client(self, dataset: str, *tables: str) -> Iterator[Any]:
        """Open a client of a dataset.

        Args:
            dataset: name of the dataset.
            tables: tables that are to be known as tables of the destination's format.
        """
        import dlt
        from dlt.common.schema.utils import new_table

        schema = dlt.Schema(dataset)
        for name in tables:
            # dlt takes a table without columns for one that does not exist.
            columns: Any = [{"name": "any", "data_type": "text"}]
            schema.update_table(new_table(name, columns=columns, table_format=self.table_format))  # type: ignore[arg-type]
        # dlt opens a client of its own for a dataset; the pipeline holds the name only.
        client: JobClientBase
        with self._pipeline(dataset) as pipeline:
            client = pipeline._get_destination_clients(schema)[0]
            with client:
                yield client

    @cached_property
    def needs_text(self) -> bool:
        """Whether rows go in INSERT statements, in which infinity can be a text only."""
        return self._capabilities.preferred_loader_file_format == "insert_values" and (self.kind != "duckdb")

    def existing(self, dataset: str, names: Sequence[str]) -> set[str]:
        """Return which of the tables a dataset has."""
        with self.client(dataset, *names) as client:
            # A folder with files of others has no sign of dlt's.
            if not self.is_files and not client.is_storage_initialized():
                return set()
            return {name for name, columns in client.get_storage_tables(names) if columns}

    def drop(self, dataset: str, names: Sequence[str]) -> None:
        """Drop tables, and the copies that dlt stages."""
        with self.client(dataset, *names) as client:
            client.drop_tables(*names, delete_schema=False)
            if not self.is_files:
                with client.with_staging_dataset():
                    if client.is_storage_initialized():
                        client.drop_tables(*names, delete_schema=False)

    def load(self, dataset: str, loads: Sequence[Load]) -> None:
        """Load tables into a dataset: each is complete at once, but one comes after the other."""
        import dlt

        self._forget_schema(dataset)
        with self._pipeline(dataset) as pipeline:
            resources = [self._resource(load) for load in loads]
            source = dlt.source(lambda: resources, schema=dlt.Schema(dataset), root_key=False)()
            pipeline.run(source)

    def _forget_schema(self, dataset: str) -> None:
        """Make dlt look at the tables that there are, rather than at what it noted of earlier loads.

        Its notes would grow with each load, since they have the ranges of ids that were replaced.
        """
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        with self.client(dataset) as client:
            if not client.is_storage_initialized():
                return
            for staging in (False, True):
                if staging and self.is_files:
                    continue
                try:
                    if staging:
                        with client.with_staging_dataset():
                            client.drop_tables(delete_schema=True)
                    else:
                        client.drop_tables(delete_schema=True)
                except DatabaseUndefinedRelation:
                    continue

    def _resource(self, load: Load) -> DltResource:
        import dlt

        options: dict[str, Any] = {
            "write_disposition": load.disposition,
            "columns": {name: dict(hint) for name, hint in load.hints.items()},
        }
        if load.key:
            options["primary_key"] = list(load.key)
        options["file_format"] = self._file_format(load)
        if self.table_format:
            options["table_format"] = self.table_format
        resource: DltResource = dlt.resource(lambda: iter(load.batches), name=load.table, **options)
        if load.comment:
            resource.apply_hints(additional_table_hints={"description": load.comment})
        return resource

    def _file_format(self, load: Load) -> str:
        """Return the format in which the rows travel. Not CSV, in which dlt loads an empty text as a null."""
        supported = self._capabilities.supported_loader_file_formats or ()
        has_json = any(hint.get("data_type") == "json" for hint in load.hints.values())
        # BigQuery reads no JSON column from Parquet.
        is_parquet = "parquet" in supported and not (self.kind == "bigquery" and has_json)
        return "parquet" if is_parquet and self.kind not in _NEEDS_ADBC else "preferred"

    @contextmanager
    def _pipeline(self, dataset: str) -> Iterator[Any]:
        import dlt

        shutil.rmtree(self.folder, ignore_errors=True)
        pipeline = dlt.pipeline(
            pipeline_name=f"rivo_{dataset}",
            destination=self.factory,
            dataset_name=dataset,
            pipelines_dir=str(self.folder),
        )
        try:
            yield pipeline
        finally:
            pipeline.deactivate()
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def opened_destination(content: Content, target: TargetSetting) -> Iterator[OpenedDestination]:
    """Open the destination that a target's URL names, with the environment set for dlt.

    Raises:
        TargetError: packages or credentials are missing, or whatever dlt or the destination report in the block.
    """
    kind, table_format, name = _parse(target)
    variables = dict(_ENVIRONMENT)
    if kind != "filesystem" or table_format:
        # A reader of the table sees its old rows or its new ones, and grants on it stay.
        variables["DESTINATION__REPLACE_STRATEGY"] = "insert-from-staging"
    if target.password:
        password = target.password.get_secret_value()
        credential = _SECRET_OF.get(kind, "password").upper()
        variables[f"DESTINATION__{(name or kind).upper()}__CREDENTIALS__{credential}"] = password
    with _environment(variables):
        try:
            from dlt.common.destination import Destination

            factory = Destination.from_reference(kind, destination_name=name)
            yield OpenedDestination(
                target, kind, table_format, factory, content.warehouse.target_scratch(target.name)
            )
        except TargetError:
            raise
        except Exception as error:
            raise _plain(error, target) from None


def _parse(target: TargetSetting) -> tuple[str, str | None, str | None]:
    """Return the destination, the table format and the name in dlt's configuration."""
    kind, _, query = target.url.removeprefix("dlt:").partition("?")
    options = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    table_format = options.get("table_format")
    if unknown := sorted(options.keys() - _OPTIONS):
        raise TargetError(
            f"{target.variable}: the option {unknown[0]} is not known. A dlt destination has the options "
            f"{' and '.join(sorted(_OPTIONS))}; all else is dlt's own configuration. Nothing was published."
        )
    if not re.fullmatch(r"[a-z][a-z0-9_.]*", kind) or (table_format or "delta") not in _TABLE_FORMATS:
        raise TargetError(
            f"{target.variable} is not a destination of dlt. Examples: dlt:snowflake, dlt:bigquery, "
            "dlt:filesystem?table_format=delta. Nothing was published."
        )
    return kind, table_format, options.get("name")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def reason_of(error: BaseException, target: TargetSetting) -> str:
    """Return the original error that dlt has wrapped, as one line without secrets and without a full stop."""
    lines = (_first_line(cause) for cause in reversed(_chain(error)))
    secrets = [target.password.get_secret_value()] if target.password else []
    return _without_secrets(next(filter(None, lines), type(error).__name__), secrets)


def _plain(error: BaseException, target: TargetSetting) -> TargetError:
    """Return the error of the destination that dlt has wrapped, as one sentence without secrets."""
    from dlt.common.configuration.exceptions import ConfigFieldMissingException
    from dlt.common.destination.exceptions import UnknownDestinationModule
    from dlt.common.exceptions import MissingDependencyException

    kind, table_format, name = _parse(target)
    again = f"Then run `{command()} publish {target.name}`."
    for cause in _chain(error):
        if isinstance(cause, UnknownDestinationModule):
            return TargetError(
                f"{target.variable}: dlt has no destination {kind}. Nothing was published. Examples: dlt:snowflake, "
                "dlt:bigquery, dlt:databricks, dlt:filesystem."
            )
        if isinstance(cause, MissingDependencyException | ImportError):
            extra = _EXTRA_OF.get(table_format or "", kind)
            return TargetError(
                f"{target.variable}: packages for {table_format or kind} are not installed. Nothing was published. "
                f"Install dlt's extra {extra} beside them: `uv pip install 'dlt[{extra}]'`; for snowflake, bigquery, "
                f"databricks, deltalake and pyiceberg also `make install EXTRAS={extra}`. {again}"
            )
        if isinstance(cause, ConfigFieldMissingException):
            section = f"DESTINATION__{name or kind}".upper()
            fields = ", ".join(f"{section}__{field.upper()}" for field in sorted(cause.traces))
            return TargetError(
                f"{target.variable}: dlt's configuration for {kind} is incomplete: {fields} is not set. Nothing was "
                f"published. Set it in the environment, or in .dlt/secrets.toml under the same name. {again}"
            )
    return TargetError(
        f"{target.variable} could not be published to: {reason_of(error, target)}. Until the "
        f"next publication, its tables may be those of either day. {again}"
    )


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, the original one last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    return chain


def _first_line(error: BaseException) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), "")


def _without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Replace passwords in a text: those of the target, of the environment, of dlt's files, and any in a URL."""
    known = list(secrets)
    for name, value in os.environ.items():
        last = name.rpartition("__")[2]
        if name.startswith("DESTINATION__") and (last == "CREDENTIALS" or _SECRET_NAME.search(last)):
            known.append(value)
    for secret in sorted(filter(lambda value: len(value) > 3, known), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://[^\s/:@]*):[^\s/@]+@", r"\1:***@", text)
    return re.sub(
        r"(?i)\b(\w*(?:password|secret|token|passphrase|private_key)\w*\s*[=:]\s*)('[^']*'|\S+)",
        r"\1***",
        text,
    )
