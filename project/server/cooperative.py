"""Waiting for PostgreSQL without blocking the other greenlets of a worker."""

from typing import Any
from weakref import WeakKeyDictionary

import gevent
from gevent.socket import wait, wait_read, wait_write
from psycopg2 import OperationalError, extensions
from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_SETUP
from psycopg2.extensions import connection as PsycopgConnection

from project.config import Settings

# Added to the statement timeout, so that normally the server cancels the statement.
GRACE_SECONDS = 1


def install_wait_callback(settings: Settings) -> None:
    """Make every psycopg2 connection of this process cooperative."""
    extensions.set_wait_callback(WaitCallback(settings))


class WaitCallback:
    """Switches to other greenlets until a connection has finished its operation.

    psycopg2 calls it instead of blocking. psycogreen does the same without a timeout,
    so a frozen server would block its requests forever.

    Attributes:
        watchers: of the event loop, for the responses to each connection. Creating one
            for each response would take longer.
    """

    def __init__(self, settings: Settings) -> None:
        self.connect_timeout = settings.DATABASE_CONNECT_TIMEOUT
        self.statement_timeout = settings.DATABASE_STATEMENT_TIMEOUT + GRACE_SECONDS
        self.watchers: WeakKeyDictionary[PsycopgConnection, Any] = WeakKeyDictionary()

    def __call__(self, connection: PsycopgConnection) -> None:
        """Wait until the current operation of a connection has finished.

        Raises:
            OperationalError: PostgreSQL has not answered in time.
        """
        if connection.status == STATUS_SETUP:
            self.wait_for_connection(connection)
            return
        expired = timeout_error(self.statement_timeout)
        while (state := connection.poll()) != POLL_OK:
            if state == POLL_READ:
                wait(self.find_watcher(connection), self.statement_timeout, expired)
            else:
                wait_write(connection.fileno(), self.statement_timeout, expired)

    def wait_for_connection(self, connection: PsycopgConnection) -> None:
        """Wait until the connection is open. Its socket can change in the meantime."""
        expired = timeout_error(self.connect_timeout)
        while (state := connection.poll()) != POLL_OK:
            wait_for = wait_read if state == POLL_READ else wait_write
            wait_for(connection.fileno(), self.connect_timeout, expired)

    def find_watcher(self, connection: PsycopgConnection) -> Any:
        """Return the watcher of a connection."""
        watcher = self.watchers.get(connection)
        if watcher is None:
            watcher = gevent.get_hub().loop.io(connection.fileno(), 1)
            self.watchers[connection] = watcher
        return watcher


def timeout_error(seconds: float) -> OperationalError:
    """Return the error of an operation that took too long."""
    return OperationalError(f"PostgreSQL has not answered for {seconds} seconds")
