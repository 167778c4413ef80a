"""The PostgreSQL server that is measured, with a database of each size."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from devtools.servers import ROOT, clean_environment
from devtools.sql import execute
from project.database import embedded

SETTINGS = {
    # A quarter of the memory, as PostgreSQL's manual recommends for a dedicated server.
    # The default is smaller than the table of a million users.
    "shared_buffers": f"{psutil.virtual_memory().total // 4 // 2**20}MB",
    # No automatic checkpoint, which would slow down one of the servers.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1d",
    # All servers run at the same time, each with its connection pools.
    "max_connections": "500",
}
RELATION_SIZES = """
    SELECT 'the table', pg_table_size('users')
    UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)
    FROM pg_index WHERE indrelid = 'users'::regclass
    UNION ALL SELECT 'all', pg_total_relation_size('users')
"""


@dataclass(frozen=True)
class Database:
    """A database with users, whose ids begin at 1.

    Attributes:
        users: the number of users.
        emails: a file with e-mail addresses of the first half of the users.
        relation_sizes: the bytes of the table, of each index, and of all.
        server_pid: the postmaster.
        log: a file for the output of the servers that use the database.
    """

    url: str
    users: int
    emails: Path
    relation_sizes: dict[str, int]
    server_pid: int
    log: Path


class DatabaseServer:
    """A PostgreSQL server on a Unix socket, without any other client.

    Args:
        folder: holds its data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "postgres"
        with closing(embedded.open_server(self.data)) as server:
            for name, value in SETTINGS.items():
                execute(server.url(), f"ALTER SYSTEM SET {name} = '{value}'")
        # Some settings require a restart.
        self.server = embedded.open_server(self.data)

    def create_database(self, users: int, without_index: str | None = None) -> Database:
        """Create a database with users.

        Args:
            without_index: the name of an index that is dropped.
        """
        name = f"users_{users}"
        if without_index:
            name += f"_without_{without_index}"
        embedded.create_database(self.server.url(), name)
        url = self.server.url(name)
        for command in (
            ("db", "upgrade"),
            ("seed_db", "--count", str(users), "--seed", "1"),
        ):
            subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=clean_environment()
                | {
                    "APP_SETTINGS": "project.config.ProductionConfig",
                    "DATABASE_URL": url,
                    "LOG_LEVEL": "WARNING",
                },
                check=True,
                stdout=sys.stderr,
            )
        if without_index:
            execute(url, f"DROP INDEX {without_index}")
        # Otherwise autovacuum would run during the measurements.
        execute(url, "VACUUM (ANALYZE, FREEZE) users")
        execute(url, "CHECKPOINT")
        rows = execute(
            url,
            f"SELECT email FROM users WHERE id <= {users // 2} ORDER BY id LIMIT 1000",
        )
        emails = self.folder / f"emails_{name}"
        emails.write_text("".join(f"{email}\n" for (email,) in rows))
        sizes = dict(execute(url, RELATION_SIZES))
        return Database(
            url,
            users,
            emails,
            sizes,
            self.server.postmaster.process.pid,
            self.folder / "log",
        )


@contextmanager
def start_database_server() -> Iterator[DatabaseServer]:
    """Start a server in a temporary folder, and delete it at the end.

    Raises:
        ClickException: wrk is not installed.
    """
    if not shutil.which("wrk"):
        raise click.ClickException(
            "wrk is not installed: install it, for example with `apt-get install wrk`"
        )
    with TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True) as name:
        database_server = DatabaseServer(Path(name))
        with closing(database_server.server):
            yield database_server
