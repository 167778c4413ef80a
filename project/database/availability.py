"""Database errors that mean "unavailable", and what an operator can do about them."""

import re
import time

import psycopg2
from psycopg2 import errors, extensions
from sqlalchemy import Engine, exc, text

RETRY_SECONDS = 0.2

# How PostgreSQL and pgbouncer report a database that does not exist. The client
# receives no error code for it.
MISSING_DATABASE = re.compile("does not exist|no such database")

MIGRATE = "run `python manage.py db upgrade`"
UNREACHABLE = (
    "check that PostgreSQL is running, that the database exists and that DATABASE_URL"
    " is correct"
)
# The first class that matches decides, so subclasses come before OperationalError.
HINTS: dict[type[Exception], str] = {
    errors.UndefinedTable: (
        f"the schema is missing: {MIGRATE} (after db.drop_all(), first `python"
        " manage.py db stamp base`)"
    ),
    errors.DuplicateTable: (
        "the migrations did not create it. If db.create_all() did, run `python"
        " manage.py db stamp head` in the version of the service that called it, then"
        " try again; if it is another application's, point DATABASE_URL to another"
        " database"
    ),
    errors.UndefinedColumn: (
        f"the schema is out of date: {MIGRATE} (after a change of the models, first"
        " `python manage.py db migrate`)"
    ),
    errors.UndefinedFunction: f"the schema is out of date: {MIGRATE}",
    errors.InvalidColumnReference: f"the schema is out of date: {MIGRATE}",
    errors.InsufficientPrivilege: "grant the missing privileges to the database role",
    errors.ReadOnlySqlTransaction: "point DATABASE_URL to the primary",
    errors.LockNotAvailable: (
        "another session holds a lock on the table: wait for it, or end the session"
    ),
    errors.DiskFull: "free disk space on the database server",
    extensions.TransactionRollbackError: "concurrent writes conflicted: try again",
    errors.QueryCanceled: "the statement exceeded DATABASE_STATEMENT_TIMEOUT",
    psycopg2.InterfaceError: UNREACHABLE,
    psycopg2.OperationalError: UNREACHABLE,
}


class DatabaseNotConfigured(Exception):
    """There is no database to connect to; the message says how to configure one."""


def explain_unavailable(error: BaseException) -> str | None:
    """Explain an error that means that the database is unavailable.

    Returns:
        One line with the cause and a hint for the operator, without a password; None
        for every other error.
    """
    if isinstance(error, DatabaseNotConfigured):
        return str(error)
    if isinstance(error, exc.TimeoutError):
        return (
            "the database is not available: other requests use the connections of the"
            " pool: look for slow statements and locks, raise DATABASE_POOL_SIZE, or"
            " reduce the number of concurrent requests"
        )
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    for error_class, hint in HINTS.items():
        if isinstance(cause, error_class):
            summary = " ".join(str(cause).split("\n")[0].split())
            return f"the database is not available: {summary}: {hint}"
    return None


def ping(engine: Engine) -> None:
    """Run `SELECT 1`.

    Raises:
        SQLAlchemyError, DatabaseNotConfigured: see `explain_unavailable`.
    """
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def wait_until_ready(engine: Engine, timeout: float) -> None:
    """Wait until the database answers.

    Args:
        timeout: in seconds.

    Raises:
        SQLAlchemyError, DatabaseNotConfigured: the time is up, or the server answers
            that the database does not exist, which waiting cannot change.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return ping(engine)
        except exc.OperationalError as error:
            missing = MISSING_DATABASE.search(str(error.orig))
            if missing or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_SECONDS)
