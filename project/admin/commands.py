"""The commands that manage the operators of the admin site."""

import click
from flask import Flask, current_app

from project.admin import operators, passwords
from project.admin.models import ROLES
from project.audit_log import operating_system_user, record
from project.database.commands import DatabaseCommand


def init_app(app: Flask) -> None:
    """Add the commands to the application. The first operator comes before the site."""
    for command in (set_operator, list_operators, remove_operator):
        app.cli.add_command(command)


@click.command("set_operator", cls=DatabaseCommand)
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), help="Required for a new operator.")
def set_operator(username: str, role: str | None) -> None:
    """Add the operator USERNAME, or set a new password and end its sessions.

    A reader can see and export users; an editor can also change them.
    """
    if not operators.VALID_USERNAME.fullmatch(username):
        raise click.ClickException(
            "choose a username of 1 to 64 letters, digits and ._@+-"
        )
    existing = operators.get(username)
    role = role or (existing.role if existing else None)
    if role is None:
        raise click.ClickException(
            f"{username} is a new operator: add --role {' or --role '.join(ROLES)}"
        )
    password = click.prompt(
        "Password", hide_input=True, confirmation_prompt=True, err=True
    )
    try:
        password_hash = passwords.hash_password(password)
    except ValueError as error:
        raise click.ClickException(f"{error}") from None
    operators.save(username, password_hash, role)
    click.echo(f"The operator {username} has the role {role}.")
    if not (current_app.config["ADMIN_REQUIRES_LOGIN"] and current_app.secret_key):
        click.echo(
            "Operators log in under ProductionConfig with SECRET_KEY only.", err=True
        )
    record(
        f"operator {username} set as {role}",
        "set_operator",
        operating_system_user(),
        operator=username,
        role=role,
    )


@click.command("list_operators", cls=DatabaseCommand)
def list_operators() -> None:
    """List the operators and their roles."""
    listed = operators.list_all()
    for operator in listed:
        click.echo(f"{operator.username} {operator.role}")
    if not listed:
        click.echo("There is no operator: add one with `set_operator`.", err=True)


@click.command("remove_operator", cls=DatabaseCommand)
@click.argument("username")
def remove_operator(username: str) -> None:
    """Remove the operator USERNAME and end its sessions."""
    if not operators.remove(username):
        raise click.ClickException(
            f"there is no operator {username}: `list_operators` shows them"
        )
    click.echo(f"{username} was removed.")
    record(
        f"operator {username} removed",
        "remove_operator",
        operating_system_user(),
        operator=username,
    )
