"""Private folders, and locks between processes."""

import os
import stat
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no fcntl", allow_module_level=True)

from project.database.postgres_programs import ServerUser
from project.database.private_files import (
    create_private_folder,
    is_private,
    is_same_file,
    lock,
)

CURRENT_USER = ServerUser(os.geteuid(), os.getegid(), "me")


def test_private_folder_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        folder = create_private_folder("a", tmp_path, CURRENT_USER)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert is_private(folder, CURRENT_USER)
    assert not is_private(folder, CURRENT_USER._replace(uid=CURRENT_USER.uid + 1))
    folder.chmod(0o710)
    assert not is_private(folder, CURRENT_USER)


def test_link_and_missing_folder_are_not_private(tmp_path: Path) -> None:
    folder = create_private_folder("a", tmp_path, CURRENT_USER)
    (tmp_path / "link").symlink_to(folder)
    assert not is_private(tmp_path / "link", CURRENT_USER)
    assert not is_private(tmp_path / "missing", CURRENT_USER)


def test_lock_is_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, timeout=0):
        with pytest.raises(TimeoutError, match=str(path)):
            with lock(path, timeout=0.01):
                raise AssertionError("locked twice")
    with lock(path, timeout=0) as descriptor:
        assert is_same_file(path, descriptor)
        path.unlink()
        assert not is_same_file(path, descriptor)
