"""The PostgreSQL server that development and the tests start when no URL is set."""

import atexit
import logging
import os
import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import errors

from project.database.availability import DatabaseNotConfigured

if TYPE_CHECKING:
    from project.database.embedded_server import EmbeddedServer

# The unique index on the mailbox needs UTF8. With this locale, the search of the admin
# site ignores the letter case in every alphabet, on every machine.
CREATE_DATABASE = """
    CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'
    LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'
"""

log = logging.getLogger(__name__)

# The servers that this process uses, by their folder.
servers: "dict[Path, EmbeddedServer]" = {}
start_lock = threading.Lock()


def open_server(folder: Path) -> "EmbeddedServer":
    """Start a server, or find it running. `close` ends the use of it.

    Raises:
        DatabaseNotConfigured: the server does not start.
    """
    if sys.platform == "win32":
        raise DatabaseNotConfigured(
            "the embedded PostgreSQL does not run on Windows: set DATABASE_URL, or use"
            " the Windows Subsystem for Linux (WSL)"
        )
    # Not at the top: Windows lacks the modules that these import.
    from project.database.postgres_programs import find_programs

    find_programs()
    # psutil, which this module imports, is installed with the programs.
    from project.database.embedded_server import EmbeddedServer

    server = EmbeddedServer(folder)
    server.open()
    return server


@cache
def start(folder: Path, database: str) -> str:
    """Start a server, or find it running, and return the URL of a database.

    The server listens on a Unix socket only. It stops when the last process that
    called this function ends.

    Args:
        folder: the server's data; created if it is missing.
        database: created if it is missing.

    Raises:
        DatabaseNotConfigured: the server does not start; the message contains the
            cause and a remedy.
    """
    path = folder.resolve()
    # Threads may open their first connections at the same time.
    with start_lock:
        if path not in servers:
            servers[path] = open_server(path)
        create_database(servers[path].url(), database)
        return servers[path].url(database)


def raise_if_deleted(folder: Path) -> None:
    """Check that the data of a server that this process uses still exists.

    Raises:
        DatabaseNotConfigured: the folder was deleted.
    """
    server = servers.get(folder.resolve())
    if server and server.is_deleted():
        raise DatabaseNotConfigured(
            f"the folder {folder} was deleted while the server was running: restart"
            " this command"
        )


@atexit.register
def close_servers() -> None:
    """Stop the servers that no other process uses."""
    while servers:
        _, server = servers.popitem()
        try:
            server.close()
        except (DatabaseNotConfigured, OSError) as error:
            log.error("the embedded PostgreSQL was not stopped: %s", error)


def forget_servers() -> None:
    """Give up the servers of the parent process, which stops them when it ends.

    A child process that calls `start` uses the server itself.
    """
    global start_lock
    for server in servers.values():
        os.close(server.users_descriptor)
    servers.clear()
    # Another thread of the parent may have held the lock.
    start_lock = threading.Lock()
    start.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_servers)


def create_database(server_url: str, database: str) -> None:
    """Create a database unless it exists."""
    connection = psycopg2.connect(server_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
            if not cursor.fetchone():
                cursor.execute(CREATE_DATABASE.format(database))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        pass  # another process has created it at the same time
    finally:
        connection.close()
