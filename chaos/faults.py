"""Database faults. Each function returns when the fault has ended."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2

from devtools.postgres import Postgres


def kill(server: Postgres) -> None:
    server.kill()
    time.sleep(2)
    server.start()


def stop(server: Postgres) -> None:
    server.stop()
    time.sleep(2)
    server.start()


def restart(server: Postgres) -> None:
    server.stop()
    server.start()


def freeze(server: Postgres) -> None:
    server.send_signal(signal.SIGSTOP)
    time.sleep(8)
    server.send_signal(signal.SIGCONT)


def lock_table(server: Postgres) -> None:
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        time.sleep(6)


def exhaust_connections(server: Postgres) -> None:
    """Open connections until PostgreSQL refuses more, and hold them."""
    sessions = []
    # The service has to open new connections, because its own are terminated first.
    terminate_service = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'service' AND application_name = 'users'"
    )
    with suppress(psycopg2.OperationalError):
        while True:
            server.execute(terminate_service)
            sessions += [
                psycopg2.connect(server.url(user="service"), connect_timeout=5)
                for _ in range(4)
            ]
    time.sleep(4)
    for session in sessions:
        session.close()


def fill_disk(server: Postgres) -> None:
    """Fill the server's file system, which has to be a small one."""
    ballast = server.folder / "ballast"
    with open(ballast, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(2**16))
    time.sleep(4)
    ballast.unlink()
    # PostgreSQL shuts down if it could not write its WAL.
    if not server.processes():
        server.start()


@contextmanager
def small_file_system(megabytes: int = 400) -> Iterator[Path]:
    """Mount a tmpfs of a limited size, and unmount it at the end.

    Raises:
        CalledProcessError: the mount failed; it requires root.
    """
    folder = Path(tempfile.mkdtemp(prefix="chaos_disk_"))
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", folder],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)
