"""`pipenv run serve` starts an embedded PostgreSQL server and keeps its users."""

import json
import os
import shutil
import signal
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devtools.servers import ROOT, start_process

if TYPE_CHECKING:
    import psutil
else:
    psutil = pytest.importorskip(
        "psutil", reason="psutil comes with the embedded PostgreSQL: not installed"
    )
SERVE = [sys.executable, "manage.py", "run", "--port", "{port}"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with its own `instance` folder."""
    for name in ("manage.py", "migrations", "project"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def add_user(url: str, number: int) -> None:
    body = {"username": f"user {number}", "email": f"{number}@example.com"}
    request = urllib.request.Request(
        f"{url}/users",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 201


def usernames(url: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/users") as response:
        return [user["username"] for user in json.load(response)["data"]["users"]]


def postgres_process(checkout: Path) -> psutil.Process | None:
    """Return the process of the embedded server, or None if it does not run."""
    pid_file = checkout / "instance/postgres/postmaster.pid"
    if not pid_file.exists():
        return None
    return psutil.Process(int(pid_file.read_text().split()[0]))


def test_serve_prints_its_urls_and_keeps_its_users(checkout: Path) -> None:
    with open(checkout / "output", "w+") as output:
        with start_process(SERVE, checkout, output) as (url, _):
            add_user(url, 1)
        output.seek(0)
        printed = output.read()
    assert "Database: postgresql:///users_dev (embedded)" in printed
    assert f"Users: {url}/users" in printed
    assert f"curl -i {url}/users" in printed
    assert f"{url}/docs" in printed
    with start_process(SERVE, checkout) as (url, _):
        assert usernames(url) == ["user 1"]
        with urllib.request.urlopen(f"{url}/ping") as response:
            assert response.headers["Server"] == "werkzeug"


def test_kill_loses_no_user_whose_request_was_answered(checkout: Path) -> None:
    with start_process(SERVE, checkout) as (url, process):
        for number in range(20):
            add_user(url, number)
        server = postgres_process(checkout)
        assert server is not None
        children = server.children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        server.kill()
        psutil.wait_procs([server, *children], timeout=10)
    with start_process(SERVE, checkout) as (url, _):
        assert usernames(url) == [f"user {number}" for number in range(20)]
    # The killed process must not keep the server running after the last one ends.
    assert postgres_process(checkout) is None
