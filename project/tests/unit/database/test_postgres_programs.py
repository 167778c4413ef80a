"""The user that PostgreSQL's programs run as."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no pwd", allow_module_level=True)

from project.database import postgres_programs
from project.database.availability import DatabaseNotConfigured
from project.database.postgres_programs import (
    ServerUser,
    is_reachable,
    server_user,
    setpriv_command,
    user_name,
)


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without programs; it forgets the user and the command afterwards."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for function in (server_user, setpriv_command):
        function.cache_clear()
    yield
    for function in (server_user, setpriv_command):
        function.cache_clear()


def test_missing_system_user_that_cannot_be_created_is_explained(
    no_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres_programs, "SYSTEM_USER", "no_such_user")
    with pytest.raises(DatabaseNotConfigured, match="no_such_user cannot be created"):
        server_user()


def test_missing_setpriv_is_explained(no_programs: None) -> None:
    with pytest.raises(DatabaseNotConfigured, match="run this command as an ordinary"):
        setpriv_command(ServerUser(1, 1, "daemon"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use setpriv")
def test_setpriv_without_permission_is_explained() -> None:
    with pytest.raises(DatabaseNotConfigured, match="setpriv"):
        setpriv_command(ServerUser(1, 1, "daemon"))


def test_reachable_path_has_no_private_folder_above(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    assert is_reachable(Path("/anything"))
    assert not is_reachable(private / "file")


def test_user_without_a_name() -> None:
    assert user_name(os.geteuid())
    assert user_name(2**31 - 7) == str(2**31 - 7)
