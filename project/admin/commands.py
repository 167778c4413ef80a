"""The command that creates the login of the admin site."""

import click
from flask import Flask

from project.admin import passwords


def init_app(app: Flask) -> None:
    """Add the command to the application. Creating a login comes before enabling it."""
    app.cli.add_command(hash_password)


@click.command("hash_password")
def hash_password() -> None:
    """Ask for a password and print its hash, for ADMIN_PASSWORD."""
    password = click.prompt(
        "Password", hide_input=True, confirmation_prompt=True, err=True
    )
    try:
        click.echo(passwords.hash_password(password))
    except ValueError as error:
        raise click.ClickException(f"{error}") from None
    click.echo(
        "Put it in single quotes in a shell, which would expand each $.", err=True
    )
