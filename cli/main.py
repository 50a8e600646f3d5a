"""Entry point of the `rivo` command: the group, its commands, and how errors are shown."""

from __future__ import annotations

import gc
import signal
import sys

import click

from cli import exits
from cli.commands.actions import actions
from cli.commands.backup import backup, restore
from cli.commands.dev import dev, serve
from cli.commands.doctor import doctor
from cli.commands.forget import forget
from cli.commands.models import models
from cli.commands.publish import publish
from cli.commands.query import query
from cli.commands.report import report
from cli.commands.retrieve import customer, tier
from cli.commands.sandbox import sandbox
from cli.commands.shops import shops
from cli.commands.status import status
from cli.commands.sync import sync
from cli.terminal.interrupts import heard, sigterm_is_ctrl_c
from cli.terminal.pipes import Group
from cli.terminal.printable import printable
from pipelines.errors import NoWarehouse, RivoError, command


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"""\b
Examples:
  rivo sync                                    run one sync; without RIVO_API_KEY, a demo
  rivo query "from reports.rpt_data_trust"     run SQL on the warehouse
  rivo status                                  show whether the data is fresh and can be trusted
  rivo COMMAND --help                          show the options of a command

\b
Exit codes, the same for every command:
{exits.help_text()}""",
)
def cli() -> None:
    """Load Rivo's loyalty data into a DuckDB warehouse: daily syncs, history, SQL models."""


for each in (
    sync,
    query,
    status,
    report,
    customer,
    tier,
    models,
    actions,
    backup,
    restore,
    forget,
    shops,
    publish,
    doctor,
    sandbox,
    dev,
    serve,
):
    cli.add_command(each)


def main() -> None:
    """Run the `rivo` command. Errors meant for the user are printed without a traceback."""
    collect_less_often()
    sigterm_is_ctrl_c()
    with heard() as signalled:
        try:
            cli.main(standalone_mode=False, obj=signalled)
        except RivoError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            sys.exit(exits.NO_WAREHOUSE if isinstance(error, NoWarehouse) else exits.FAILED)
        except click.exceptions.Abort:
            click.echo(f"Stopped. The warehouse is intact; `{command()} status` shows its state.", err=True)
            sys.exit(exits.TERMINATED if signalled() == signal.SIGTERM else exits.INTERRUPTED)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            click.echo(printable(sentence), err=True)
            sys.exit(exits.FAILED)


def collect_less_often() -> None:
    """Search for garbage less often: imports make many objects that stay, and searching them took a tenth of a sync."""
    gc.set_threshold(50_000, 20, 100)


def _sentence(error: Exception) -> str | None:
    """Return a message for an error in the SQL models or a damaged warehouse; None for any other error."""
    # Not at the top of the module: these imports take half a second.
    import duckdb

    from cli.shops import last_chosen
    from dbt_like_sql.runner import ProjectError
    from pipelines.settings import Settings
    from runs.shop import shop_to_read

    if isinstance(error, ProjectError):
        return f"Error in the SQL models: {error}"
    if not isinstance(error, duckdb.Error):
        return None
    settings = last_chosen() or Settings.load()
    # Those that work on several shops say by themselves which file is damaged.
    damage = None if settings.shop_names else shop_to_read(settings).warehouse.damage(error)
    return f"Error: {damage}" if damage else None
