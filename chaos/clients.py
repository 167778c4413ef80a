"""Misbehaving clients: slow, idle, aborting, and too many."""

import json
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    ExitStack,
    closing,
    contextmanager,
    suppress,
)
from itertools import count
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from chaos.load import RequestResult, connect, request_page

GET_PING = b"GET /ping HTTP/1.1\r\nHost: chaos\r\n\r\n"
GET_LONG_PAGE = b"GET /users?limit=1000 HTTP/1.1\r\nHost: chaos\r\n\r\n"
UNFINISHED_HEADERS = b"GET /ping HTTP/1.1\r\nHost: chaos\r\nX-Slow: " + b"x" * 4000
UNFINISHED_BODY = (
    b"POST /users HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"
    b"Content-Length: 4000\r\n\r\n"
)
CONNECTIONS_PER_CLIENT = 100
# struct linger {on, 0 seconds}: close() resets the connection.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RequestSpec(NamedTuple):
    method: str
    path: str
    body: bytes | None = None


MIXED_REQUESTS = (
    RequestSpec("GET", "/ping"),
    RequestSpec("GET", "/users/1"),
    RequestSpec("GET", "/users/999999999999999999999"),
    RequestSpec("GET", "/users?limit=10"),
    RequestSpec("GET", "/users?limit=ten&" + "x" * 200),
    RequestSpec("GET", "/nowhere/" + "y" * 200),
    RequestSpec("POST", "/users", b'{"username": "\x00", "email": 1}'),
    RequestSpec("POST", "/users", b"[" * 2000),
    RequestSpec("POST", "/users", b'{"username": "a", "email": "filler1@example.com"}'),
    RequestSpec("PATCH", "/users/1", b'{"username": "b"}'),
    RequestSpec("BREW", "/users"),
)


def raise_open_file_limit() -> None:
    """Raise the limit of open files to the hard limit, for thousands of sockets."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def loopback_address(client: int) -> str:
    """Return the IP address of a client, whose number is less than 65,536."""
    return f"127.1.{client >> 8}.{client & 255}"


def open_socket(url: str, client: int = 0) -> socket.socket:
    """Return a socket that is connected to the service.

    Args:
        client: see `loopback_address`.
    """
    address = urlsplit(url)
    return socket.create_connection(
        (address.hostname, address.port),
        timeout=20,
        source_address=(loopback_address(client), 0),
    )


@contextmanager
def open_sockets(url: str, number: int) -> Iterator[list[socket.socket]]:
    """Open sockets that are connected to the service, and close them at the end.

    Each client has CONNECTIONS_PER_CLIENT of them, fewer than the service's limit.
    """
    with ExitStack() as stack:
        yield [
            stack.enter_context(open_socket(url, index // CONNECTIONS_PER_CLIENT))
            for index in range(number)
        ]


@contextmanager
def slow_connections(url: str, number: int) -> Iterator[None]:
    """Hold connections that send their headers or their body a byte per second."""
    stop = threading.Event()
    with open_sockets(url, number) as sockets:
        for index, client in enumerate(sockets):
            client.sendall(UNFINISHED_HEADERS[:40] if index % 2 else UNFINISHED_BODY)

        def send_bytes() -> None:
            while not stop.wait(1):
                for client in sockets:
                    with suppress(OSError):
                        client.send(b"x")

        thread = threading.Thread(target=send_bytes, daemon=True)
        thread.start()
        yield
        stop.set()
        thread.join()


@contextmanager
def idle_connections(url: str, number: int) -> Iterator[None]:
    """Hold keep-alive connections that send nothing after their first request.

    Raises:
        RuntimeError: the first request failed.
    """
    with open_sockets(url, number) as sockets:
        for client in sockets:
            client.sendall(GET_PING)
        for client in sockets:
            response = client.recv(1000)
            if not response.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"/ping failed: {response!r}")
        yield


@contextmanager
def aborted_connections(url: str, number: int) -> Iterator[None]:
    """Reset connections in the middle of a request or a response."""
    sent = (
        UNFINISHED_HEADERS,
        UNFINISHED_BODY + b'{"username": "a',
        GET_LONG_PAGE,
    )
    for index in range(number):
        with open_socket(url) as client:
            client.sendall(sent[index % len(sent)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            time.sleep(random.random() / 200)
    yield


def measure_capacity(url: str, seconds: float, clients: int = 20) -> float:
    """Return how many pages per second the service serves to concurrent clients."""
    deadline = time.monotonic() + seconds

    def count_pages(_: int) -> int:
        pages = 0
        while time.monotonic() < deadline:
            pages += request_page(url).succeeded
        return pages

    with ThreadPoolExecutor(clients) as executor:
        return sum(executor.map(count_pages, range(clients))) / seconds


def send_at_rate(url: str, rate: float, seconds: float) -> list[RequestResult]:
    """Request pages at a fixed rate, however slowly the service responds.

    Args:
        rate: requests per second.
    """
    start = time.monotonic()

    def request_at_its_time(number: int) -> RequestResult:
        time.sleep(max(0, start + number / rate - time.monotonic()))
        return request_page(url)

    number = int(rate * seconds)
    with ThreadPoolExecutor(number) as executor:
        return list(executor.map(request_at_its_time, range(number)))


def count_server_errors(url: str, requests: int, clients: int = 4) -> int:
    """Send valid and invalid requests, and return how many responses are 5xx.

    Args:
        requests: the total of all clients.
    """

    def send_requests(_: int) -> int:
        server_errors = 0
        with closing(connect(url)) as connection:
            for number in range(requests // clients):
                method, path, body = MIXED_REQUESTS[number % len(MIXED_REQUESTS)]
                headers = {"Content-Type": "application/json"} if body else {}
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                response.read()
                server_errors += response.status >= 500
        return server_errors

    with ThreadPoolExecutor(clients) as executor:
        return sum(executor.map(send_requests, range(clients)))


class ConnectionResult(NamedTuple):
    """What a client has sent on a connection.

    Attributes:
        added_emails: the addresses of the users whose POST succeeded.
    """

    requests: int
    added_emails: set[str]


def send_until_closed(url: str) -> ConnectionResult:
    """Add users on one connection until a response has `Connection: close`.

    Raises:
        HTTPException, OSError: a request got no response.
    """
    added_emails = set()
    with closing(connect(url)) as connection:
        for number in count(1):
            email = f"{uuid4().hex}@example.com"
            body = json.dumps({"username": "0", "email": email})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/users", body, headers)
            response = connection.getresponse()
            response.read()
            if response.status == 201:
                added_emails.add(email)
            if response.getheader("Connection") == "close":
                break
    return ConnectionResult(number, added_emails)
