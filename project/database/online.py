"""What Alembic lacks for migrations that change a table while the service writes to it.

docs/operations.md describes the procedure. Under `recreate`, which runs all migrations
in one transaction, these functions do not commit: nobody else sees the tables.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from psycopg2.errors import LockNotAvailable

from project.database.schema import SchemaError

# CREATE INDEX CONCURRENTLY waits for all older transactions. Writes do not wait for it.
WAIT_FOR_TRANSACTIONS = "SET statement_timeout = 0; SET lock_timeout = '5min'"
RESET_TIMEOUTS = "RESET statement_timeout; RESET lock_timeout"


def is_in_callers_transaction() -> bool:
    """Return whether all migrations run in one transaction."""
    return context.config.attributes.get("connection") is not None


def commit() -> None:
    """Commit, so that locks are released, and begin the next transaction."""
    if not is_in_callers_transaction():
        # The block commits before it begins, and begins a transaction when it ends.
        with op.get_context().autocommit_block():
            pass


def create_index(
    name: str, table: str, columns: list[str | sa.TextClause], **options: Any
) -> None:
    """Create an index while the table is written to.

    An index that a failed run has left invalid is replaced.

    Args:
        options: those of `op.create_index`.

    Raises:
        SchemaError: an older transaction has not ended in time.
    """
    if is_in_callers_transaction():
        op.create_index(name, table, columns, **options)
        return
    with op.get_context().autocommit_block():
        # Without a transaction, SET LOCAL has no effect.
        op.execute(WAIT_FOR_TRANSACTIONS)
        try:
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name, table, columns, postgresql_concurrently=True, **options
            )
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise SchemaError(
                f"the index {name} was not created, because a transaction that is older"
                " did not end. Wait for it, or end it (`SELECT pid, xact_start, query"
                " FROM pg_stat_activity ORDER BY xact_start` lists all), then run this"
                " command again"
            ) from error
        finally:
            op.execute(RESET_TIMEOUTS)


def backfill(
    table: str, assignment: str, condition: str, batch_size: int = 1000
) -> None:
    """Update the rows that meet a condition, and commit after each batch of them.

    A write to a row waits for one batch at most. If the migration is interrupted, its
    next run continues.

    Args:
        table: has a primary key `id` of positive numbers.
        assignment: SQL after SET; an updated row must not meet the condition.
    """
    if context.is_offline_mode():
        op.execute(f"UPDATE {table} SET {assignment} WHERE {condition}")
        return
    update = sa.text(f"""
        WITH batch AS (
            SELECT id FROM {table} WHERE id > :last_id AND ({condition})
            ORDER BY id LIMIT :batch_size FOR NO KEY UPDATE
        )
        UPDATE {table} SET {assignment} FROM batch WHERE {table}.id = batch.id
        RETURNING {table}.id
        """)
    last_id = 0
    while True:
        parameters = {"last_id": last_id, "batch_size": batch_size}
        ids = op.get_bind().scalars(update, parameters).all()
        commit()
        if not ids and not last_id:
            return
        # After the last batch search from the start, for rows that became visible late.
        last_id = max(ids, default=0)


def has_valid_constraint(table: str, name: str) -> bool:
    """Return whether a table has a constraint that is validated."""
    if context.is_offline_mode():
        return False
    query = sa.text("""
        SELECT convalidated FROM pg_constraint
        WHERE conname = :name AND conrelid = CAST(:table AS regclass)
        """)
    return bool(op.get_bind().scalar(query, {"name": name, "table": table}))


def set_not_null(table: str, column: str) -> None:
    """Make a column required, without a scan of the table that blocks writes.

    PostgreSQL validates a CHECK constraint under a lock that permits writes. With a
    valid one, SET NOT NULL does not scan the table.
    """
    constraint = f"{table}_{column}_is_set"
    # A run that got no lock has left it. It is not validated again.
    if not has_valid_constraint(table, constraint):
        op.drop_constraint(constraint, table, if_exists=True)
        op.create_check_constraint(
            constraint, table, sa.column(column).is_not(None), postgresql_not_valid=True
        )
        commit()
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")
        commit()
    op.alter_column(table, column, nullable=False)
    op.drop_constraint(constraint, table)
