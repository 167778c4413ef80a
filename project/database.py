"""The database's address, its two engines, and what to do when it is away."""

import re
import time

import psycopg2
from psycopg2 import errors, extensions
from sqlalchemy import Engine, event, exc, make_url, text

# The bind whose connections are in AUTOCOMMIT: the API's. The default engine's are
# in transactions: db.session, the command line, the migrations.
AUTOCOMMIT = "autocommit"

SECRETS = ("password", "sslpassword")

# A connection that was idle for longer is asked whether it lives before it is used.
IDLE_SECONDS = 0.5

# What PostgreSQL says, and pgbouncer; neither gives a code to the client.
MISSING_DATABASE = re.compile("does not exist|no such database")

MIGRATE = "run `python manage.py db upgrade` (or recreate_db)"
UNREACHABLE = (
    "check that PostgreSQL runs there, that the database exists and that DATABASE_URL"
    " is right"
)
# What an operator can do about the errors that mean "not now", by the driver's class.
REMEDIES = {
    errors.UndefinedTable: f"the schema is missing: {MIGRATE}",
    errors.DuplicateTable: (
        "the tables were not made by the migrations: save the users with"
        " `python manage.py export_users`, then recreate_db and import_users"
    ),
    errors.UndefinedColumn: f"the schema is out of date: {MIGRATE}",
    errors.UndefinedFunction: f"the schema is out of date: {MIGRATE}",
    errors.InvalidColumnReference: f"the schema is out of date: {MIGRATE}",
    errors.InsufficientPrivilege: "grant the role of DATABASE_URL its rights",
    errors.ReadOnlySqlTransaction: "point DATABASE_URL to the primary",
    errors.LockNotAvailable: "another session holds the table: wait, or end it",
    errors.DiskFull: "free disk space on PostgreSQL's machine",
    extensions.TransactionRollbackError: "others wrote the same rows: try again",
    errors.QueryCanceled: "the statement took longer than statement_timeout allows",
    psycopg2.InterfaceError: UNREACHABLE,
    psycopg2.OperationalError: UNREACHABLE,
}


class NotConfigured(Exception):
    """There is no database to connect to; the message says how to name one."""


def normalise_url(url):
    """Return a PostgreSQL URL with the driver that this service uses.

    Heroku writes `postgres://`, which SQLAlchemy does not know, and SQLAlchemy takes
    `postgresql://` for another driver.

    Args:
        url: the URL, with any of these schemes.

    Raises:
        ValueError: it is not the URL of a PostgreSQL database.
    """
    scheme = r"^(postgres|postgresql|postgresql\+psycopg2)://"
    if not re.match(scheme, url):
        raise ValueError("write it as postgresql://user:password@host:5432/database")
    try:
        parsed = make_url(spread_hosts(re.sub(scheme, "postgresql+psycopg2://", url)))
    except (exc.ArgumentError, ValueError):
        # The original would quote the password.
        raise ValueError(
            "its parts are not understood: percent-encode special characters in the"
            " password, and give the port as a number"
        ) from None
    if not parsed.database:
        raise ValueError("it names no database: add /database at its end")
    return parsed.render_as_string(hide_password=False)


def spread_hosts(url):
    """Return a URL that names several hosts in the form that SQLAlchemy knows.

    libpq writes `//login@one:5432,two:5432/name`: the hosts are tried in turn.
    """
    start, login, hosts, rest = re.match(
        r"([^/]*//)([^/?]*@)?([^/?]*)(.*)", url
    ).groups("")
    if "," not in hosts:
        return url
    each = [host if ":" in host else f"{host}:5432" for host in hosts.split(",")]
    query = "&".join(f"host={host}" for host in each)
    return f"{start}{login}{rest}{'&' if '?' in rest else '?'}{query}"


def describe(url):
    """Return a URL for people: without the driver and the password."""
    shown = make_url(url).set(drivername="postgresql")
    # libpq takes passwords there, too.
    return shown.difference_update_query(SECRETS).render_as_string()


