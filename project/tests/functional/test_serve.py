"""`pipenv run serve`: a service on a PostgreSQL of its own, which keeps its users."""

import json
import os
import shutil
import signal
import sys
import urllib.request

import pytest

from project.tests.servers import ROOT, started

psutil = pytest.importorskip(
    "psutil", reason="it comes with the embedded PostgreSQL, which is not installed"
)
SERVE = [sys.executable, "manage.py", "run", "--port", "{port}"]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project with an `instance/` of its own."""
    for name in ("manage.py", "project"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    return tmp_path


def add(url, number):
    """Add a user and return its URL; the answer was 201."""
    body = {"username": f"user {number}", "email": f"{number}@example.com"}
    request = urllib.request.Request(
        f"{url}/users",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201
        return answer.headers["Location"]


def names(url):
    with urllib.request.urlopen(f"{url}/users") as answer:
        return [user["username"] for user in json.load(answer)["data"]["users"]]


def postgres(checkout):
    """Return the process of the embedded server, or None."""
    pid_file = checkout / "instance/postgres/postmaster.pid"
    if not pid_file.exists():
        return None
    return psutil.Process(int(pid_file.read_text().split()[0]))


def test_serves_and_keeps_its_users(checkout):
    with open(checkout / "output", "w+") as output:
        with started(SERVE, checkout, output) as (url, _):
            add(url, 1)
        output.seek(0)
        said = output.read()
    assert "Database: postgresql:///users_dev (embedded)" in said
    assert f"Users: {url}/users" in said
    assert f"curl -i {url}/users" in said
    assert f"{url}/docs" in said
    with started(SERVE, checkout) as (url, _):
        assert names(url) == ["user 1"]
        with urllib.request.urlopen(f"{url}/ping") as answer:
            assert answer.headers["Server"] == "werkzeug"


def test_kill_loses_no_user_that_was_answered(checkout):
    with started(SERVE, checkout) as (url, process):
        for number in range(20):
            add(url, number)
        server = postgres(checkout)
        children = server.children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        server.kill()
        psutil.wait_procs([server, *children], timeout=10)
    with started(SERVE, checkout) as (url, _):
        assert names(url) == [f"user {number}" for number in range(20)]
    # A killed process does not keep the server running after the last one.
    assert postgres(checkout) is None
