"""Alembic's environment: migrations run on the application's engine, in turn."""

import click
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, text

from project import db

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
    """Print the migration that has run."""
    action = "upgraded to" if step.is_upgrade else "downgraded from"
    click.echo(f"schema: {action} {step.up_revision_id}")


def run_online(connection: Connection) -> None:
    """Run the migrations in the connection's transaction, which the caller commits."""
    connection.execute(text(PREPARE))
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        on_version_apply=print_step,
    )
    context.run_migrations()


def run_offline() -> None:
    """Print the migrations as SQL (`--sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=db.metadata)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
elif "connection" in context.config.attributes:
    run_online(context.config.attributes["connection"])
else:
    with db.engine.begin() as connection:
        run_online(connection)
