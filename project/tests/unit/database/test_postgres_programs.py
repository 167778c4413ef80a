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
from project.database.postgres_programs import is_reachable, run_program, server_user


@pytest.fixture
def forget_user() -> Iterator[None]:
    """Determine the user again, in the test and after it."""
    server_user.cache_clear()
    yield
    server_user.cache_clear()


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))


def test_system_user_that_cannot_be_created_is_explained(
    forget_user: None, no_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres_programs, "SYSTEM_USER", "no_such_user")
    with pytest.raises(DatabaseNotConfigured, match="as an ordinary user"):
        server_user()


def test_user_without_an_entry_is_explained(
    forget_user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)
    with pytest.raises(DatabaseNotConfigured, match="in /etc/passwd"):
        server_user()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs setpriv")
def test_missing_setpriv_is_explained(no_programs: None, tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotConfigured, match="setpriv.*as an ordinary user"):
        run_program("initdb", "--version", folder=tmp_path)


def test_reachable_path_has_no_private_folder_above(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    assert is_reachable(Path("/anything"))
    assert not is_reachable(private / "file")
