"""The application that gunicorn serves (`manage:app`), and the command line."""

import signal
import sys
from typing import Any

import click
import sqlalchemy as sa
from flask import current_app
from flask.cli import FlaskGroup, ScriptInfo, run_command
from werkzeug.serving import WSGIRequestHandler, is_running_from_reloader

from project import create_app, db
from project.admin.passwords import hash_password as make_password_hash
from project.api.users import queries
from project.api.users.bulk import commands
from project.config import ConfigError
from project.database import migrations
from project.database.availability import explain_unavailable, wait_until_ready
from project.database.engines import redact_url
from project.web.logs import configure_logging

try:
    app = create_app()
except ConfigError as error:
    sys.exit(f"Error: {error}")

configure_logging(app.config["LOG_LEVEL"], app.config["LOG_FORMAT"])


class ServiceGroup(FlaskGroup):
    """The commands of Flask and of this service."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and report an unavailable database in one line."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            explanation = explain_unavailable(error)
            if explanation:
                raise click.ClickException(explanation) from error
            raise


cli = ServiceGroup(
    create_app=lambda: migrations.init_migrate(app, db),
    help="Manage the users service.",
)
# The options that choose an application and an environment file have no use here:
# the application exists already.
cli.params = [p for p in cli.params if p.name not in ("app", "env_file")]


def database_name() -> str:
    """Return the URL of the database for messages, without the password."""
    url = redact_url(current_app.config["SQLALCHEMY_DATABASE_URI"])
    embedded = current_app.config["USES_EMBEDDED_DATABASE"]
    return f"{url} (embedded)" if embedded else url


@cli.command("recreate_db")
@click.option("--yes", is_flag=True, help="Delete existing users without asking.")
def recreate_db(yes: bool) -> None:
    """Drop all tables and create them again."""
    users = queries.count() if sa.inspect(db.engine).has_table("users") else 0
    if users and current_app.config["CONFIRM_RECREATE"] and not yes:
        confirm_deletion(users)
    migrations.recreate(db)
    click.echo(f"Recreated the schema in {database_name()}.")


def is_interactive() -> bool:
    """Return whether stdin is a terminal."""
    return sys.stdin.isatty()


def confirm_deletion(users: int) -> None:
    """Ask for confirmation.

    Raises:
        ClickException: stdin is not a terminal.
        Abort: the answer is no.
    """
    warning = f"{database_name()} contains {users} user(s), which will be deleted."
    if not is_interactive():
        raise click.ClickException(f"{warning} Add --yes to confirm.")
    click.confirm(f"{warning} Continue?", abort=True)


@cli.command("wait_for_db")
@click.option("--seconds", default=60, show_default=True, help="The maximum time.")
def wait_for_db(seconds: int) -> None:
    """Wait until the database answers."""
    wait_until_ready(db.engine, seconds)
    click.echo(f"{database_name()} answers.")


@cli.command("hash_password")
def hash_password() -> None:
    """Ask for a password and print its hash, for ADMIN_PASSWORD."""
    password = click.prompt(
        "Password", hide_input=True, confirmation_prompt=True, err=True
    )
    try:
        click.echo(make_password_hash(password))
    except ValueError as error:
        raise click.ClickException(f"{error}") from None
    click.echo(
        "Put it in single quotes in a shell, which would expand each $.", err=True
    )


def prepare_development_server(url: str) -> None:
    """Upgrade the schema of an embedded database, and print the URLs of the service."""
    if current_app.config["USES_EMBEDDED_DATABASE"]:
        with db.engine.begin() as connection:
            migrations.upgrade(connection)
    body = '{"username": "me", "email": "me@example.com"}'
    click.echo(f" * Database: {database_name()}")
    click.echo(f" * Users: {url}/users")
    click.echo(f" * API documentation: {url}/docs")
    if "admin" in current_app.blueprints:
        click.echo(f" * Admin: {url}/admin/")
    click.echo(" * Next: add two users with `python manage.py seed_db`, or try")
    click.echo(
        f"   curl -i {url}/users -H 'Content-Type: application/json' -d '{body}'"
    )


@click.pass_context
def run(ctx: click.Context, /, host: str, port: int, **options: Any) -> None:
    """Run a development server."""
    # The reloader runs this command again in a child process after each change.
    if not is_running_from_reloader():
        with ctx.ensure_object(ScriptInfo).load_app().app_context():
            prepare_development_server(f"http://{host}:{port}")
    # As PID 1 of a container the process would ignore SIGTERM without a handler.
    # Elsewhere the default handler would leave the embedded server running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # The Server header would contain the versions of Werkzeug and Python.
    WSGIRequestHandler.version_string = (  # type: ignore[method-assign]
        lambda self: "werkzeug"
    )
    ctx.invoke(run_command, host=host, port=port, **options)


for command in (commands.seed_db, commands.export_users, commands.import_users):
    cli.add_command(command)
cli.add_command(
    click.Command("run", params=run_command.params, callback=run, help=run.__doc__)
)

if __name__ == "__main__":
    cli()
