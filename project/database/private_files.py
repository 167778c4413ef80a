"""Folders that only one user can open, and locks between processes."""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from project.database.postgres_programs import ServerUser


def is_private(folder: Path, user: ServerUser) -> bool:
    """Return whether a folder belongs to a user and is closed to all others."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == user.uid
        and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )


def make_private(folder: Path, user: ServerUser) -> None:
    """Give a folder to a user and close it to all others."""
    # By descriptor: the path could become a link to another folder meanwhile.
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) != stat.S_IRWXU:
            os.fchmod(descriptor, stat.S_IRWXU)
        if status.st_uid != user.uid:
            os.fchown(descriptor, user.uid, user.gid)
    finally:
        os.close(descriptor)


def create_private_folder(prefix: str, parent: Path, user: ServerUser) -> Path:
    """Create a folder with an unpredictable name."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    make_private(folder, user)
    return folder


def open_lock_file(path: Path) -> int:
    """Open a file, created if it is missing, and return its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)


def is_same_file(path: Path, descriptor: int) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False


def try_exclusive(descriptor: int) -> bool:
    """Lock an open file, unless another process has a lock on it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def lock(path: Path, timeout: float) -> Iterator[int]:
    """Hold an exclusive lock on a file, which is created if it is missing.

    Yields:
        The open file. A program that inherits it holds the lock until its own end.

    Raises:
        TimeoutError: another process holds the lock for longer.
    """
    deadline = time.monotonic() + timeout
    while True:
        descriptor = open_lock_file(path)
        try:
            # The previous holder may have deleted the file.
            if try_exclusive(descriptor) and is_same_file(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process holds the lock {path}")
        # Waiting inside of flock would also block the other greenlets of a worker.
        time.sleep(0.05)
