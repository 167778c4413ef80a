"""`pipenv run serve` starts an embedded PostgreSQL server and keeps its users."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devtools.servers import ROOT, START_TIMEOUT, clean_environment, start_process
from project.tests.http_client import send
from project.tests.users import user_body

if TYPE_CHECKING:
    import psutil
else:
    psutil = pytest.importorskip(
        "psutil", reason="psutil comes with the embedded PostgreSQL: not installed"
    )

from project.database.embedded_server import wait_until_ended  # noqa: E402

pytestmark = pytest.mark.server
# `start_process` sets PORT, which .flaskenv passes to Flask.
SERVE = [sys.executable, "manage.py", "run"]


@pytest.fixture(autouse=True)
def read_flaskenv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable .flaskenv in the child processes. The tests disable it with .env."""
    monkeypatch.delenv("FLASK_SKIP_DOTENV")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with its own `instance` folder."""
    for name in (".flaskenv", "manage.py"):
        shutil.copy(ROOT / name, tmp_path)
    # The tests' node_modules have thousands of files.
    without_tests = shutil.ignore_patterns("tests")
    for package in ("migrations", "project"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=without_tests)
    return tmp_path


@contextmanager
def serve(
    checkout: Path, *options: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the development server, whose output is appended to the file `output`."""
    path = checkout / "output"
    try:
        with open(path, "a") as output:
            with start_process([*SERVE, *options], checkout, output) as server:
                yield server
    except RuntimeError as error:
        error.add_note(path.read_text())
        raise


def assert_user_added(url: str, number: int) -> None:
    body = user_body(username=f"user {number}", email=f"{number}@example.com")
    assert send(f"{url}/users", "POST", body).status == 201


def fetch_usernames(url: str) -> list[str]:
    return [user["username"] for user in send(f"{url}/users").body["data"]["users"]]


def postgres_process(checkout: Path) -> psutil.Process | None:
    """Return the process of the embedded server, or None if it does not run."""
    pid_file = checkout / "instance/postgres/postmaster.pid"
    if not pid_file.exists():
        return None
    return psutil.Process(int(pid_file.read_text().split()[0]))


def test_deleted_data_is_explained_and_the_server_stops(checkout: Path) -> None:
    with serve(checkout) as (url, process):
        assert_user_added(url, 1)
        server = postgres_process(checkout)
        shutil.rmtree(checkout / "instance")
        assert send(f"{url}/users").status == 503
        assert send(f"{url}/ping").status == 200
        process.terminate()
        process.wait(START_TIMEOUT)
    printed = (checkout / "output").read_text()
    assert "was deleted while the server was running: restart" in printed
    assert "Traceback" not in printed
    assert server
    wait_until_ended(server)


def test_serve_prints_its_urls_and_a_kill_loses_no_acknowledged_user(
    checkout: Path,
) -> None:
    with serve(checkout) as (url, process):
        for number in range(20):
            assert_user_added(url, number)
        server = postgres_process(checkout)
        assert server is not None
        children = server.children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        server.kill()
        psutil.wait_procs([server, *children], timeout=10)
    printed = (checkout / "output").read_text()
    assert "Database: postgresql:///users_dev (embedded)" in printed
    assert f"Users: {url}/users" in printed
    assert f"curl -i {url}/users" in printed
    assert f"{url}/docs" in printed
    with serve(checkout) as (url, _):
        assert fetch_usernames(url) == [f"user {number}" for number in range(20)]
    # The killed process must not keep the server running after the last one ends.
    assert postgres_process(checkout) is None


def wait_for_text(url: str, text: str) -> None:
    """Request a URL, also while the server restarts, until the body contains a text."""
    deadline = time.monotonic() + START_TIMEOUT
    body = ""
    while text not in body:
        if time.monotonic() > deadline:
            raise TimeoutError(body)
        time.sleep(0.1)
        request = urllib.request.Request(url, headers={"Accept": "text/html"})
        # A restart refuses the connection, or ends it in the middle of a response.
        with suppress(OSError, http.client.HTTPException):
            try:
                response = urllib.request.urlopen(request, timeout=START_TIMEOUT)
            except urllib.error.HTTPError as error:
                response = error
            with response:
                body = response.read().decode()


def test_development_server_survives_a_syntax_error(checkout: Path) -> None:
    view = checkout / "project/api/ping.py"
    source = view.read_text()
    with serve(checkout, "--debug") as (url, _):
        view.write_text(f"{source}\ndef broken(:\n")
        wait_for_text(f"{url}/ping", "SyntaxError")
        view.write_text(source.replace("pong!", "fixed!"))
        wait_for_text(f"{url}/ping", "fixed!")


@pytest.mark.parametrize(
    "program, source",
    [
        (["manage.py"], "environment"),
        (["manage.py"], ".env"),
        (["-m", "flask"], "environment"),
    ],
)
def test_port_in_use_is_reported_with_the_option(
    checkout: Path, program: list[str], source: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        if source == ".env":
            (checkout / ".env").write_text(f"PORT={port}\n")
            variables = {}
        else:
            variables = {"PORT": port}
        failed = subprocess.run(
            [sys.executable, *program, "run"],
            cwd=checkout,
            env=clean_environment() | variables,
            capture_output=True,
            text=True,
        )
    assert failed.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in failed.stderr
    assert "--port" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
