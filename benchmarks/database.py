"""The PostgreSQL that is measured: one server, and a database for each size."""

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import psutil
import psycopg2

from benchmarks.servers import ROOT, variables
from project import embedded

SETTINGS = {
    # What PostgreSQL's manual advises for a server of its own; its default is for the
    # smallest machine, and smaller than a million users.
    "shared_buffers": f"{psutil.virtual_memory().total // 4 // 2**20}MB",
    # No checkpoint of its own accord, which would hit whoever's turn it is.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1d",
    # All servers are up at once, each with its pools.
    "max_connections": "500",
}
SPACE = """
    SELECT 'the table', pg_table_size('users')
    UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)
    FROM pg_index WHERE indrelid = 'users'::regclass
    UNION ALL SELECT 'all', pg_total_relation_size('users')
"""


class Database(NamedTuple):
    """A database with users, whose ids begin at 1.

    Attributes:
        url: its address.
        users: how many there are.
        emails: a file with the addresses of some of the first half.
        space: the bytes of the table and of each index, as `{relation: bytes}`.
    """

    url: str
    users: int
    emails: Path
    space: dict

    def wrk(self):
        """Return what work.lua has to know of it."""
        return self.users, self.emails


class Server:
    """A PostgreSQL of the benchmark's own.

    Args:
        folder: where its data goes.

    Attributes:
        pid: its process.
    """

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "postgres"
        with embedded.load()(self.data) as unset:
            for name, value in SETTINGS.items():
                execute(unset.get_uri(), f"ALTER SYSTEM SET {name} = '{value}'")
        # Started anew, with the settings.
        self.postgres = embedded.load()(self.data)
        self.pid = self.postgres.get_pid()

    def fill(self, users):
        """Make a database with so many users, and return it as a Database."""
        url = embedded.start(self.data, f"users_{users}")
        for command in (["db", "upgrade"], ["seed_db", "--count", users, "--seed", 1]):
            subprocess.run(
                [sys.executable, "manage.py", *map(str, command)],
                cwd=ROOT,
                env=variables(url),
                check=True,
                stdout=sys.stderr,
            )
        # Or PostgreSQL would do it by itself, in the middle.
        execute(url, "VACUUM (ANALYZE, FREEZE) users")
        execute(url, "CHECKPOINT")
        emails = self.folder / f"emails_{users}"
        some = (
            f"SELECT email FROM users WHERE id <= {users // 2} ORDER BY id LIMIT 1000"
        )
        rows = execute(url, some)
        emails.write_text("".join(f"{email}\n" for (email,) in rows))
        return Database(url, users, emails, dict(execute(url, SPACE)))


def execute(url, statement):
    """Run a statement and return its rows, if it has any."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


@contextmanager
def server():
    """Start a Server, and remove it."""
    if not shutil.which("wrk"):
        raise click.ClickException("wrk is missing: `apt-get install wrk` or the like")
    folder = Path(tempfile.mkdtemp(prefix="bench_"))
    # PostgreSQL runs as a user of its own where we are root.
    folder.chmod(0o755)
    try:
        started = Server(folder)
        yield started
        started.postgres.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
