"""The options --shop and --all-shops, and commands that work on one shop after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from cli import exits
from cli.terminal.printable import printable
from pipelines.errors import NoWarehouse, RivoError

if TYPE_CHECKING:
    from pipelines.settings import Settings

_WORST = (
    *(exits.DONE, exits.STALE, exits.NO_WAREHOUSE, exits.FAILED),
    *(exits.USAGE, exits.BROKEN_PIPE, exits.INTERRUPTED, exits.TERMINATED),
)
"""The exit codes, the worst last."""


_chosen: list[Settings] = []


def last_chosen() -> Settings | None:
    """Return the settings of the shop that this process works on, or worked on last; None before it chose one."""
    return _chosen[-1] if _chosen else None


@dataclass(frozen=True)
class ShopChoice:
    """What --shop and --all-shops say. The settings are read only when they are asked for."""

    name: str | None = None
    every: bool = False
    options: str = "--shop NAME"
    """The options that the command has."""

    def one(self) -> Settings:
        """Return the settings of the one shop that a command works on.

        Raises:
            SettingsError: a setting is invalid.
            UsageError: there are several shops and none was named, or RIVO_SHOPS has no such shop.
        """
        [settings] = self._several(usual_all=False)
        _chosen.append(settings)
        return settings

    def all(self, *, usual: bool = False) -> list[Settings]:
        """Return the settings of all shops that a command works on, in the order of RIVO_SHOPS.

        Without an option that is all shops if it is `usual` for the command.

        Raises:
            SettingsError, UsageError: as for `one`.
        """
        return self._several(usual_all=usual)

    def _several(self, *, usual_all: bool) -> list[Settings]:
        from pipelines.settings import Settings

        settings = Settings.load()
        names = settings.shop_names
        if self.name is not None:
            name = self.name.strip().lower()
            if name not in names:
                known = f"has {', '.join(names)}" if names else "is not set"
                raise click.UsageError(f"There is no shop {self.name}: RIVO_SHOPS {known}.")
            return [settings.of_shop(name)]
        if len(names) > 1 and not (self.every or usual_all):
            raise click.UsageError(
                f"There are several shops: {', '.join(names)}. Choose with {self.options}."
            )
        return [settings.of_shop(name) for name in names or ("",)]


def shop_options(*, every: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --shop, and --all-shops if `every`, to a command; it gets a `ShopChoice` as `choice`."""
    options = "--shop NAME or --all-shops" if every else "--shop NAME"

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def with_choice(*args: Any, shop: str | None, all_shops: bool = False, **given: Any) -> Any:
            if shop is not None and all_shops:
                raise click.UsageError("--shop and --all-shops exclude each other.")
            return function(*args, choice=ShopChoice(shop, all_shops, options), **given)

        command: Callable[..., Any] = with_choice
        if every:
            command = click.option(
                "--all-shops", is_flag=True, help="Every shop of RIVO_SHOPS, each by itself."
            )(command)
        return click.option("--shop", metavar="NAME", help="One shop of RIVO_SHOPS, if there are several.")(
            command
        )

    return add


def for_each(shops: Sequence[Settings], work: Callable[[Settings], int | None]) -> int:
    """Work on one shop after the other, under a heading if there are several; return the worst exit code.

    A shop that fails is reported, and the others are still worked on.
    """
    if len(shops) == 1:
        _chosen.append(shops[0])
        return work(shops[0]) or exits.DONE
    codes = []
    for position, settings in enumerate(shops):
        _chosen.append(settings)
        click.secho(f"{chr(10) if position else ''}{settings.shop}", bold=True)
        try:
            codes.append(work(settings) or exits.DONE)
        except Exception as error:
            sentence = for_people(error, settings)
            if sentence is None:
                raise
            click.echo(f"Error: {settings.shop}: {printable(str(sentence))}", err=True)
            codes.append(exits.NO_WAREHOUSE if isinstance(sentence, NoWarehouse) else exits.FAILED)
    return worst(codes)


def for_people(error: Exception, settings: Settings) -> RivoError | None:
    """Return an error with a message for people, of a shop that must not stop the others; None for a fault of ours."""
    if isinstance(error, RivoError):
        return error
    import duckdb

    from dbt_like_sql.runner import ProjectError
    from runs.shop import shop_to_read

    if isinstance(error, ProjectError):
        return RivoError(f"Error in the SQL models: {error}")
    return shop_to_read(settings).warehouse.damage(error) if isinstance(error, duckdb.Error) else None


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of a command whose parts ended with these codes."""
    return max(codes, key=_WORST.index, default=exits.DONE)
