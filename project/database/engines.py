"""Database URLs, and the two SQLAlchemy engines with their connection pools.

The default engine runs transactions: `db.session`, the command line, the migrations.
The bind `AUTOCOMMIT` runs the API's single statements without BEGIN and COMMIT, which
saves two round trips per request.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypedDict, cast

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as PsycopgConnection
from sqlalchemy import Engine, event, exc, make_url
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.pool import (
    ConnectionPoolEntry,
    PoolProxiedConnection,
)

from project.config import DRIVER, ConfigError, Settings
from project.database import embedded
from project.database.availability import DatabaseNotConfigured
from project.database.multihost import MultihostConnector
from project.database.pool import FifoPool

AUTOCOMMIT = "autocommit"
# The key of `standbys.StandbyRouter` in `app.extensions`, if DATABASE_READ_URL is set.
STANDBYS = "standbys"

# libpq also accepts passwords in the query string of a URL.
PASSWORD_PARAMETERS = ("password", "sslpassword")

# Connections that have been idle for longer are pinged before they are reused.
IDLE_SECONDS = 0.5


class SqlalchemySettings(TypedDict):
    """The configuration that Flask-SQLAlchemy reads, and where the database is."""

    SQLALCHEMY_DATABASE_URI: str
    SQLALCHEMY_ENGINE_OPTIONS: dict[str, Any]
    SQLALCHEMY_BINDS: dict[str, dict[str, Any]]
    USES_EMBEDDED_DATABASE: bool


def redact_url(url: str) -> str:
    """Return a URL for display: without passwords and the driver's name."""
    displayed = make_url(url).set(drivername="postgresql")
    return displayed.difference_update_query(PASSWORD_PARAMETERS).render_as_string()


def connect_args(settings: Settings) -> dict[str, Any]:
    """Return psycopg2's arguments for every connection."""
    milliseconds = {
        "statement_timeout": settings.DATABASE_STATEMENT_TIMEOUT * 1000,
        "lock_timeout": settings.DATABASE_LOCK_TIMEOUT * 1000,
    }
    options = [f"-c {name}={value}" for name, value in milliseconds.items()]
    return {
        "application_name": "users",
        "connect_timeout": settings.DATABASE_CONNECT_TIMEOUT,
        "options": " ".join(["-c timezone=UTC", *options]),
    }


def engine_options(settings: Settings) -> dict[str, Any]:
    """Return SQLAlchemy's arguments for both engines."""
    return {
        "poolclass": FifoPool,
        "pool_size": settings.DATABASE_POOL_SIZE,
        "pool_timeout": settings.DATABASE_POOL_TIMEOUT,
        "pool_events": [(ping_if_idle, "checkout")],
        "connect_args": connect_args(settings),
        # The message of an exception, which may be logged, would contain them.
        "hide_parameters": True,
    }


def driver_arguments(url: str) -> dict[str, Any]:
    """Return psycopg2's arguments for a URL; several hosts are separated by commas."""
    dialect = PGDialect_psycopg2()  # type: ignore[no-untyped-call]
    arguments: dict[str, Any]
    _, arguments = dialect.create_connect_args(  # type: ignore[no-untyped-call]
        make_url(url)
    )
    return arguments


def sqlalchemy_settings(settings: Settings, folder: Path) -> SqlalchemySettings:
    """Choose the database, and return Flask-SQLAlchemy's configuration for it.

    Args:
        folder: where an embedded server stores its data.

    Raises:
        ConfigError: the tests would delete the contents of a database that is not a
            test database.
    """
    variable = "DATABASE_TEST_URL" if settings.TESTING else "DATABASE_URL"
    configured = settings.SQLALCHEMY_DATABASE_URI or getattr(settings, variable)
    options = engine_options(settings)
    if configured:
        url = configured
        arguments = driver_arguments(url) | options["connect_args"]
        if "," in arguments.get("host", ""):
            options["creator"] = MultihostConnector(arguments)
    elif name := settings.EMBEDDED_DATABASE:
        url = f"{DRIVER}:///{name}"
        options["creator"] = partial(
            connect_to_embedded, folder, name, options["connect_args"]
        )
        options["pool_events"].append((check_embedded(folder), "checkout"))
    else:
        url = f"{DRIVER}://"
        options["creator"] = partial(raise_not_configured, variable)
    if settings.TESTING and not (make_url(url).database or "").endswith("_test"):
        raise ConfigError(
            f"the tests delete the contents of their database: {variable} must name a"
            f" database that ends in _test, not {redact_url(url)}"
        )
    autocommit = {
        **options,
        "url": url,
        "isolation_level": "AUTOCOMMIT",
        # There is never a transaction to roll back.
        "pool_reset_on_return": None,
    }
    return {
        "SQLALCHEMY_DATABASE_URI": url,
        "SQLALCHEMY_ENGINE_OPTIONS": options,
        "SQLALCHEMY_BINDS": {AUTOCOMMIT: autocommit},
        "USES_EMBEDDED_DATABASE": not configured and bool(settings.EMBEDDED_DATABASE),
    }


def connect_to_embedded(
    folder: Path, database: str, arguments: dict[str, Any]
) -> PsycopgConnection:
    """Open a connection to the embedded server, and start the server if needed."""
    embedded.raise_if_deleted(folder)
    connection: PsycopgConnection = psycopg2.connect(
        embedded.start(folder, database), **arguments
    )
    return connection


def check_embedded(folder: Path) -> Callable[..., None]:
    """Return a pool event that raises DatabaseNotConfigured if the data was deleted.

    The server still answers on open connections, with errors that do not name the
    cause.
    """

    def check(*event_arguments: object) -> None:
        embedded.raise_if_deleted(folder)

    return check


def raise_not_configured(variable: str) -> NoReturn:
    """Raise an exception instead of connecting.

    The application can therefore start without a database.
    """
    raise DatabaseNotConfigured(
        "no database is configured: set"
        f" {variable} to postgresql://user:password@host/name"
    )


def ping_if_idle(
    connection: PsycopgConnection,
    entry: ConnectionPoolEntry,
    proxy: PoolProxiedConnection,
) -> None:
    """Ping a connection that has been idle longer than IDLE_SECONDS before reusing it.

    `pool_pre_ping` would add a round trip to each request. Under load this adds none,
    and it still detects the connections that a restart of the server has closed. The
    idle time counts from the last checkout.

    Raises:
        InvalidatePoolError: the connection is dead; the pool replaces it, and every
            older connection at its next checkout.
    """
    now = time.monotonic()
    last_checkout = entry.info.get("last_checkout", now)
    entry.info["last_checkout"] = now
    if now - last_checkout < IDLE_SECONDS:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg2.Error as error:
        raise exc.InvalidatePoolError() from error


@event.listens_for(Engine, "handle_error")
def treat_read_only_as_disconnect(context: ExceptionContext) -> None:
    """Invalidate the pool after a failover, when the old primary is read-only."""
    if isinstance(context.original_exception, errors.ReadOnlySqlTransaction):
        context.is_disconnect = True


def discard_dead_connections(
    engine: Engine, connection: PoolProxiedConnection, error: psycopg2.Error
) -> None:
    """Discard connections if an error shows that they are unusable.

    SQLAlchemy does this for statements that it executes itself. Statements that run
    on the driver's cursor need this call.
    """
    dead = engine.dialect.is_disconnect(
        error, connection.dbapi_connection, None  # type: ignore[arg-type]
    )
    if dead or isinstance(error, errors.ReadOnlySqlTransaction):
        cast(FifoPool, engine.pool).discard(connection, error)
