"""Draw two pictures from the warehouse with pandas: moves between tiers, and points redeemed for each point issued.

    uv run python examples/tier_migration.py data/demo.duckdb [FOLDER]

This writes tier_migration.png and points_burn_ratio.png into FOLDER (default: the current folder). It only reads the
warehouse, so a sync may run at the same time. `migration` and `burn_ratio` return the DataFrames behind the pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pandas as pd

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter
except ModuleNotFoundError:
    sys.exit(
        f"matplotlib is not installed here. Use the project's environment: uv run python {' '.join(sys.argv)}"
    )

# The last complete month; all history where no month is complete yet.
MIGRATION = """
    select
        moves.period_type,
        moves.period_start,
        moves.period_end,
        moves.from_state,
        moves.to_state,
        moves.direction,
        moves.members
    from reports.rpt_tier_migration as moves
    where moves.period_type = 'to_date' or (moves.period_type = 'month' and moves.is_complete)
    qualify dense_rank() over (order by moves.period_type = 'to_date', moves.period_start desc) = 1
    order by moves.from_state, moves.to_state
"""

TIERS = "select tier_name from marts.dim_tier where is_current order by tier_rank, tier_name"

# The roll-forward is computed from the ledger alone, so it also covers the months before the first sync.
BURN_RATIO = """
    select
        month,
        -(redeem + redeem_return) as points_redeemed_net,
        issue_purchase + issue_action + issue_referral + issue_tier + issue_manual + issue_reversal
            as points_issued_net,
        points_redeemed_net / nullif(points_issued_net, 0) as points_burn_ratio
    from reports.rpt_points_rollforward
    where unit = 'points' and is_complete
    order by month
"""


def migration(warehouse: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Return one row per state before and state after, distinguished by tier id, with the number of members."""
    return warehouse.sql(MIGRATION).df()


def burn_ratio(warehouse: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Return one row per complete month: points redeemed and points issued, each net of reversals, and their ratio."""
    return warehouse.sql(BURN_RATIO).df()


def draw_migration(moves: pd.DataFrame, tiers: list[str], path: Path) -> None:
    """Draw a heat map: a row per state before, a column per state after; upgrades blue, downgrades red."""
    known = dict.fromkeys(["(joined)", "not_member", "no_tier", *tiers, *moves.from_state, *moves.to_state])
    order = [state for state in known if state != "(left)"] + ["(left)"]
    rows = [state for state in order if state in set(moves.from_state)]
    columns = [state for state in order if state in set(moves.to_state)]
    # Two tiers with the same name share one row; its shares are of the members of both.
    cells = moves.assign(
        signed=moves.direction.map({"upgrade": 1, "downgrade": -1}).fillna(0) * moves.members
    )
    cells = cells.groupby(["from_state", "to_state"], as_index=False)[["members", "signed"]].sum()
    origin = cells.groupby("from_state").members.transform("sum")
    cells["share"] = (cells.members / origin).astype(float)
    cells["signed"] = (cells.signed / origin).astype(float)
    colours = cells.pivot(index="from_state", columns="to_state", values="signed")
    colours = colours.reindex(index=rows, columns=columns).fillna(0.0)
    limit = max(colours.abs().max().max(), 0.01)

    figure, axes = plt.subplots(figsize=(2 + 1.2 * len(columns), 1.8 + 0.7 * len(rows)), layout="constrained")
    image = axes.imshow(colours, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for cell in cells.itertuples():
        at = columns.index(cell.to_state), rows.index(cell.from_state)
        text = f"{cell.members:,}" if cell.from_state == "(joined)" else f"{cell.members:,}\n{cell.share:.1%}"
        stays = cell.from_state == cell.to_state
        colour = "white" if abs(cell.signed) > 0.6 * limit else "black"
        axes.annotate(
            text, at, ha="center", va="center", fontsize=9, color=colour, weight="bold" if stays else None
        )
    for edge in range(1, len(rows)):
        axes.axhline(edge - 0.5, color="white", linewidth=2)
    for edge in range(1, len(columns)):
        axes.axvline(edge - 0.5, color="white", linewidth=2)
    axes.set_xticks(range(len(columns)), columns, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_xlabel("state at the end")
    axes.set_ylabel("state at the start")
    axes.set_title(f"Tier migration, {moves.period_start[0]:%d %b %Y} to {moves.period_end[0]:%d %b %Y}")
    bar = figure.colorbar(image, ax=axes, format=lambda value, _: f"{abs(value):.0%}")
    bar.set_label("share moved down (red) or up (blue)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_burn_ratio(months: pd.DataFrame, path: Path) -> None:
    """Draw a line: points redeemed for each point issued, by month."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    axes.plot(months.month, months.points_burn_ratio, marker="o")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(bottom=min(0, months.points_burn_ratio.min()))
    axes.set_ylabel("points redeemed / points issued")
    axes.set_title("Burn ratio by month")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str]) -> None:
    """Draw both pictures and print their paths."""
    if len(arguments) not in (1, 2):
        sys.exit("Usage: python examples/tier_migration.py WAREHOUSE.duckdb [FOLDER]")
    source, folder = Path(arguments[0]), Path(*arguments[1:])
    if not source.is_file():
        sys.exit(f"There is no warehouse at {source}. Run `make sync` to create one.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with duckdb.connect(str(source), read_only=True) as warehouse:
            moves, months = migration(warehouse), burn_ratio(warehouse)
            tiers = [name for (name,) in warehouse.sql(TIERS).fetchall()]
    except duckdb.Error as error:
        sys.exit(f"{source} cannot be read: {str(error).splitlines()[0]}")
    if moves.empty:
        print("There are no customers yet, so there is no migration to draw.")
    else:
        draw_migration(moves, tiers, folder / "tier_migration.png")
        print(folder / "tier_migration.png")
    if months.points_burn_ratio.isna().all():
        print("No complete month has points issued, so there is no burn ratio to draw.")
    else:
        draw_burn_ratio(months, folder / "points_burn_ratio.png")
        print(folder / "points_burn_ratio.png")


if __name__ == "__main__":
    main(sys.argv[1:])
