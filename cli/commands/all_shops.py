"""`rivo models all-shops`."""

from __future__ import annotations

import click


@click.command("all-shops")
def all_shops() -> None:
    """Write one file with the marts and reports of all shops, for BI tools.

    It is all_shops.duckdb in the folder of RIVO_WAREHOUSE. Each table has the shop as its first column, `shop`.
    meta.shops says how fresh the data of each shop are. The file is a copy: run this after the syncs, and after an
    erasure (rivo forget). Programs that have it open keep the one they opened.
    """
    from cli.terminal.all_shops import note_left_out, print_states
    from cli.terminal.tables import short
    from pipelines.settings import Settings
    from runs.all_shops import shops_to_read, united, write_united

    settings = Settings.load()
    shops = shops_to_read(settings)
    union = united(shops)
    if union.published:
        note_left_out(union)
    written, states = write_united(settings, shops)
    print_states(states)
    click.echo(f"Wrote {short(written)}, {written.size_bytes / 1e6:.1f} MB.")
