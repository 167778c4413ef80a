"""PostgreSQL's client psql, connected to the service's database."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from psycopg2.extensions import connection as PsycopgConnection
from psycopg2.extensions import make_dsn

from project.database.availability import DatabaseNotConfigured

# The connection parameters that psql gets. Others would limit it, as statement_timeout
# does, or are unknown to older versions of it. Every user of the machine can read the
# command line, so it contains no password.
PARAMETERS = (
    *("host", "hostaddr", "port", "user", "dbname", "target_session_attrs"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding"),
)


def find_psql() -> str:
    """Return the path of psql, of the operating system or of the embedded PostgreSQL.

    Raises:
        DatabaseNotConfigured: neither is installed.
    """
    installed = shutil.which("psql")
    if installed:
        return installed
    try:
        # Windows lacks the modules that this one imports.
        from project.database.postgres_programs import find_programs

        return str(find_programs() / "psql")
    except (ImportError, DatabaseNotConfigured):
        raise DatabaseNotConfigured(
            "psql is not installed: install PostgreSQL's client, for example the"
            " package postgresql-client; with Docker Compose, run `docker-compose exec"
            " users-db psql -U postgres users_dev`"
        ) from None


def open_psql(connection: PsycopgConnection, arguments: Sequence[str] = ()) -> int:
    """Run psql until it ends, and return its exit status.

    Args:
        connection: psql connects to the same database as the same user.
        arguments: for psql.

    Raises:
        DatabaseNotConfigured: psql is not installed.
    """
    parameters = {
        name: value
        for name, value in connection.info.dsn_parameters.items()
        if name in PARAMETERS
    }
    environment = {**os.environ, "PGPASSWORD": connection.info.password or ""}
    # Ctrl-C cancels the statement in psql, which is in the same process group. A
    # handler, unlike SIG_IGN, is not inherited by psql and its pager.
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.call(
            [find_psql(), "-d", make_dsn(**parameters), *arguments], env=environment
        )
    finally:
        signal.signal(signal.SIGINT, previous)
