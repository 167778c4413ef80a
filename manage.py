"""The application for a WSGI server (`manage:app`), and the command line."""

import click
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo


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


cli = ServiceGroup(create_app=load_app, help="Manage the users service.")

if __name__ == "__main__":
    cli()
else:
    app = load_app()
