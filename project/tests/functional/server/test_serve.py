"""`pipenv run serve` starts an embedded PostgreSQL server and keeps its users."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devtools.servers import (
    ROOT,
    START_TIMEOUT,
    clean_environment,
    start_process,
)

if TYPE_CHECKING:
    import psutil
else:
    psutil = pytest.importorskip(
        "psutil", reason="psutil comes with the embedded PostgreSQL: not installed"
    )
# `start_process` sets PORT, which .flaskenv passes to Flask.
SERVE = [sys.executable, "manage.py", "run"]


@pytest.fixture(autouse=True)
def read_flaskenv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable .flaskenv in the child processes. The tests disable it with .env."""
    monkeypatch.delenv("FLASK_SKIP_DOTENV")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with its own `instance` folder."""
    for name in (".flaskenv", "manage.py", "migrations", "project"):
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


def test_deleted_data_is_explained_and_the_server_stops(checkout: Path) -> None:
    with open(checkout / "output", "w+") as output:
        with start_process(SERVE, checkout, output) as (url, process):
            add_user(url, 1)
            server = postgres_process(checkout)
            shutil.rmtree(checkout / "instance")
            with pytest.raises(urllib.error.HTTPError, match="503"):
                usernames(url)
            with urllib.request.urlopen(f"{url}/ping") as response:
                assert response.status == 200
            process.send_signal(signal.SIGINT)
            process.wait(START_TIMEOUT)
        output.seek(0)
        printed = output.read()
    assert "was deleted while the server was running: restart" in printed
    assert "Traceback" not in printed
    assert server and not server.is_running()
    with start_process(SERVE, checkout) as (url, _):
        assert usernames(url) == []


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


def wait_for_text(url: str, text: str) -> None:
    """Request a URL, also while the server restarts, until the body contains a text."""
    deadline = time.monotonic() + START_TIMEOUT
    body = ""
    while text not in body:
        assert time.monotonic() < deadline, body
        time.sleep(0.1)
        request = urllib.request.Request(url, headers={"Accept": "text/html"})
        try:
            with urllib.request.urlopen(request, timeout=START_TIMEOUT) as response:
                body = response.read().decode()
        except urllib.error.HTTPError as error:
            body = error.read().decode()
        except OSError:
            pass


def test_development_server_survives_a_syntax_error(checkout: Path) -> None:
    view = checkout / "project/api/ping.py"
    source = view.read_text()
    with start_process([*SERVE, "--debug"], checkout) as (url, _):
        view.write_text(f"{source}\ndef broken(:\n")
        wait_for_text(f"{url}/ping", "SyntaxError")
        view.write_text(source.replace("pong!", "fixed!"))
        wait_for_text(f"{url}/ping", "fixed!")


@pytest.mark.parametrize("program", [["manage.py"], ["-m", "flask"]])
def test_port_in_use_is_reported_with_the_option(program: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        failed = subprocess.run(
            [sys.executable, *program, "run"],
            cwd=ROOT,
            env=clean_environment() | {"PORT": port},
            capture_output=True,
            text=True,
        )
    assert failed.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in failed.stderr
    assert "--port" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
