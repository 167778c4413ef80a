"""The commands that manage the database."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from psycopg2.extensions import connection as PsycopgConnection

from project.audit_log import operating_system_user, record_bulk
from project.database import migrations
from project.database.availability import explain_unavailable, wait_until_ready
from project.database.engines import redact_url
from project.database.psql import open_psql
from project.database.schema import count_rows


@contextmanager
def explain_errors() -> Iterator[None]:
    """Let a command line report an unavailable database in one line.

    Raises:
        ClickException: the database is not available.
    """
    try:
        yield
    except Exception as error:
        explanation = explain_unavailable(error)
        if explanation is None:
            raise
        raise click.ClickException(explanation) from error


class DatabaseCommand(click.Command):
    """A command that reports an unavailable database in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with explain_errors():
            return super().invoke(ctx)


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    for command in (psql, recreate_db, wait_for_db):
        app.cli.add_command(command)


def database_name() -> str:
    """Return the URL of the database for messages, without the password."""
    url = redact_url(current_app.config["SQLALCHEMY_DATABASE_URI"])
    embedded = current_app.config["USES_EMBEDDED_DATABASE"]
    return f"{url} (embedded)" if embedded else url


@click.command("recreate_db", cls=DatabaseCommand)
@click.option("--yes", is_flag=True, help="Delete all rows without asking.")
def recreate_db(yes: bool) -> None:
    """Drop the tables of this service and create them again."""
    db: SQLAlchemy = current_app.extensions["sqlalchemy"]
    with db.engine.connect() as connection:
        migrations.check_ownership(connection, db.metadata)
        counts = count_rows(connection, db.metadata)
    if counts and not yes and not current_app.config["USES_EMBEDDED_DATABASE"]:
        confirm_deletion(counts)
    migrations.recreate(db)
    click.echo(f"Recreated the schema in {database_name()}.")
    record_bulk("recreate_db", operating_system_user(), **counts)


def is_interactive() -> bool:
    """Return whether stdin is a terminal."""
    return sys.stdin.isatty()


def confirm_deletion(counts: dict[str, int]) -> None:
    """Ask for confirmation.

    Args:
        counts: the number of rows of each table.

    Raises:
        ClickException: stdin is not a terminal.
        Abort: the answer is no.
    """
    rows = ", ".join(f"{count} row(s) in {table}" for table, count in counts.items())
    warning = f"{database_name()} contains {rows}, which will be deleted."
    if not is_interactive():
        raise click.ClickException(f"{warning} Add --yes to confirm.")
    click.confirm(f"{warning} Continue?", abort=True)


@click.command(
    "psql",
    cls=DatabaseCommand,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def psql(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Open psql on the database. ARGUMENTS are those of psql."""
    db: SQLAlchemy = current_app.extensions["sqlalchemy"]
    with closing(db.engine.raw_connection()) as connection:
        assert isinstance(connection.driver_connection, PsycopgConnection)
        ctx.exit(open_psql(connection.driver_connection, arguments))


@click.command("wait_for_db", cls=DatabaseCommand)
@click.option("--seconds", default=60, show_default=True, help="The maximum time.")
def wait_for_db(seconds: int) -> None:
    """Wait until the database answers."""
    db: SQLAlchemy = current_app.extensions["sqlalchemy"]
    wait_until_ready(db.engine, seconds)
    click.echo(f"{database_name()} answers.")
