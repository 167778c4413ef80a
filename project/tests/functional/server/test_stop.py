"""After SIGTERM, gunicorn answers every request that it has accepted."""

import http.client
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeAlias

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn

pytestmark = pytest.mark.server

# Less than `graceful_timeout`, for which gunicorn waits for unanswered requests.
STOP_TIMEOUT = 20
REQUEST = b"GET /users HTTP/1.1\r\nHost: users\r\n\r\n"
# The address as host:port, and gunicorn's main process.
Service: TypeAlias = tuple[str, subprocess.Popen[bytes]]


@pytest.fixture
def service(empty_database: SQLAlchemy, database_url: str) -> Iterator[Service]:
    """The service under gunicorn with one worker, which is ready."""
    with start_gunicorn(database_url, WEB_CONCURRENCY="1") as (url, process):
        yield url.removeprefix("http://"), process


def open_connection(address: str) -> socket.socket:
    """Open a connection without sending anything."""
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def get_users(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Request `/users` and return the response, whose body has been read."""
    connection.request("GET", "/users")
    response = connection.getresponse()
    response.read()
    return response


def test_busy_connections_get_connection_close(service: Service) -> None:
    """16 clients send requests in a loop; none is disconnected without notice."""
    address, process = service
    # The server stops while every client has a connection that it uses.
    connected = threading.Barrier(17, timeout=20)

    def send_until_closed(_: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=20)
        response = get_users(connection)
        connected.wait()
        while response.headers["Connection"] != "close":
            response = get_users(connection)
            assert response.status == 200

    with ThreadPoolExecutor(16) as pool:
        clients = pool.map(send_until_closed, range(16))
        connected.wait()
        process.terminate()
        list(clients)
    assert process.wait(STOP_TIMEOUT) == 0


def test_request_that_ends_after_the_stop_gets_connection_close(
    service: Service,
) -> None:
    address, process = service
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.putrequest("POST", "/users")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "2")
    connection.endheaders(b"{")
    with closing(connection):
        # The request has started when a later one is answered.
        with closing(http.client.HTTPConnection(address, timeout=20)) as other:
            assert get_users(other).status == 200
        process.terminate()
        time.sleep(0.2)
        connection.send(b"}")
        response = connection.getresponse()
        assert (response.status, response.headers["Connection"]) == (400, "close")
    assert process.wait(STOP_TIMEOUT) == 0


def test_idle_connections_do_not_delay_the_stop(service: Service) -> None:
    address, process = service
    used = http.client.HTTPConnection(address, timeout=20)
    assert get_users(used).status == 200
    with open_connection(address) as unused, used.sock:
        process.terminate()
        assert process.wait(STOP_TIMEOUT) == 0
        assert unused.recv(1) == used.sock.recv(1) == b""


def test_connections_in_the_accept_queue_are_answered(service: Service) -> None:
    """The connections are opened while the worker cannot accept, before the stop."""
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    address, process = service
    (worker,) = psutil.Process(process.pid).children()
    worker.suspend()
    connections = [open_connection(address) for _ in range(16)]
    for connection in connections:
        connection.sendall(REQUEST)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    worker.resume()
    for connection in connections:
        with connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert process.wait(STOP_TIMEOUT) == 0