def connect_arguments(settings):
    """Return what every connection is opened with.

    Args:
        settings: a mapping with the `DATABASE_…` time-outs, in seconds.
    """
    milliseconds = {
        "statement_timeout": settings["DATABASE_STATEMENT_TIMEOUT"] * 1000,
        "lock_timeout": settings["DATABASE_LOCK_TIMEOUT"] * 1000,
    }
    options = [f"-c {name}={int(value)}" for name, value in milliseconds.items()]
    return {
        "application_name": "users",
        "connect_timeout": settings["DATABASE_CONNECT_TIMEOUT"],
        "options": " ".join(["-c timezone=UTC", *options]),
    }


def engine_options(settings):
    """Return SQLAlchemy's options for an engine of the service.

    Args:
        settings: a mapping with the `DATABASE_…` time-outs and pool sizes.
    """
    return {
        "pool_size": settings["DATABASE_POOL_SIZE"],
        "max_overflow": 0,
        "pool_timeout": settings["DATABASE_POOL_TIMEOUT"],
        # The connection that was used last is the least likely to be stale.
        "pool_use_lifo": True,
        "pool_events": [(check_idle, "checkout")],
        "connect_args": connect_arguments(settings),
    }


def check_idle(connection, record, proxy):
    """Ask a connection that was idle whether it lives, before it is used.

    How long it was idle is counted from when it was last taken from the pool.

    A round trip for each request would cost as much as a query; one for each idle
    spell costs nothing under load and finds the connections that a restart broke.

    Raises:
        InvalidatePoolError: it is dead; the pool opens another in its place, and
            for each of the others when its turn comes.
    """
    now = time.monotonic()
    last = record.info.get("used", now)
    record.info["used"] = now
    if now - last < IDLE_SECONDS:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg2.Error as error:
        raise exc.InvalidatePoolError() from error


@event.listens_for(Engine, "handle_error")
def note_failover(context):
    """Let go of all connections to a server that no longer takes writes.

    After a fail-over the old primary may come back as a standby, and answer.
    """
    if isinstance(context.original_exception, errors.ReadOnlySqlTransaction):
        context.is_disconnect = True


def let_go(engine, connection, error):
    """Let go of an engine's connections where an error says that they are of no use.

    SQLAlchemy does so by itself where it runs the statement.

    Args:
        engine: the engine.
        connection: its raw connection that failed; the others go with it.
        error: what the driver raised.
    """
    lost = engine.dialect.is_disconnect(error, connection.dbapi_connection, None)
    if lost or isinstance(error, errors.ReadOnlySqlTransaction):
        connection.invalidate(error)
        engine.dispose()


def ping(engine):
    """Ask the database for a sign of life.

    Raises:
        SQLAlchemyError, NotConfigured: there is none; `remedy` says what to do.
    """
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def wait_until_ready(engine, patience):
    """Wait until the database answers.

    Args:
        engine: one of its engines.
        patience: the seconds to wait.

    Raises:
        SQLAlchemyError, NotConfigured: it does not; `remedy` says what to do. At once
            where the server is up and has no such database: waiting makes none.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return ping(engine)
        except exc.OperationalError as error:
            missing = MISSING_DATABASE.search(str(error.orig))
            if missing or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def remedy(error):
    """Return one line about an error that means that the database is not available.

    Args:
        error: any exception.

    Returns:
        What happened and what an operator can do about it, without a password; None
        where the error means anything else.
    """
    if isinstance(error, NotConfigured):
        return f"{error}"
    if isinstance(error, exc.TimeoutError):
        return (
            "the database is not available: every connection of the pool is in use;"
            " raise DATABASE_POOL_SIZE or lower the number of requests at once"
        )
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    for kind, hint in REMEDIES.items():
        if isinstance(cause, kind):
            said = " ".join(str(cause).split("\n")[0].split())
            return f"the database is not available: {said}: {hint}"
    return None
