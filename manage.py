"""The command line, and the application that gunicorn serves (`manage:app`)."""

import signal
import sys

import click
from flask import current_app
from flask.cli import FlaskGroup, ScriptInfo, run_command
from werkzeug.serving import WSGIRequestHandler, is_running_from_reloader

from project import create_app, database, db, observability, passwords, schema
from project.api.users import commands
from project.config import ConfigError

try:
    app = create_app()
except ConfigError as error:
    sys.exit(f"Error: {error}")

observability.configure_logging(app.config)


class Commands(FlaskGroup):
    """Flask's commands and ours; a database that is away ends each in one line."""

    def invoke(self, ctx):
        """Run a command.

        Raises:
            ClickException: the database is not available; the message says what to
                do about it.
        """
        try:
            return super().invoke(ctx)
        except Exception as error:
            remedy = database.remedy(error)
            if remedy:
                raise click.ClickException(remedy) from error
            raise


cli = Commands(
    create_app=lambda: schema.with_commands(app), help="Manage the users service."
)
# These would choose the application and its environment, which are there already.
cli.params = [p for p in cli.params if p.name not in ("app", "env_file")]


def describe_database():
    """Return the database's address for people, without the password."""
    url = database.describe(current_app.config["SQLALCHEMY_DATABASE_URI"])
    return f"{url} (embedded)" if current_app.config["EMBEDDED"] else url


@cli.command("recreate_db")
@click.option("--yes", is_flag=True, help="Destroy existing users without asking.")
def recreate_db(yes):
    """Drop the schema and build it anew."""
    users = schema.count_users()
    if users and current_app.config["GUARD_DATA"] and not yes:
        confirm_loss(users)
    schema.recreate()
    click.echo(f"Recreated the schema in {describe_database()}.")


def has_terminal():
    """Return whether somebody can be asked."""
    return sys.stdin.isatty()


def confirm_loss(users):
    """Ask whether the users may be destroyed.

    Args:
        users: how many there are.

    Raises:
        ClickException: nobody is there to ask.
        Abort: the answer is no.
    """
    loss = f"{describe_database()} holds {users} user(s), which this destroys."
    if not has_terminal():
        raise click.ClickException(f"{loss} To do it all the same, add --yes.")
    click.confirm(f"{loss} Go on?", abort=True)


@cli.command("wait_for_db")
@click.option("--seconds", default=60, show_default=True, help="How long at most.")
def wait_for_db(seconds):
    """Wait until the database answers."""
    database.wait_until_ready(db.engine, seconds)
    click.echo(f"{describe_database()} answers.")


@cli.command("hash_password")
def hash_password():
    """Ask for a password and print its hash, for ADMIN_PASSWORD."""
    password = click.prompt(
        "Password", hide_input=True, confirmation_prompt=True, err=True
    )
    try:
        click.echo(passwords.make_hash(password))
    except ValueError as error:
        raise click.ClickException(f"{error}") from None
    click.echo("Quote it where a shell reads it: it would expand each $.", err=True)


def prepare(url):
    """Bring an embedded server's schema up to date, and tell what to do next.

    Args:
        url: where the service will be.
    """
    if current_app.config["EMBEDDED"]:
        with db.engine.begin() as connection:
            schema.upgrade(connection)
    body = '{"username": "me", "email": "me@example.com"}'
    click.echo(f" * Database: {describe_database()}")
    click.echo(f" * Users: {url}/users")
    click.echo(f" * To read about the API, and to try it: {url}/docs")
    if "admin" in current_app.blueprints:
        click.echo(f" * Admin: {url}/admin/")
    click.echo(" * Next: add two users with `python manage.py seed_db`, or try")
    click.echo(
        f"   curl -i {url}/users -H 'Content-Type: application/json' -d '{body}'"
    )


@click.pass_context
def run(ctx, host, port, **options):
    """Run a development server, on a schema that is up to date."""
    # The reloader starts this command again in a child, on each change of the code.
    if not is_running_from_reloader():
        with ctx.ensure_object(ScriptInfo).load_app().app_context():
            prepare(f"http://{host}:{port}")
    # PID 1 of a container ignores a signal that has no handler, and elsewhere the
    # default one would leave the embedded server running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # It would tell its version and Python's in each answer.
    WSGIRequestHandler.version_string = lambda handler: "werkzeug"
    ctx.invoke(run_command, host=host, port=port, **options)


for command in (commands.seed_db, commands.export_users, commands.import_users):
    cli.add_command(command)
cli.add_command(
    click.Command("run", params=run_command.params, callback=run, help=run.__doc__)
)

if __name__ == "__main__":
    cli()
