"""Waiting for PostgreSQL without blocking the other greenlets of a worker."""

from functools import partial

from gevent.socket import wait_read, wait_write
from psycopg2 import OperationalError, extensions
from psycopg2.extensions import connection as PsycopgConnection

from project.config import Settings

# Added to the statement timeout, so that normally the server cancels the statement.
GRACE_SECONDS = 1


def install_wait_callback(settings: Settings) -> None:
    """Make every psycopg2 connection of this process cooperative."""
    extensions.set_wait_callback(
        partial(
            wait_for_postgres,
            connect_timeout=settings.DATABASE_CONNECT_TIMEOUT,
            statement_timeout=settings.DATABASE_STATEMENT_TIMEOUT + GRACE_SECONDS,
        )
    )


def wait_for_postgres(
    connection: PsycopgConnection, *, connect_timeout: int, statement_timeout: int
) -> None:
    """Switch to other greenlets until the connection has finished its operation.

    psycopg2 calls this instead of blocking. psycogreen does the same without a
    timeout, so a frozen server would block its requests forever.

    Args:
        connect_timeout, statement_timeout: in seconds.

    Raises:
        OperationalError: PostgreSQL has not answered in time.
    """
    connecting = connection.status == extensions.STATUS_SETUP
    timeout = connect_timeout if connecting else statement_timeout
    wait = {extensions.POLL_READ: wait_read, extensions.POLL_WRITE: wait_write}
    expired = OperationalError(f"PostgreSQL has not answered for {timeout} seconds")
    while (state := connection.poll()) != extensions.POLL_OK:
        wait[state](connection.fileno(), timeout=timeout, timeout_exc=expired)
