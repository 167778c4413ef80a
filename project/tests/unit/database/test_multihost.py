"""Connections when DATABASE_URL names several servers."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from devtools.servers import free_port
from project.database import multihost
from project.database.engines import driver_arguments
from project.database.multihost import MultihostConnector
from project.tests.silent_server import SilentServer


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with SilentServer() as server:
        yield server


@pytest.fixture
def refusing_port() -> str:
    """A port on which nothing listens."""
    return str(free_port())


def make_connector(
    database_url: str, *ports: str, **arguments: str
) -> MultihostConnector:
    """Return a connector for loopback ports, followed by the test database."""
    real = driver_arguments(database_url)
    hosts = ["127.0.0.1"] * len(ports) + [real["host"]]
    return MultihostConnector(
        {
            **real,
            "host": ",".join(hosts),
            "port": ",".join([*ports, str(real.get("port", ""))]),
            # The shortest that libpq accepts.
            "connect_timeout": 2,
            **arguments,
        }
    )


def connect(connector: MultihostConnector) -> None:
    """Open a connection and close it again."""
    with closing(connector()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_server_that_refuses_is_skipped(database_url: str, refusing_port: str) -> None:
    connect(make_connector(database_url, refusing_port))


@pytest.mark.waiting
def test_server_that_does_not_respond_is_skipped(
    database_url: str, silent: SilentServer
) -> None:
    connector = make_connector(database_url, silent.port)
    connect(connector)
    assert silent.count_connections() == 1


@pytest.mark.waiting
def test_server_of_the_last_session_is_tried_first(
    database_url: str, silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multihost, "RETRY_SECONDS", 0)
    connector = make_connector(database_url, silent.port)
    for _ in range(3):
        connect(connector)
    assert silent.count_connections() == 1


@pytest.mark.waiting
def test_balanced_sessions_do_not_wait_again_for_a_server_that_is_down(
    database_url: str, silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multihost, "RETRY_SECONDS", 60)
    connector = make_connector(database_url, silent.port, load_balance_hosts="random")
    # Each server is the first one of some of them.
    for _ in range(50):
        connect(connector)
    assert silent.count_connections() == 1


@pytest.mark.waiting
def test_server_that_is_down_is_tried_again(
    silent: SilentServer, refusing_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multihost, "RETRY_SECONDS", 0)
    connector = MultihostConnector(
        {
            "host": "127.0.0.1,127.0.0.1",
            "port": f"{silent.port},{refusing_port}",
            "connect_timeout": 2,
        }
    )
    for attempts in (1, 2):
        with pytest.raises(psycopg2.OperationalError):
            connector()
        assert silent.count_connections() == attempts


def test_error_names_the_reason_of_each_server(refusing_port: str) -> None:
    arguments = {"host": "127.0.0.1,/nowhere", "port": f"{refusing_port},"}
    with pytest.raises(psycopg2.OperationalError) as caught:
        MultihostConnector(arguments)()
    first, second = str(caught.value).split("; ")
    assert first.startswith(f"127.0.0.1:{refusing_port}: ")
    assert "Connection refused" in first
    assert second.startswith("/nowhere: ")


def test_server_without_a_port_has_the_default() -> None:
    """The address of libpq's error contains it."""
    connector = MultihostConnector({"host": "/nowhere,/elsewhere"})
    with pytest.raises(psycopg2.OperationalError) as caught:
        connector()
    assert str(caught.value).count("5432") == 2
