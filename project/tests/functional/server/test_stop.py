"""After SIGTERM, gunicorn answers every request that it has accepted."""

import http.client
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn

REQUEST = b"GET /users HTTP/1.1\r\nHost: users\r\n\r\n"
# The address as host:port, and gunicorn's main process.
Service: TypeAlias = tuple[str, subprocess.Popen[bytes]]


@pytest.fixture
def service(empty_database: SQLAlchemy, database_url: str) -> Iterator[Service]:
    """The service under gunicorn with one worker, which is ready."""
    with start_gunicorn(database_url, WEB_CONCURRENCY="1") as (url, process):
        yield url.removeprefix("http://"), process


def connect(address: str) -> socket.socket:
    """Open a connection without sending anything."""
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def get_users(connection: http.client.HTTPConnection) -> bool:
    """Request `/users` and return whether the server keeps the connection open."""
    connection.request("GET", "/users")
    response = connection.getresponse()
    assert response.status == 200
    assert response.read().startswith(b'{"status":"success"')
    return response.headers["Connection"] != "close"


def test_busy_connections_get_connection_close(service: Service) -> None:
    """16 clients send requests in a loop; none is disconnected without notice."""
    address, process = service

    def count_requests(_: int) -> int:
        connection = http.client.HTTPConnection(address, timeout=20)
        requests = 1
        while get_users(connection):
            requests += 1
        return requests

    with ThreadPoolExecutor(16) as pool:
        clients = pool.map(count_requests, range(16))
        time.sleep(0.5)
        process.terminate()
        counts = list(clients)
    assert min(counts) > 1
    assert process.wait(10) == 0


def test_idle_connections_do_not_delay_the_stop(service: Service) -> None:
    address, process = service
    used = http.client.HTTPConnection(address, timeout=20)
    assert get_users(used)
    with connect(address) as unused, used.sock:
        process.terminate()
        # A container engine kills the process after 10 seconds.
        assert process.wait(10) == 0
        assert unused.recv(1) == used.sock.recv(1) == b""


def test_connections_in_the_accept_queue_are_answered(service: Service) -> None:
    """The connections are opened while the worker cannot accept, before the stop."""
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    address, process = service
    (worker,) = psutil.Process(process.pid).children()
    worker.suspend()
    connections = [connect(address) for _ in range(16)]
    for connection in connections:
        connection.sendall(REQUEST)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    worker.resume()
    for connection in connections:
        with connection:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert process.wait(10) == 0
