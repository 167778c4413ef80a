"""PostgreSQL's client psql, connected to the service's database."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from psycopg2.extensions import make_dsn
from sqlalchemy import make_url

from project.database.availability import DatabaseNotConfigured

SERVICE = "users"


def find_psql(prefer_embedded: bool) -> str:
    """Return the path of psql.

    Args:
        prefer_embedded: prefer the program of the embedded PostgreSQL, which has the
            version of its server, to that on the PATH.

    Raises:
        DatabaseNotConfigured: it is not installed.
    """
    installed = shutil.which("psql")
    if installed and not prefer_embedded:
        return installed
    try:
        # Windows lacks the modules that this one imports.
        from project.database.postgres_programs import find_programs

        return str(find_programs() / "psql")
    except (ImportError, DatabaseNotConfigured):
        if installed:
            return installed
    raise DatabaseNotConfigured(
        "psql is not installed: install PostgreSQL's client, for example the package"
        " postgresql-client; with Docker Compose, run `docker-compose exec users-db"
        " psql -U postgres users_dev`"
    )


def open_psql(
    url: str, arguments: Sequence[str] = (), prefer_embedded: bool = False
) -> int:
    """Run psql until it ends, and return its exit status.

    Args:
        url: SQLAlchemy's or libpq's URL of the database.
        arguments: for psql.
        prefer_embedded: see `find_psql`.

    Raises:
        DatabaseNotConfigured: psql is not installed.
    """
    parsed = make_url(url).set(drivername="postgresql+psycopg2")
    parameters: MutableMapping[str, Any]
    _, parameters = parsed.get_dialect()().create_connect_args(parsed)
    environment = dict(os.environ)
    # Every user of the machine can read the command line.
    if password := parameters.pop("password", None):
        environment["PGPASSWORD"] = password
    key_password = parameters.pop("sslpassword", None)
    with tempfile.TemporaryDirectory(prefix="psql_") as folder:
        if key_password:
            # libpq has no environment variable for it.
            service_file = Path(folder) / "service"
            service_file.write_text(f"[{SERVICE}]\nsslpassword={key_password}\n")
            environment["PGSERVICEFILE"] = str(service_file)
            parameters["service"] = SERVICE
        command = [find_psql(prefer_embedded), "-d", make_dsn(**parameters), *arguments]
        # Ctrl-C cancels the statement in psql, which is in the same process group. A
        # handler, unlike SIG_IGN, is not inherited by psql and its pager.
        previous = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return subprocess.call(command, env=environment)
        finally:
            signal.signal(signal.SIGINT, previous)
