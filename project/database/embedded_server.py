"""A PostgreSQL server that only its own user and root can connect to.

It accepts every connection as superuser, without a password. What protects it is the
mode 0700 of the folder that contains its only socket.
"""

import errno
import fcntl
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil

from project.database.availability import DatabaseNotConfigured
from project.database.postgres_programs import (
    find_programs,
    run_program,
    server_user,
    user_name,
)
from project.database.private_files import (
    create_private_folder,
    is_private,
    is_same_file,
    lock,
    make_private,
    open_lock_file,
    try_exclusive,
)

PORT = 5432
SOCKET = f".s.PGSQL.{PORT}"
# In bytes: macOS allows 103, Linux 107.
MAX_SOCKET_PATH = 103
# Seconds that the server may take to start, and to stop.
TIMEOUT = 60
# pg_ctl passes these and the program to a shell. Variables need no escaping there.
SERVER_PROGRAM = "$EMBEDDED_PROGRAM"
SERVER_OPTIONS = (
    f"-c port={PORT} -c listen_addresses= -c unix_socket_permissions=0700"
    ' -c unix_socket_directories="$EMBEDDED_SOCKET_FOLDER" >> "$EMBEDDED_LOG"'
)

OS_ERROR_HINTS = {
    errno.ENOSPC: "free disk space",
    errno.EDQUOT: "free disk space",
    errno.EROFS: "mount the file system with write access",
}
# What to do about an error in the server's log.
START_HINTS = {
    "incompatible": "migrate the folder with pg_upgrade",
    "No space left": "free disk space",
}

log = logging.getLogger(__name__)


class Postmaster(NamedTuple):
    """The server's main process, as described in postmaster.pid."""

    pid: int
    socket_folder: Path
    status: str

    def is_running(self) -> bool:
        """Return whether the server accepts connections, or is starting or stopping."""
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(TIMEOUT)
            client.connect(str(self.socket_folder / SOCKET))
            return True
        try:
            process = psutil.Process(self.pid)
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
            return process.name() == "postgres" and not is_zombie
        except psutil.NoSuchProcess:
            return False


