"""How Alembic reaches the database: on the application's engine, one at a time."""

import click
from alembic import context
from sqlalchemy import text

from project import db

# Two deployments that upgrade at once take turns, and the second finds nothing left
# to do. Any number will do that nothing else locks.
TURN = 7_240_183
# For the turn we wait; for a table that the service uses we soon give up, so that
# its requests do not queue behind us. Building an index may take its time.
PREPARE = f"""
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '5min';
    SELECT pg_advisory_xact_lock({TURN});
    SET LOCAL lock_timeout = '5s'
"""


def say(step, **_):
    """Tell which migration ran."""
    word = "upgraded to" if step.is_upgrade else "downgraded from"
    click.echo(f"schema: {word} {step.up_revision_id}")


def run(connection):
    """Run the migrations in the connection's transaction.

    Args:
        connection: a connection with a transaction that the caller ends.
    """
    connection.execute(text(PREPARE))
    context.configure(
        connection=connection, target_metadata=db.metadata, on_version_apply=say
    )
    context.run_migrations()


def write():
    """Print the migrations as SQL instead of running them (`--sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=db.metadata)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write()
elif "connection" in context.config.attributes:
    run(context.config.attributes["connection"])
else:
    with db.engine.begin() as connection:
        run(connection)
