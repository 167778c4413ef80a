"""The commands `purge_history` and `erase_history`."""

import click
from flask import current_app

from project.api.users.history import entries
from project.audit_log import operating_system_user, record_bulk
from project.database.commands import DatabaseCommand


@click.command("purge_history", cls=DatabaseCommand)
@click.option(
    "--days",
    type=click.IntRange(min=0),
    help="Keep the entries of this many days. Default: HISTORY_DAYS.",
)
def purge_history(days: int | None) -> None:
    """Delete the entries of the history that are too old; run it every day."""
    if days is None:
        days = current_app.config["HISTORY_DAYS"]
    report("purge_history", entries.purge(days))


@click.command("erase_history", cls=DatabaseCommand)
@click.option("--user-id", type=int, help="Delete the entries about this user.")
@click.option("--who", help="Delete the entries of what this person or client wrote.")
def erase_history(user_id: int | None, who: str | None) -> None:
    """Delete what the history contains about a person."""
    if user_id is not None and who is None:
        erased = entries.erase_user(user_id)
    elif who is not None and user_id is None:
        erased = entries.erase_who(who)
    else:
        raise click.UsageError("add either --user-id or --who")
    report("erase_history", erased)


def report(action: str, erased: int) -> None:
    """Print and log the number of entries that an action has deleted."""
    click.echo(f"Entries of the history that were deleted: {erased:,}.")
    record_bulk(action, operating_system_user(), erased=erased)
