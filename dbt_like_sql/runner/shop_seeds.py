"""Seeds that differ by shop: `seeds/shops/<shop>/<seed>.csv` takes the place of `seeds/<seed>.csv` for that shop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from dbt_like_sql.runner.errors import ProjectError, did_you_mean

SHOPS = PurePath("seeds", "shops")
"""Folder of the seeds of single shops."""
_SHOP = re.compile(r"[a-z][a-z0-9_]*")


def base_seed_files(root: Path) -> list[Path]:
    """Return the CSV files of all seeds, sorted; those of single shops are not among them."""
    return sorted((root / "seeds").glob("*.csv"))


def shop_seed_files(root: Path) -> Mapping[str, Mapping[str, Path]]:
    """Return the CSV files of the shops that have some, by shop and seed.

    Raises:
        ProjectError: a folder cannot be the name of a shop, or a file is not called like a seed.
    """
    folder = root / SHOPS
    if not folder.is_dir():
        return {}
    seeds = [path.stem for path in base_seed_files(root)]
    return {path.name: _files_of(path, root, seeds) for path in _visible(folder) if _is_shop(path, root)}


def seed_files(root: Path, shop: str) -> list[Path]:
    """Return the CSV file of each seed, for a shop or, if `shop` is empty, for every shop without files of its own.

    Raises:
        ProjectError: as for `shop_seed_files`.
    """
    own = shop_seed_files(root).get(shop, {})
    return [own.get(path.stem, path) for path in base_seed_files(root)]


def check_same_columns(path: Path, root: Path, columns: list[str], usual: list[str]) -> None:
    """Check that a shop's file has the columns of the seed, in any order.

    Raises:
        ProjectError: it lacks one, or has another one.
    """
    file, seed = path.relative_to(root), f"seeds/{path.name}"
    for column in columns:
        if column not in usual:
            hint = did_you_mean(column, set(usual) - set(columns))
            raise ProjectError(f"{file} has a column {column}, which {seed} does not have.{hint}")
    for column in usual:
        if column not in columns:
            raise ProjectError(f"{file} has no column {column}, which {seed} has. Add it.")


def _visible(folder: Path) -> list[Path]:
    # Hidden files are those of an editor or of the system, such as .DS_Store.
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_shop(path: Path, root: Path) -> bool:
    file = path.relative_to(root)
    if not path.is_dir():
        raise ProjectError(
            f"{file} is not in the folder of a shop. Move it to {SHOPS}/<shop>/, or to seeds/ if it is for all shops."
        )
    if not _SHOP.fullmatch(path.name):
        raise ProjectError(
            f"{file} cannot be the folder of a shop. A shop's name in RIVO_SHOPS has only lower-case letters, digits "
            f"and underscores, and begins with a letter.{_usable_name(path.name)}"
        )
    return True


def _usable_name(name: str) -> str:
    usable = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f" Did you mean {usable}?" if _SHOP.fullmatch(usable) else ""


def _files_of(folder: Path, root: Path, seeds: list[str]) -> Mapping[str, Path]:
    found = {}
    for path in _visible(folder):
        file = path.relative_to(root)
        if path.suffix != ".csv" or path.is_dir():
            raise ProjectError(
                f"{file}: the folder of a shop has only CSV files. Column types, tests and descriptions are the same "
                "for all shops, and come from the property file in seeds/."
            )
        if path.stem not in seeds:
            hint = did_you_mean(path.stem, seeds)
            raise ProjectError(
                f"{file} takes the place of no seed: there is no seeds/{path.name}.{hint} "
                "A shop can change the rows of a seed, not add one."
            )
        found[path.stem] = path
    return found
