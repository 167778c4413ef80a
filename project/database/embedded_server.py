"""A PostgreSQL server that only its own user and root can connect to.

It accepts every connection as superuser, without a password. Its only socket is in a
folder that other users cannot open.
"""

import fcntl
import logging
import os
import re
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil

from project.database.availability import DatabaseNotConfigured
from project.database.postgres_programs import run_program, server_user

PORT = 5432
# Seconds that the server may take to start, and to stop.
TIMEOUT = 60
# The mode 0700.
PRIVATE = stat.S_IRWXU
TMP = Path("/tmp")

log = logging.getLogger(__name__)


class Postmaster(NamedTuple):
    """The server's main process."""

    process: psutil.Process
    socket_folder: Path


class EmbeddedServer:
    """A server that runs as long as a process uses it.

    Processes that name the same folder share a server. They coordinate by locks, which
    the operating system releases if a process is killed.

    Args:
        folder: the data directory; created if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.user = server_user()
        self.log_file = self.folder / "log"
        # Locked while a process starts or stops the server. It exists before the data.
        self.start_lock = self.folder.with_name(f"{self.folder.name}.lock")
        # Each process that uses the server has a shared lock.
        self.users_lock = self.folder / "users.lock"

    def open(self) -> None:
        """Start the server, or find it running, and use it until `close`.

        Raises:
            DatabaseNotConfigured: the server does not start.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with self.lock_start() as descriptor:
                if not (self.folder / "PG_VERSION").exists():
                    self.initialize(descriptor)
                self.raise_if_owned_by_another_user()
                self.postmaster = self.find_postmaster() or self.launch()
                self.raise_if_open_to_others()
                self.folder_status = self.folder.stat()
                self.users_descriptor = open_private_file(self.users_lock)
                fcntl.flock(self.users_descriptor, fcntl.LOCK_SH)
        except OSError as error:
            raise DatabaseNotConfigured(
                f"the embedded PostgreSQL cannot use {self.folder} ({error}): correct"
                " that, for example with `sudo chown -R $(whoami) instance` if another"
                " user owns the folder, or set DATABASE_URL"
            ) from error

    def close(self) -> None:
        """End the use of the server. The last process stops it."""
        try:
            if self.is_deleted():
                if try_exclusive(self.users_descriptor):
                    # Without its data, it cannot shut down in an orderly way.
                    send_signal(self.postmaster.process, signal.SIGQUIT)
                    shutil.rmtree(self.postmaster.socket_folder, ignore_errors=True)
                return
            with self.lock_start():
                # Another process may have started it again after it was killed.
                postmaster = self.find_postmaster()
                if postmaster and try_exclusive(self.users_descriptor):
                    send_signal(postmaster.process, signal.SIGINT)
                    wait_until_ended(postmaster.process)
                    shutil.rmtree(postmaster.socket_folder, ignore_errors=True)
        finally:
            os.close(self.users_descriptor)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        host = quote(str(self.postmaster.socket_folder))
        return f"postgresql://postgres@/{database}?host={host}&port={PORT}"

    def is_deleted(self) -> bool:
        """Return whether the folder was deleted, moved or replaced since `open`."""
        try:
            return not os.path.samestat(self.folder.stat(), self.folder_status)
        except (FileNotFoundError, NotADirectoryError):
            return True

    @contextmanager
    def lock_start(self) -> Iterator[int]:
        """Hold the lock for a start or a stop; yield its descriptor.

        Raises:
            TimeoutError: another process holds the lock for longer than TIMEOUT.
        """
        descriptor = open_private_file(self.start_lock)
        try:
            deadline = time.monotonic() + TIMEOUT
            while not try_exclusive(descriptor):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process holds {self.start_lock}")
                # Waiting in flock would block the other greenlets of a worker.
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)

    def initialize(self, lock_descriptor: int) -> None:
        """Create the data.

        initdb writes to another folder, which is renamed when it is complete, so that a
        process that is killed leaves no incomplete data. initdb inherits the lock: it
        continues if only this process is killed.
        """
        new_folder = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(new_folder, ignore_errors=True)
        new_folder.mkdir(PRIVATE)
        os.chown(new_folder, self.user.pw_uid, self.user.pw_gid)
        result = run_program(
            *("initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale"),
            *("-D", new_folder),
            folder=new_folder,
            pass_fds=(lock_descriptor,),
            capture_output=True,
        )
        if result.returncode != 0:
            shutil.rmtree(new_folder, ignore_errors=True)
            raise DatabaseNotConfigured(
                f"the embedded PostgreSQL cannot create its data in {self.folder}"
                f" ({find_cause(result.stderr)}): correct that, or set DATABASE_URL"
            )
        new_folder.rename(self.folder)

    def find_postmaster(self) -> Postmaster | None:
        """Return the running server's main process, after the server has started.

        Returns:
            None if no server runs, or if it was stopping and has ended.

        Raises:
            TimeoutError: the server is not ready within TIMEOUT.
        """
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                lines = (self.folder / "postmaster.pid").read_text().splitlines()
                process = psutil.Process(int(lines[0]))
                # Another program may have the number of a killed server. The folder of
                # the socket is unique, and is an argument of the server.
                if lines[4] not in process.cmdline():
                    return None
                if lines[7].strip() == "ready":
                    return Postmaster(process, Path(lines[4]))
            except (FileNotFoundError, psutil.NoSuchProcess):
                return None
            except (IndexError, ValueError):
                pass  # the server is writing the file
            time.sleep(0.05)
        raise TimeoutError(f"the server is not ready: see {self.log_file}")

    def launch(self) -> Postmaster:
        """Start the server.

        Raises:
            DatabaseNotConfigured: it does not start.
        """
        # With the number of another program in it, the server would not start.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        # In /tmp, because the path of a socket is limited to some 100 bytes.
        socket_folder = Path(tempfile.mkdtemp(prefix="postgres_", dir=TMP))
        os.chown(socket_folder, self.user.pw_uid, self.user.pw_gid)
        with os.fdopen(open_private_file(self.log_file, os.O_APPEND), "a+") as log_file:
            start = log_file.tell()
            run_program(
                *("pg_ctl", "start", "-w", "-t", str(TIMEOUT)),
                *("-o", f"-c listen_addresses= -p {PORT} -k {socket_folder}"),
                folder=self.folder,
                env={**os.environ, "PGDATA": str(self.folder)},
                stdout=log_file,
                stderr=log_file,
            )
            log_file.seek(start)
            messages = log_file.read()
        postmaster = self.find_postmaster()
        if postmaster is None:
            shutil.rmtree(socket_folder, ignore_errors=True)
            raise DatabaseNotConfigured(
                f"the embedded PostgreSQL does not start ({find_cause(messages)}):"
                f" see {self.log_file}; to start with an empty database, delete"
                f" {self.folder}"
            )
        if os.geteuid() == 0:
            log.warning(
                "PostgreSQL cannot run as root: the embedded server runs as the user"
                " %s; prefer to run this command as an ordinary user",
                self.user.pw_name,
            )
        return postmaster

    def raise_if_owned_by_another_user(self) -> None:
        """Check the owner of the folder, which PostgreSQL requires to be its user.

        Raises:
            DatabaseNotConfigured: it is another user.
        """
        owner = self.folder.stat().st_uid
        if owner != self.user.pw_uid:
            raise DatabaseNotConfigured(
                f"{self.folder} belongs to the user with the id {owner}, but PostgreSQL"
                f" runs as {self.user.pw_name}: run `sudo chown -R {self.user.pw_name}"
                f" '{self.folder}'`, or delete the folder to start with an empty"
                " database, or set DATABASE_URL"
            )

    def raise_if_open_to_others(self) -> None:
        """Check the folder of the socket, which another process may have chosen.

        Raises:
            DatabaseNotConfigured: other users may access or replace the socket.
        """
        process, folder = self.postmaster
        status = folder.lstat()
        is_private = status.st_mode == stat.S_IFDIR | PRIVATE
        # Other users cannot replace a folder in /tmp, which is sticky.
        if (folder.parent, status.st_uid) != (TMP, self.user.pw_uid) or not is_private:
            raise DatabaseNotConfigured(
                f"other users can access the embedded PostgreSQL's socket in {folder}:"
                f" stop the server with `kill -INT {process.pid}`, and try again"
            )


def open_private_file(path: Path, flags: int = 0) -> int:
    """Open a file, created if it is missing, and return its descriptor.

    It refuses a link: the server's user can write to the folder, and root would follow
    the link.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)


def try_exclusive(descriptor: int) -> bool:
    """Lock an open file, unless another process has a lock on it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def send_signal(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal, unless the process has ended."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def wait_until_ended(process: psutil.Process) -> None:
    """Wait until a process has ended. It may exist longer, until its parent notices.

    Raises:
        TimeoutError: it has not ended within TIMEOUT.
    """
    deadline = time.monotonic() + TIMEOUT
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the process {process.pid} does not end")
            time.sleep(0.05)


def find_cause(messages: str) -> str:
    """Return the errors in the output of a PostgreSQL program, in one line."""
    causes = re.findall(r"(?:error|FATAL|PANIC|DETAIL): +(.*)", messages)
    return "; ".join(causes) or " ".join(messages.split()) or "unknown cause"