class EmbeddedServer:
    """A server that runs as long as a process uses it.

    Args:
        folder: the data directory; created if it is missing.
        keep: False deletes the data when the server stops.
    """

    def __init__(self, folder: Path, keep: bool = True) -> None:
        self.folder = folder.resolve()
        self.keep = keep
        self.user = server_user()
        self.log_file = self.folder / "log"
        # Held while the server starts or stops.
        self.start_lock = self.folder / "start.lock"
        # Each process that uses the server has a shared lock on this file. The
        # operating system releases the lock of a process that is killed.
        self.users_lock = self.folder / "users.lock"

    def open(self) -> None:
        """Start the server, or find it running, and use it until `close`.

        Raises:
            DatabaseNotConfigured: the server does not start.
        """
        try:
            self.prepare_folder()
            with lock(self.start_lock, TIMEOUT) as lock_descriptor:
                if not self.has_data():
                    self.initialize(lock_descriptor)
                self.postmaster = self.find_running() or self.launch()
                self.raise_if_open_to_others()
                self.process = psutil.Process(self.postmaster.pid)
                self.users_descriptor = open_lock_file(self.users_lock)
                fcntl.flock(self.users_descriptor, fcntl.LOCK_SH)
        except OSError as error:
            raise DatabaseNotConfigured(self.explain_os_error(error)) from error

    def close(self) -> None:
        """End the use of the server. The last process stops it."""
        if self.is_deleted():
            if try_exclusive(self.users_descriptor):
                # The data is gone, so there is nothing to write.
                with suppress(psutil.NoSuchProcess):
                    self.process.send_signal(signal.SIGQUIT)
                psutil.wait_procs([self.process], timeout=5)
                self.remove_socket_folder(self.postmaster)
        else:
            with lock(self.start_lock, TIMEOUT):
                if try_exclusive(self.users_descriptor):
                    self.pg_ctl("stop", "-m", "fast")
                    self.remove_socket_folder(self.postmaster)
                    if not self.keep:
                        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self.users_descriptor)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        host = quote(str(self.postmaster.socket_folder))
        return f"postgresql://postgres@/{database}?host={host}&port={PORT}"

    def is_deleted(self) -> bool:
        """Return whether the folder was deleted, moved or replaced since `open`."""
        return not is_same_file(self.users_lock, self.users_descriptor)

    def has_data(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    def prepare_folder(self) -> None:
        """Create the folder, and make it private to the server's user."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self.folder.stat().st_uid
        # Root gives a new folder to the server's user.
        is_new = owner == os.geteuid() and not self.has_data()
        if owner != self.user.uid and not is_new:
            raise DatabaseNotConfigured(
                f"{self.folder} belongs to the user {user_name(owner)}, but the"
                f" embedded PostgreSQL runs as {self.user.name}: run `sudo chown -R"
                f" {self.user.name} {shlex.quote(str(self.folder))}`, or delete the"
                " folder to start with an empty database, or set DATABASE_URL"
            )
        make_private(self.folder, self.user)

    def initialize(self, lock_descriptor: int) -> None:
        """Create the data.

        initdb writes to a folder of its own, whose contents are moved when it has
        succeeded, so that a process that is killed leaves no incomplete data. initdb
        inherits the lock: it may outlive this process.
        """
        complete = self.folder / "initdb_complete"
        if not complete.exists():
            for partial in self.folder.glob("initdb_*"):
                shutil.rmtree(partial, ignore_errors=True)
            partial = create_private_folder("initdb_", self.folder, self.user)
            options = ("-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale")
            result = run_program(
                "initdb",
                *options,
                "-D",
                partial,
                folder=self.folder,
                inherit=[lock_descriptor],
            )
            if result.returncode != 0:
                shutil.rmtree(partial, ignore_errors=True)
                causes = re.findall("(?:error|FATAL): +(.*)", result.stderr)
                raise DatabaseNotConfigured(
                    "the embedded PostgreSQL cannot create its data in"
                    f" {self.folder}: {'; '.join(causes) or result.stderr.strip()}:"
                    " correct the cause, or set DATABASE_URL"
                )
            partial.rename(complete)
        # The file that `has_data` looks for is the last one.
        for path in sorted(complete.iterdir(), key=lambda p: p.name == "PG_VERSION"):
            path.rename(self.folder / path.name)
        complete.rmdir()

    def read_postmaster(self) -> Postmaster | None:
        """Read postmaster.pid; return None if there is none or it is incomplete."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            status = lines[7].strip() if len(lines) > 7 else "starting"
            return Postmaster(int(lines[0]), Path(lines[4]), status)
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def find_running(self) -> Postmaster | None:
        """Return the running server, after it has started.

        Returns:
            None if no server runs, or if it was stopping and has ended.
        """
        deadline = time.monotonic() + TIMEOUT
        while (postmaster := self.read_postmaster()) and postmaster.is_running():
            if postmaster.status == "ready":
                return postmaster
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"the server (process {postmaster.pid}) has been"
                    f" {postmaster.status} for {TIMEOUT} seconds"
                )
            time.sleep(0.05)
        return None

    def launch(self) -> Postmaster:
        """Start the server.

        Raises:
            DatabaseNotConfigured: it does not start.
        """
        stale = self.read_postmaster()
        if stale:
            self.remove_socket_folder(stale)
            if psutil.pid_exists(stale.pid):
                # Another program has the number of the killed server, which would
                # otherwise prevent the start.
                (self.folder / "postmaster.pid").unlink()
        socket_folder = self.create_socket_folder()
        log_size = self.log_file.stat().st_size if self.log_file.exists() else 0
        self.pg_ctl(
            "start", "-p", SERVER_PROGRAM, "-o", SERVER_OPTIONS, sockets=socket_folder
        )
        postmaster = self.find_running()
        if postmaster is None:
            shutil.rmtree(socket_folder, ignore_errors=True)
            raise DatabaseNotConfigured(self.explain_failed_start(log_size))
        if os.geteuid() == 0:
            log.warning(
                "PostgreSQL cannot run as root: the embedded server runs as the user"
                " %s; prefer to run this command as an ordinary user",
                self.user.name,
            )
        return postmaster

    def pg_ctl(self, action: str, *options: str, sockets: Path | None = None) -> None:
        """Start or stop the server, and wait until that is done or has failed."""
        variables = {
            "PGDATA": str(self.folder),
            "EMBEDDED_PROGRAM": str(find_programs() / "postgres"),
            "EMBEDDED_SOCKET_FOLDER": str(sockets),
            "EMBEDDED_LOG": str(self.log_file),
        }
        wait = ("-w", "-t", str(TIMEOUT))
        run_program(
            "pg_ctl", action, *wait, *options, folder=self.folder, environment=variables
        )

    def create_socket_folder(self) -> Path:
        """Create a folder for the socket, in the data folder or in /tmp.

        Each start makes a new one. A server whose data was deleted removes its socket
        when it ends, and must not remove the socket of its successor.
        """
        for parent in (self.folder, Path("/tmp")):
            folder = create_private_folder("socket_", parent, self.user)
            fits = len(os.fsencode(folder / SOCKET)) <= MAX_SOCKET_PATH
            # A comma separates host names in a URL.
            if fits and "," not in str(folder):
                break
            folder.rmdir()
        return folder

    def remove_socket_folder(self, postmaster: Postmaster) -> None:
        folder = postmaster.socket_folder
        # Earlier versions had the socket in the data folder.
        if folder != self.folder and is_private(folder, self.user):
            shutil.rmtree(folder, ignore_errors=True)

    def raise_if_open_to_others(self) -> None:
        """Check the folder of the socket, which another process may have chosen.

        Raises:
            DatabaseNotConfigured: other users may access or replace the socket.
        """
        pid, folder, _ = self.postmaster
        if not is_private(folder, self.user):
            raise DatabaseNotConfigured(
                f"other users can access the embedded PostgreSQL's socket in {folder}:"
                f" stop the server with `kill -INT {pid}`, and try again"
            )

    def explain_os_error(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            hint = f"stop that process, see {self.log_file}"
        elif error.errno in OS_ERROR_HINTS:
            hint = OS_ERROR_HINTS[error.errno]
        elif os.geteuid() == 0:
            hint = "run this command as an ordinary user"
        else:
            parent = next(path for path in self.folder.parents if path.exists())
            hint = (
                "make the folder writable, for example with `sudo chown $(whoami)"
                f" {shlex.quote(str(parent))}`"
            )
        return (
            f"the embedded PostgreSQL cannot use {self.folder}: {error}: {hint}, or set"
            " DATABASE_URL"
        )

    def explain_failed_start(self, log_size: int) -> str:
        """Explain a failed start with what was added to the log, if possible."""
        lines = ""
        with suppress(OSError), open(self.log_file, errors="replace") as file:
            file.seek(log_size)
            lines = file.read().strip()
        causes = re.findall(r"(?:FATAL|PANIC|DETAIL): +(.*)", lines)
        cause = "; ".join(causes) or lines.split("\n")[0]
        hint = f"to start with an empty database, delete {self.folder}"
        for pattern, cause_hint in START_HINTS.items():
            if pattern in cause:
                hint = f"{cause_hint}, or {hint}"
        return (
            "the embedded PostgreSQL does not start:"
            f" {cause or 'unknown cause'}: {hint}; its log is {self.log_file}"
        )
