"""What a command line adds to the application. A WSGI server does not load it."""

import signal
import socket
import sys

import click
from flask import Flask, current_app
from flask.cli import run_command
from flask_sqlalchemy import SQLAlchemy
from werkzeug.serving import is_running_from_reloader, select_address_family

from project.database.commands import database_name, explain_errors
from project.database.migrations import init_migrate, upgrade
from project.web.logs import configure_logging


def init_app(app: Flask, db: SQLAlchemy) -> None:
    """Configure logging, add the `db` commands, and prepare a development server."""
    configure_logging(app.config["LOG_LEVEL"], app.config["LOG_FORMAT"])
    init_migrate(app, db)
    context = click.get_current_context()
    if context.command is run_command:
        # As PID 1 of a container the process would ignore SIGTERM without a handler.
        # Elsewhere the default handler would leave the embedded server running.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(0))
        # The reloader runs the command again in a child process after each change.
        if not is_running_from_reloader():
            prepare_development_server(app, db, **context.params)


def prepare_development_server(
    app: Flask, db: SQLAlchemy, host: str, port: int, **options: object
) -> None:
    """Upgrade the schema of an embedded database, and print the service's URLs.

    Args:
        options: the other options of `flask run`.

    Raises:
        ClickException: the port or the database is not available.
    """
    check_port(host, port)
    with app.app_context():
        if app.config["USES_EMBEDDED_DATABASE"]:
            with explain_errors():
                upgrade()
        scheme = "https" if options.get("cert") else "http"
        # All addresses of this machine, of which DevelopmentConfig accepts this name.
        shown = "localhost" if host in ("0.0.0.0", "::") else host
        print_urls(f"{scheme}://{shown}:{port}")


def check_port(host: str, port: int) -> None:
    """Check that a server can listen on a port.

    Werkzeug's own message does not name the option, and comes after the database has
    been started.
    """
    family = select_address_family(host, port)
    if family == socket.AF_UNIX:
        return
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}:{port} ({error.strerror}): choose another"
                " address with --host, or another port with --port or PORT, or stop the"
                " program that uses the port"
            ) from error


def print_urls(url: str) -> None:
    """Print where the development server and its database are."""
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
