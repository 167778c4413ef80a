"""Clients that try to keep the service from serving others.

Each attack runs in a process of its own until it is killed, so that it does not slow
down the clients that are measured. Its argument is the service's URL.
"""

import http.client
import multiprocessing
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from urllib.parse import urlencode, urlsplit

from chaos.clients import (
    GET_LONG_PAGE,
    GET_PING,
    UNFINISHED_BODY,
    loopback_address,
    open_socket,
    raise_open_file_limit,
)

Attack = Callable[[str], None]

# The number of clients that attack together.
CLIENTS = 50
FLOOD_CONNECTIONS = 10_000
UNREAD_CONNECTIONS = 100
# The number of logins at the same time.
LOGINS = 12

ENDLESS_BODY = (
    b"GET /ping HTTP/1.1\r\nHost: chaos\r\nContent-Length: 100000000000\r\n\r\n"
)
CHUNKED_BODY = (
    b"GET /ping HTTP/1.1\r\nHost: chaos\r\nTransfer-Encoding: chunked\r\n\r\n"
)
# Almost as long as the service accepts it.
LONG_HEAD = b"GET /ping HTTP/1.1\r\nHost: chaos\r\n" + b"X: %s\r\n" % (b"x" * 8000) * 4
CSRF_TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')


@contextmanager
def start_attack(attack: Attack, url: str) -> Iterator[None]:
    """Run an attack in a process."""
    process = multiprocessing.get_context("spawn").Process(target=attack, args=(url,))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def keep_connected(
    url: str,
    first: bytes,
    repeated: bytes = b"",
    connections: int = CLIENTS,
    clients: int = CLIENTS,
    reads: bool = True,
) -> None:
    """Hold connections and send data. Replace each connection that the service closes.

    Args:
        first: sent once on each connection.
        repeated: sent as often as the service accepts it.
        clients: the number of addresses that the connections have.
        reads: whether to read the responses.
    """
    raise_open_file_limit()
    pool: dict[int, socket.socket] = {}
    while True:
        for number in range(connections):
            try:
                if number not in pool:
                    pool[number] = open_socket(url, number % clients)
                    pool[number].sendall(first)
                    pool[number].setblocking(False)
                with suppress(BlockingIOError):
                    if reads and not pool[number].recv(1 << 18):
                        raise ConnectionResetError
                with suppress(BlockingIOError):
                    pool[number].send(repeated)
            except OSError:
                if number in pool:
                    pool.pop(number).close()
        time.sleep(0.001)


def pipeline(url: str) -> None:
    """Send requests without waiting for the responses."""
    keep_connected(url, b"", GET_PING * 1000)


def pipeline_pages(url: str) -> None:
    """Send requests for long pages without waiting for the responses."""
    keep_connected(url, b"", GET_LONG_PAGE * 100)


def send_endless_body(url: str) -> None:
    """Send a body of 100 GB with a request that needs none."""
    keep_connected(url, ENDLESS_BODY, b"x" * (1 << 18))


def send_small_chunks(url: str) -> None:
    """Send a body in chunks of one byte."""
    keep_connected(url, CHUNKED_BODY, b"1\r\nx\r\n" * 10_000)


def send_slow_head(url: str) -> None:
    """Send a long head, then single bytes."""
    keep_connected(url, LONG_HEAD, b"x")


def never_read(url: str) -> None:
    """Request long pages, and read none of the responses."""
    keep_connected(
        url, GET_LONG_PAGE * 100, connections=UNREAD_CONNECTIONS, reads=False
    )


def flood(url: str) -> None:
    """Open connections from one address, each with an unfinished body."""
    keep_connected(url, UNFINISHED_BODY, connections=FLOOD_CONNECTIONS, clients=1)


def log_in(url: str) -> None:
    """Log in with wrong passwords, several at a time."""
    with ThreadPoolExecutor(LOGINS) as executor:
        for first_client in range(LOGINS):
            executor.submit(log_in_repeatedly, url, first_client)


def log_in_repeatedly(url: str, first_client: int) -> None:
    """Log in with a wrong password, each time from another address."""
    for client in count(first_client, LOGINS):
        source = (loopback_address(client % 2**16), 0)
        netloc = urlsplit(url).netloc
        connection = http.client.HTTPConnection(netloc, source_address=source)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/admin/login")
            response = connection.getresponse()
            token = CSRF_TOKEN.search(response.read().decode())
            form = {"username": "chaos", "csrf_token": token[1] if token else ""}
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": response.getheader("Set-Cookie", "").partition(";")[0],
            }
            connection.request("POST", "/admin/login", urlencode(form), headers)
            connection.getresponse().read()
