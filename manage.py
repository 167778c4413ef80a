"""The application for a WSGI server (`manage:app`), and the command line."""

import platform
import sys
from importlib import metadata
from pathlib import Path

import click
from dotenv import load_dotenv
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo
from flask.helpers import get_load_dotenv


class ServiceGroup(FlaskGroup):
    """The commands of Flask, its extensions and this service."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands.

        Raises:
            ConfigError: a setting is invalid. Flask would print a traceback.
        """
        ctx.ensure_object(ScriptInfo).load_app()
        return super().list_commands(ctx)


def load_app() -> Flask:
    """Create the application."""
    # Imported here, so that the development server survives a syntax error.
    from project import create_app

    return create_app()


def print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print the version of the service, and exit."""
    if value and not ctx.resilient_parsing:
        from project import __version__

        python, flask = platform.python_version(), metadata.version("flask")
        click.echo(f"users {__version__} (Python {python}, Flask {flask})")
        ctx.exit()


cli = ServiceGroup(
    create_app=load_app,
    help="Manage the users service.",
    add_version_option=False,
    params=[
        click.Option(
            ["--version"],
            help="Show the version and exit.",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=print_version,
        )
    ],
)

if __name__ == "__main__":
    # .flaskenv refers to PORT, and Flask reads .env after it.
    if get_load_dotenv():
        try:
            load_dotenv(Path(__file__).parent / ".env")
        except (OSError, UnicodeDecodeError) as error:
            sys.exit(f"Error: .env cannot be read ({error}): correct it")
    cli()
else:
    app = load_app()
