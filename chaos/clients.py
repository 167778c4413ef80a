"""Clients that misbehave: slow, idle, vanishing, and too many."""

import http.client
import random
import resource
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from chaos.load import Answer

# A header and a body that end late, a byte at a time.
HEAD = b"GET /ping HTTP/1.1\r\nHost: chaos\r\nX-Slow: " + b"x" * 4000
BODY = (
    b"POST /users HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"
    b"Content-Length: 4000\r\n\r\n"
)


def allow_many_files():
    """Raise the limit of open files as far as we may, for thousands of sockets."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def connect(url):
    """Return a socket that is connected to the service."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


@contextmanager
def slow(url, number):
    """Connections that send a byte a second, of headers or of a body."""
    sockets = [connect(url) for _ in range(number)]
    for index, each in enumerate(sockets):
        each.sendall(HEAD[:40] if index % 2 else BODY)
    stop = threading.Event()

    def drip():
        while not stop.wait(1):
            for each in sockets:
                with suppress(OSError):
                    each.send(b"x")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()
    for each in sockets:
        each.close()


@contextmanager
def idle(url, number):
    """Connections that were answered once and now say nothing."""
    sockets = [connect(url) for _ in range(number)]
    for each in sockets:
        each.sendall(b"GET /ping HTTP/1.1\r\nHost: chaos\r\n\r\n")
    for each in sockets:
        answer = each.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200"), answer
    yield
    for each in sockets:
        each.close()


@contextmanager
def vanishing(url, number):
    """Connections that break in the middle of a request or of its answer."""
    for index in range(number):
        each = connect(url)
        each.sendall(
            [
                HEAD,
                BODY + b'{"username": "a',
                b"GET /users?limit=1000 HTTP/1.1\r\nHost: chaos\r\n\r\n",
            ][index % 3]
        )
        # With a linger of 0 the connection is reset instead of closed.
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(random.random() / 200)
        each.close()
    yield


def page(url, timeout=60):
    """Ask for a user on a new connection, and return the Answer."""
    began = time.monotonic()
    status, retry_after = None, None
    try:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
        connection.request("GET", "/users?limit=1")
        answer = connection.getresponse()
        answer.read()
        status, retry_after = answer.status, answer.getheader("Retry-After")
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    return Answer("read", began, time.monotonic() - began, status, retry_after)


def capacity(url, seconds):
    """Return how many pages a second the service can serve."""
    until = time.monotonic() + seconds

    def work(_):
        served = 0
        while time.monotonic() < until:
            served += page(url).status == 200
        return served

    with ThreadPoolExecutor(20) as pool:
        return sum(pool.map(work, range(20))) / seconds


def flood(url, rate, seconds):
    """Ask at a fixed rate, whatever comes back, and return the Answers.

    Args:
        url: the service's URL.
        rate: the requests a second.
        seconds: how long.
    """
    start = time.monotonic()

    def work(number):
        time.sleep(max(0, start + number / rate - time.monotonic()))
        return page(url)

    number = int(rate * seconds)
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, range(number)))


MIX = [
    ("GET", "/ping", None),
    ("GET", "/users/1", None),
    ("GET", "/users/999999999999999999999", None),
    ("GET", "/users?limit=10", None),
    ("GET", "/users?limit=ten&" + "x" * 200, None),
    ("GET", "/nowhere/" + "y" * 200, None),
    ("POST", "/users", b'{"username": "\x00", "email": 1}'),
    ("POST", "/users", b"[" * 2000),
    ("POST", "/users", b'{"username": "a", "email": "filler1@example.com"}'),
    ("PATCH", "/users/1", b'{"username": "b"}'),
    ("BREW", "/users", None),
]


def mixed(url, requests, threads=4):
    """Make requests of every kind, bad ones included; return how many answers are 5xx.

    Args:
        url: the service's URL.
        requests: how many in all.
        threads: how many connections.
    """

    def work(_):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        wrong = 0
        for number in range(requests // threads):
            method, path, body = MIX[number % len(MIX)]
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            wrong += answer.status >= 500
        connection.close()
        return wrong

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))
