"""SIGTERM to the service as production runs it: what was accepted is answered."""

import http.client
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from project.tests.servers import gunicorn

REQUEST = b"GET /users HTTP/1.1\r\nHost: users\r\n\r\n"


@pytest.fixture
def service(empty_database, database_url):
    """The service: its address, and its process, whose one worker has started."""
    with gunicorn(database_url, WEB_CONCURRENCY="1") as (url, process):
        yield url.removeprefix("http://"), process


def connect(address):
    """Open a connection that nothing was sent on."""
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def ask(connection):
    """Make a request; return whether the connection stays open."""
    connection.request("GET", "/users")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read().startswith(b'{"status":"success"')
    return answer.headers["Connection"] != "close"


def test_busy_connections_are_told_to_close(service):
    """Each of 16 clients asks on and on; none is cut off without being told."""
    address, process = service

    def use(_):
        connection = http.client.HTTPConnection(address, timeout=20)
        asked = 1
        while ask(connection):
            asked += 1
        return asked

    with ThreadPoolExecutor(16) as pool:
        clients = pool.map(use, range(16))
        time.sleep(0.5)
        process.terminate()
        asked = list(clients)
    assert min(asked) > 1
    assert process.wait(10) == 0


def test_idle_connections_do_not_hold_it(service):
    address, process = service
    used = http.client.HTTPConnection(address, timeout=20)
    assert ask(used)
    with connect(address) as fresh, used.sock:
        process.terminate()
        # The container's engine kills after 10 seconds.
        assert process.wait(10) == 0
        assert fresh.recv(1) == used.sock.recv(1) == b""


def test_connections_in_the_queue_are_answered(service):
    """They were made while the worker could accept none, before the stop."""
    psutil = pytest.importorskip("psutil", reason="not installed")
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
