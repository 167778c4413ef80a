"""The faults: each breaks something under load and tells when it was well again."""

import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress

import psycopg2

from chaos.postgres import Postgres


def kill(server):
    """PostgreSQL killed (SIGKILL), started after a while."""
    server.kill()
    time.sleep(2)
    server.start()


def stop(server):
    """PostgreSQL stopped, started after a while."""
    server.stop()
    time.sleep(2)
    server.start()


def restart(server):
    """PostgreSQL restarted at once."""
    server.stop()
    server.start()


def freeze(server):
    """PostgreSQL frozen (SIGSTOP) for 8 s."""
    server.signal(signal.SIGSTOP)
    time.sleep(8)
    server.signal(signal.SIGCONT)


def lock(server):
    """The table locked by another session for 6 s."""
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        time.sleep(6)
    connection.close()


def exhaust(server):
    """No connection left for the service: others hold them all for 4 s."""
    sessions = []
    # The service's own connections end first, so that it has to open new ones.
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'service' AND application_name = 'users'"
    )
    with suppress(psycopg2.OperationalError):
        while True:
            server.execute(end)
            sessions += [
                psycopg2.connect(server.url(user="service"), connect_timeout=5)
                for _ in range(4)
            ]
    time.sleep(4)
    for session in sessions:
        session.close()


def fill_disk(server):
    """PostgreSQL's disk full for 4 s."""
    ballast = server.folder / "ballast"
    with open(ballast, "wb", buffering=0) as file, suppress(OSError):
        # Until no space is left; PostgreSQL writes, too, meanwhile.
        while True:
            file.write(bytes(2**16))
    time.sleep(4)
    ballast.unlink()
    # What could not be written ends the server; what it had written is there.
    if not server.processes():
        server.start()


@contextmanager
def small_disk(megabytes=400):
    """Yield a server on a file system of its own, which can be filled.

    Raises:
        CalledProcessError: we may not mount one (it takes root).
    """
    folder = tempfile.mkdtemp(prefix="chaos_disk_")
    size = f"size={megabytes}m"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "chaos", folder],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        server = Postgres(folder)
        yield server.create()
        server.stop("immediate")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)
