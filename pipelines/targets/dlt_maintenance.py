"""Weekly maintenance of a bucket with Delta or Iceberg tables, and of the files that dlt writes for each load.

Each publication adds files to the tables that it changes, and their formats keep the old ones for readers. Databases do
this by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.targets.dlt_destination import OpenedDestination, reason_of
from pipelines.targets.dlt_meta import MetaFiles, MetaTables

EVERY = timedelta(days=7)
"""How often the maintenance is done."""
KEEP = timedelta(days=7)
"""How long readers can use an older version of a table."""
MOST_FILES = 10
"""An Iceberg table with more data files is written again as a whole: pyiceberg cannot merge some of them."""


def maintained(
    destination: OpenedDestination, meta: MetaTables | MetaFiles, labels: Collection[str]
) -> tuple[str, ...]:
    """Do the maintenance of a bucket if it is due; return a note if it failed. It is then due again the next time.

    Args:
        destination: the opened destination; nothing is done in a database.
        meta: the mark of the destination, beside which the time of the maintenance is kept.
        labels: datasets and names of the published tables, such as `marts.dim_member`.
    """
    if not isinstance(meta, MetaFiles) or not labels:
        return ()
    now = _now()
    try:
        done = meta.maintained_at()
        if done is None:
            # A first publication leaves nothing to do.
            meta.write_maintained(now)
        if done is None or now - done < EVERY:
            return ()
        by_dataset: dict[str, list[str]] = {}
        for label in labels:
            dataset, _, name = label.partition(".")
            by_dataset.setdefault(dataset, []).append(name)
        for dataset, names in by_dataset.items():
            with destination.client(dataset, *names) as client:
                _delete_old(client, _notes_of_loads(client), now)
                for name in names:
                    _maintain(client, destination.table_format, name, now)
        meta.write_maintained(now)
    # The packages of table formats have errors of their own each, and the publication is complete.
    except Exception as error:
        reason = reason_of(error, destination.target)
        return (
            f"{destination.target.variable}: the maintenance failed and is due again at the next publication: "
            f"{reason}.",
        )
    return ()


def _now() -> datetime:
    return datetime.now(UTC)


def _maintain(client: Any, table_format: str | None, name: str, now: datetime) -> None:
    if table_format == "delta":
        _maintain_delta(client.load_open_table("delta", name))
    elif table_format == "iceberg":
        table = client.load_open_table("iceberg", name)
        _maintain_iceberg(table, now)
        folder = client.get_table_dir(name)
        used = {_name(path) for path in _used_by(table)}
        _delete_old(client, (path for path in client.fs_client.find(folder) if _name(path) not in used), now)


def _maintain_delta(table: Any) -> None:
    """Merge small files, delete those that no version of the last days has, and shorten the log.

    Delta's own table properties say how long: a week, and 30 days for the log.
    """
    table.optimize.compact()
    # With the files of a publication that was killed, which no version has.
    table.vacuum(dry_run=False, full=True)
    table.create_checkpoint()
    table.cleanup_metadata()


def _maintain_iceberg(table: Any, now: datetime) -> None:
    """Merge the data files of a table that has many, and let old snapshots expire."""
    if table.inspect.data_files().num_rows > MOST_FILES:
        table.overwrite(table.scan().to_arrow())
    table.maintenance.expire_snapshots().older_than(now - KEEP).commit()


def _used_by(table: Any) -> Iterator[str]:
    """Yield the files that the snapshots of an Iceberg table have."""
    yield table.metadata_location
    for snapshot in table.snapshots():
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io):
                yield entry.data_file.file_path
    for statistics in table.metadata.statistics:
        yield statistics.statistics_path


def _notes_of_loads(client: Any) -> list[str]:
    """Return the files in which dlt notes each load, all but the newest."""
    folder = client.get_table_dir(client.schema.loads_table_name)
    if not client.fs_client.isdir(folder):
        return []
    return sorted(client.fs_client.find(folder), key=_name)[:-1]


def _delete_old(client: Any, paths: Iterable[str], now: datetime) -> None:
    """Delete the files that are older than `KEEP`: a younger one may be that of a reader or of a publication."""
    for path in list(paths):
        modified = client.fs_client.modified(path)
        if now - modified.replace(tzinfo=modified.tzinfo or UTC) >= KEEP:
            client.fs_client.rm_file(path)


def _name(path: str) -> str:
    # Names have random parts, so those of a table are unique without their folders, whose forms differ.
    return path.rpartition("/")[2]
