"""Alembic's environment: migrations run on the application's engine, in turn."""

from typing import Any, Literal

import click
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy import Connection, text

from project import db
from project.database import migrations
from project.database.commands import explain_errors
from project.database.schema import SchemaError

# The key of the advisory lock. Concurrent upgrades wait for each other, and the second
# one finds the schema up to date. No other code uses this number.
MIGRATION_LOCK_ID = 7_240_183
# An upgrade waits long for another upgrade, but not for a table: the requests that use
# the table would queue behind it. Building an index may take any time.
PREPARE = f"""
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '5min';
    SELECT pg_advisory_xact_lock({MIGRATION_LOCK_ID});
    SET LOCAL lock_timeout = '5s'
"""


def print_step(
    ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object
) -> None:
    """Print the migration that has run, or that `db stamp` has recorded."""
    if step.is_stamp:
        recorded = ", ".join(step.destination_revision_ids) or "base"
        click.echo(f"schema: stamped as {recorded}")
    else:
        action = "upgraded to" if step.is_upgrade else "downgraded from"
        click.echo(f"schema: {action} {step.up_revision_id}")


def drop_empty_migration(
    ctx: MigrationContext, revision: object, directives: list[MigrationScript]
) -> None:
    """Let `db migrate` write no migration if the models have not changed."""
    [script] = directives
    # `db check` also ends up here, and reads the directives.
    autogenerate = getattr(context.config.cmd_opts, "autogenerate", False)
    if autogenerate and script.upgrade_ops and script.upgrade_ops.is_empty():
        directives.clear()
        click.echo("schema: nothing changed, no migration is needed")


def import_custom_type(kind: str, item: Any, ctx: AutogenContext) -> Literal[False]:
    """Let a migration import the type of a column that SQLAlchemy does not define."""
    module = type(item).__module__
    if kind == "type" and not module.startswith("sqlalchemy."):
        ctx.imports.add(f"import {module}")
    # The default rendering prefixes the name with the module's.
    return False


def run_online(connection: Connection) -> None:
    """Run the migrations in the connection's transaction, which the caller commits.

    Raises:
        SchemaError: the database or the migrations do not permit the command.
    """
    migrations.check_numbers()
    connection.execute(text(PREPARE))
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        compare_server_default=True,
        on_version_apply=print_step,
        process_revision_directives=drop_empty_migration,
        render_item=import_custom_type,
    )
    try:
        context.run_migrations()
    except CommandError as error:
        migrations.check_revision(connection)
        raise SchemaError(migrations.explain_command_error(error)) from error


def run_offline() -> None:
    """Print the migrations as SQL (`--sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=db.metadata)
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Run the migrations in the caller's transaction, or in one of their own."""
    if context.is_offline_mode():
        run_offline()
    elif "connection" in context.config.attributes:
        run_online(context.config.attributes["connection"])
    else:
        with db.engine.begin() as connection:
            run_online(connection)


with explain_errors():
    run()
