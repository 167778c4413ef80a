"""PostgreSQL servers that can be killed, frozen, replicated and promoted."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2

from devtools import sql
from devtools.processes import process_tree, send_signal
from devtools.servers import free_port
from project import create_app, db
from project.database import migrations
from project.database.postgres_programs import run_program, server_user

CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 40
superuser_reserved_connections = 3
wal_keep_size = 64MB
max_wal_size = 256MB
"""


def server_processes(data: Path) -> list[psutil.Process]:
    """Return the processes of a server, beginning with the postmaster.

    Args:
        data: the server's data directory.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        # Negative if it runs in single-user mode, for example before pg_rewind.
        return process_tree(abs(pid))
    except (FileNotFoundError, IndexError, psutil.NoSuchProcess):
        return []


class Postgres:
    """A server with its own data directory, on a free port of the loopback interface.

    As a context manager it stops the server and deletes the data at the end.

    Args:
        folder: holds the data directory and the log; None makes a temporary folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="postgres_"))
        self.data = self.folder / "data"
        # PostgreSQL runs as another user if this process is root.
        os.chown(self.folder, server_user().pw_uid, -1)
        self.port = free_port()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def url(self, database: str = "users_chaos", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run_program(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs as the server's user.

        Raises:
            CalledProcessError: the exit status is not 0.
        """
        run_program(
            program,
            *arguments,
            folder=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def create(self) -> None:
        """Initialize the data directory, start, and create the database and its owner.

        The owner is the role `service`.
        """
        options = ("-U", "postgres", "--auth=trust", "-N")
        self.run_program("initdb", "-D", self.data, *options)
        with open(self.data / "postgresql.conf", "a") as configuration:
            configuration.write(CONFIGURATION)
        self.start()
        self.execute("CREATE DATABASE users_chaos", database="postgres")
        self.execute("CREATE ROLE service LOGIN")
        self.execute("ALTER DATABASE users_chaos OWNER TO service")
        self.execute("ALTER SCHEMA public OWNER TO service")

    def start_standby(self, primary: "Postgres") -> None:
        """Copy another server's data and start as its streaming standby."""
        source = ("-d", primary.url("postgres"), "-c", "fast", "-X", "stream")
        self.run_program("pg_basebackup", "-R", "-D", self.data, *source)
        self.start()

    def start(self) -> None:
        """Start, and wait until the server accepts connections."""
        options = ("-l", self.folder / "log", "-o", f"-p {self.port}")
        self.run_program("pg_ctl", "start", "-w", "-D", self.data, *options)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it runs.

        Args:
            mode: pg_ctl's: `fast` disconnects the clients, `immediate` also skips the
                shutdown checkpoint.
        """
        with suppress(subprocess.CalledProcessError):
            self.run_program("pg_ctl", "stop", "-w", "-D", self.data, "-m", mode)

    def promote(self) -> None:
        """Promote a standby, and wait until it accepts writes."""
        self.run_program("pg_ctl", "promote", "-w", "-D", self.data)

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes, beginning with the postmaster."""
        return server_processes(self.data)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server."""
        send_signal(self.processes(), number)

    def kill(self) -> None:
        """Kill the postmaster and wait until all other processes have exited."""
        processes = self.processes()
        processes[0].kill()
        psutil.wait_procs(processes, timeout=10)

    def connect(self) -> psycopg2.extensions.connection:
        """Return a superuser's connection in autocommit mode."""
        return sql.connect(self.url())

    def execute(
        self, statement: str, database: str = "users_chaos"
    ) -> list[tuple[Any, ...]]:
        """Execute a statement as superuser and return its rows, if it has any."""
        return sql.execute(self.url(database), statement)

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        # A frozen server does not stop.
        self.send_signal(signal.SIGCONT)
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def insert_users(users: int) -> str:
    """Return the statement that adds users to an empty table."""
    return (
        "INSERT INTO users (username, email) SELECT '0',"
        f" 'filler' || n || '@example.com' FROM generate_series(1, {users}) n"
    )


def prepare_database(server: Postgres, users: int = 1000) -> None:
    """Run the migrations and add users."""
    app = create_app({"DATABASE_URL": server.url(user="service")})
    with app.app_context():
        migrations.upgrade()
        for engine in db.engines.values():
            engine.dispose()
    server.execute(insert_users(users))
