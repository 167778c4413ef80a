"""Alembic's environment: migrations run on the application's engine, in turn."""

import time
from typing import Any, Literal

import click
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from project import db
from project.database import migrations
from project.database.commands import explain_errors
from project.database.schema import SchemaError

# The key of the advisory lock. Concurrent upgrades wait for each other, and the second
# one finds the schema up to date. No other code uses this number.
MIGRATION_LOCK_ID = 7_240_183
# Seconds that an upgrade waits for another one, and between two attempts.
MAX_WAIT = 300
POLL_SECONDS = 0.2
# The transaction that holds the lock, or waits for it, is idle while migrations run. It
# has no snapshot, so that CREATE INDEX CONCURRENTLY does not wait for it. A statement
# that waits would have one, so an upgrade tries again instead. If the connection is
# lost, the lock is, too, and the command fails when the migrations have ended. Until
# then, the second of two upgrades that apply the same migration fails when it writes
# to `alembic_version`.
TRY_LOCK = f"""
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL transaction_timeout = 0;
    SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK_ID})
"""
# Building an index may take any time. Waiting for a table may not, because the requests
# that use the table queue behind the migration.
SET_TIMEOUTS = f"""
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '{migrations.LOCK_TIMEOUT}s'
"""


class StepPrinter:
    """Prints the migrations that have run, or what `db stamp` has recorded."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()

    def __call__(
        self,
        ctx: MigrationContext,
        step: MigrationInfo,
        heads: object,
        run_args: object,
    ) -> None:
        """Print a step at its end."""
        if step.is_stamp:
            recorded = ", ".join(step.destination_revision_ids) or "base"
            click.echo(f"schema: stamped as {recorded}")
            return
        ended_at = time.monotonic()
        action = "upgraded to" if step.is_upgrade else "downgraded from"
        seconds = ended_at - self.started_at
        click.echo(f"schema: {action} {step.up_revision_id} in {seconds:.1f} s")
        self.started_at = ended_at


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


def acquire_lock(connection: Connection) -> None:
    """Let the connection's transaction hold the lock, when no other one does.

    Raises:
        SchemaError: another upgrade takes longer than MAX_WAIT.
    """
    deadline = time.monotonic() + MAX_WAIT
    while not connection.exec_driver_sql(TRY_LOCK).scalar_one():
        if time.monotonic() > deadline:
            raise SchemaError(
                f"another upgrade has not ended after {MAX_WAIT} seconds: wait for it,"
                " then run this command again"
            )
        time.sleep(POLL_SECONDS)


def set_timeouts(connection: Connection) -> None:
    """Set the timeouts of a transaction that has begun."""
    # SQLAlchemy also calls this for the autocommit blocks of Alembic, which have none.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        # The driver's cursor: SQLAlchemy's `execute` would begin the transaction again.
        connection.connection.cursor().execute(SET_TIMEOUTS)


def run_with_retries(connection: Connection, attempts: int) -> None:
    """Run the migrations, and try again if one does not get a lock.

    The migrations before it are committed, so that the next attempt continues with it.

    Raises:
        SchemaError: no attempt got the lock.
    """
    for attempts_left in reversed(range(attempts)):
        try:
            return context.run_migrations()
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            if not attempts_left:
                raise SchemaError(
                    "a migration did not get its lock on a table. Wait for the"
                    " transactions that use the table, or end them (`SELECT pid,"
                    " xact_start, query FROM pg_stat_activity ORDER BY xact_start`"
                    " lists all), then run this command again, which continues with"
                    " that migration"
                ) from error
        connection.rollback()
        click.echo(
            "schema: another transaction uses the table, trying again in"
            f" {migrations.RETRY_SECONDS} seconds"
        )
        time.sleep(migrations.RETRY_SECONDS)


def run_online(connection: Connection, attempts: int) -> None:
    """Run the migrations.

    Args:
        connection: if it is in a transaction, all migrations run in that, and the
            caller commits it; otherwise each runs in a transaction of its own.

    Raises:
        SchemaError: the database or the migrations do not permit the command.
    """
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=StepPrinter(),
        process_revision_directives=drop_empty_migration,
        render_item=import_custom_type,
    )
    try:
        run_with_retries(connection, attempts)
    except CommandError as error:
        migrations.check_revision(connection)
        raise SchemaError(migrations.explain_command_error(error)) from error


def run_in_transaction(connection: Connection) -> None:
    """Run all migrations in the caller's transaction."""
    acquire_lock(connection)
    set_timeouts(connection)
    # After an error, the transaction can only be rolled back.
    run_online(connection, attempts=1)


def run_in_own_transactions() -> None:
    """Run each migration in a transaction of its own."""
    with db.engine.connect() as lock:
        # The pool may be limited to one connection.
        lock.detach()
        acquire_lock(lock)
        with db.engine.connect() as connection:
            event.listen(connection, "begin", set_timeouts)
            run_online(connection, migrations.ATTEMPTS)


def run_offline() -> None:
    """Print the migrations as SQL (`--sql`)."""
    context.configure(
        dialect_name="postgresql",
        # In the driver's style, each `%` would be doubled.
        dialect_opts={"paramstyle": "named"},
        target_metadata=db.metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Run or print the migrations.

    Raises:
        SchemaError: the database or the migrations do not permit the command.
    """
    migrations.check_numbers()
    if context.is_offline_mode():
        run_offline()
    elif connection := context.config.attributes.get("connection"):
        run_in_transaction(connection)
    else:
        run_in_own_transactions()


with explain_errors():
    run()
