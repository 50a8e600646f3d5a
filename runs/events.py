"""The plan of a run, and the events that it reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dbt_like_sql.runner import NodeResult
from pipelines.load.sync import ListResult, SyncOptions
from pipelines.targets.publication import Publication
from pipelines.warehouse import Build, Warehouse
from pipelines.webhooks.loading import DeliveriesLoaded


@dataclass(frozen=True)
class Plan:
    """The plan of a run: `lists` to read (with which options), `models` and seeds to build, and whether to publish.

    `prepare` changes the working copy before anything else; with `is_fresh` that copy starts empty.
    """

    lists: SyncOptions | None
    models: Collection[str]
    publish: bool
    with_pages: bool = False
    """Whether to report what the page of each table shows: a few rows, a picture."""
    prepare: Callable[[Build], object] | None = None
    is_fresh: bool = False
    everything: bool = False
    """Whether to build also the models that cannot have changed since their last build."""
    targets: Collection[str] | None = None
    """The targets of RIVO_PUBLISH to publish to; None for all of them."""
    erases: bool = False
    """Whether a person was erased, so that targets must keep no older version of the data."""
    shown: Mapping[str, str] | None = None
    """By relation, the fingerprint (`NodeResult.inputs`) of the version that the caller shows. Other versions are built
    again. None if the caller shows none."""


@dataclass(frozen=True)
class Step:
    """A sentence on what begins now; 'models' when the models do."""

    text: str


@dataclass(frozen=True)
class ListsRead:
    """The end of reading: all lists asked for have been read or have failed."""

    observed_at: datetime | None
    """Observation time of the last complete read of any list."""
    log_rows: int
    """Number of rows in `rivo_raw.sync_log`."""


@dataclass(frozen=True)
class Page:
    """Content of a table's page besides figures, in Markdown; empty if there is none."""

    relation: str
    sample: str
    picture: str


@dataclass(frozen=True)
class Finished:
    """How the run ended. `published` is false when models or blocking checks failed or no list could be read."""

    warehouse: Warehouse
    published: bool
    is_demo: bool
    observed_at: datetime | None
    size_bytes: int
    problems: tuple[str, ...]
    """Sentences on what went wrong; the run has failed when there is one."""
    report: Path | None = None
    """The report page, if one was written."""
    publications: tuple[Publication, ...] = ()
    """How the publication to each target ended."""
    findings: tuple[str, ...] = ()
    """Sentences on why some figures cannot be trusted, from `reports.rpt_data_trust`."""


Event = Step | ListResult | ListsRead | DeliveriesLoaded | Page | NodeResult | Publication | Finished
