"""Clients that send too slowly or too much, or do not read, are disconnected."""

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn, start_process
from devtools.sql import execute
from project.tests.http_client import send
from project.tests.users import user_body

pytestmark = pytest.mark.server

CLIENT_TIMEOUT = 1
MAX_CONNECTIONS = 20
# Long enough on a busy machine. A client that is never disconnected exceeds it.
MAX_WAIT = 20
GET_PING = b"GET /ping HTTP/1.1\r\nHost: users\r\n\r\n"
GET_PAGE = b"GET /users?limit=1000 HTTP/1.1\r\nHost: users\r\n\r\n"
POST_HEAD = (
    b"POST /users HTTP/1.1\r\nHost: users\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits") / "log"


@pytest.fixture(scope="module")
def url(test_database: SQLAlchemy, database_url: str, log_file: Path) -> Iterator[str]:
    """The URL of a service with one worker and low limits."""
    with open(log_file, "w") as log:
        with start_gunicorn(
            database_url,
            log,
            WEB_CONCURRENCY="1",
            CLIENT_TIMEOUT=str(CLIENT_TIMEOUT),
            MAX_CONNECTIONS_PER_ADDRESS=str(MAX_CONNECTIONS),
        ) as (url, _):
            yield url


@pytest.fixture
def many_users(empty_database: SQLAlchemy, database_url: str) -> None:
    """30,000 users, whose export is larger than the buffers of a connection."""
    execute(
        database_url,
        "INSERT INTO users (username, email)"
        " SELECT repeat('x', 99), n || '@example.com' FROM generate_series(1, 30000) n",
    )


@contextmanager
def connect(url: str, client: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Connect a client that has a loopback address of its own to the service."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection(
        (host, int(port)), timeout=MAX_WAIT, source_address=(client, 0)
    ) as connection:
        yield connection


def read_response(connection: socket.socket) -> tuple[http.client.HTTPResponse, Any]:
    """Return the next response, and its JSON body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response, json.load(response)


def read_until_closed(connection: socket.socket) -> bytes:
    """Return everything that the service sends before it closes the connection."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def assert_refused(connection: socket.socket, status: int) -> None:
    """Assert that the response has the API's shape, and that it is the last one."""
    response, body = read_response(connection)
    assert response.status == status
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Type"] == "application/json"
    assert body["status"] == ("fail" if status < 500 else "error")
    assert body["message"]
    assert read_until_closed(connection) == b""


def wait_for_log(log_file: Path, text: str) -> None:
    deadline = time.monotonic() + MAX_WAIT
    while text not in log_file.read_text():
        assert time.monotonic() < deadline, log_file.read_text()
        time.sleep(0.05)


def test_unfinished_head_gets_408(url: str, log_file: Path) -> None:
    with connect(url) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: us")
        assert_refused(connection, 408)
    wait_for_log(log_file, "did not send the head of a request in time")


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100", "Transfer-Encoding: chunked"]
)
def test_unfinished_body_gets_408(url: str, framing: str) -> None:
    with connect(url) as connection:
        connection.sendall(
            b"POST /users HTTP/1.1\r\nHost: users\r\n"
            b"Content-Type: application/json\r\n%s\r\n\r\n5\r\n{" % framing.encode()
        )
        assert_refused(connection, 408)


def test_head_and_body_that_arrive_byte_by_byte_get_408(
    url: str, log_file: Path
) -> None:
    """Each byte arrives in time; the deadline is that of the whole head or body."""
    with connect(url) as slow_head, connect(url) as slow_body:
        slow_head.sendall(b"GET /ping HTTP/1.1\r\nX: ")
        slow_body.sendall(POST_HEAD % 1000)
        start = time.monotonic()
        while time.monotonic() < start + CLIENT_TIMEOUT + 2:
            for connection in (slow_head, slow_body):
                try:
                    connection.send(b"x")
                except OSError:  # the service has closed the connection
                    pass
            time.sleep(0.1)
        assert_refused(slow_head, 408)
        assert_refused(slow_body, 408)
    wait_for_log(log_file, "did not send the body of a request in time")


def test_large_body_gets_more_time(url: str, empty_database: SQLAlchemy) -> None:
    """16 KiB take longer than CLIENT_TIMEOUT, but more than MIN_RATE."""
    body = json.dumps(user_body() | {"unknown": "x" * 16_384}).encode()
    with connect(url) as connection:
        connection.sendall(POST_HEAD % len(body))
        for start in range(0, len(body), 4096):
            connection.sendall(body[start : start + 4096])
            time.sleep(0.5)
        response, _ = read_response(connection)
    assert response.status == 201


@pytest.mark.waiting
def test_idle_connection_stays_open(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(GET_PING)
        read_response(connection)
        time.sleep(2 * CLIENT_TIMEOUT)
        connection.sendall(GET_PING)
        response, _ = read_response(connection)
    assert response.status == 200


def test_head_of_too_many_bytes_gets_431(url: str) -> None:
    """Each header is shorter than gunicorn's limit of a header."""
    with connect(url) as connection:
        connection.sendall(GET_PING[:-2] + b"X: %s\r\n" % (b"x" * 8000) * 5)
        assert_refused(connection, 431)


def test_head_of_32_kib_is_accepted(url: str) -> None:
    with connect(url) as connection:
        header = b"X: %s\r\n" % (b"x" * 8000)
        connection.sendall(GET_PING[:-2] + header * 4 + b"\r\n")
        response, _ = read_response(connection)
    assert response.status == 200


@pytest.mark.parametrize(
    "header, block",
    [
        (b"Content-Length: 100000000000", b"x" * 65536),
        # Each chunk of one byte has an extension of 4000 bytes.
        (b"Transfer-Encoding: chunked", b"1;x=%s\r\nx\r\n" % (b"x" * 4000) * 10),
    ],
    ids=["length", "chunk extensions"],
)
def test_endless_body_is_not_read_to_its_end(
    url: str, log_file: Path, header: bytes, block: bytes
) -> None:
    sent = 0
    with connect(url) as connection:
        connection.sendall(GET_PING[:-2] + header + b"\r\n\r\n")
        response, _ = read_response(connection)
        with pytest.raises(ConnectionError):
            while sent < 100 * 2**20:
                sent += connection.send(block)
    assert response.status == 200
    wait_for_log(log_file, "sent a body of more than 1048576 bytes")


def test_body_is_requested_with_100_continue(
    url: str, empty_database: SQLAlchemy
) -> None:
    body = json.dumps(user_body()).encode()
    head = POST_HEAD % len(body)
    with connect(url) as connection:
        connection.sendall(head[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        response, _ = read_response(connection)
    assert response.status == 201


def test_large_body_is_refused_before_100_continue(url: str) -> None:
    head = POST_HEAD % 70_000
    with connect(url) as connection:
        connection.sendall(head[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert_refused(connection, 413)


def test_unknown_expectation_is_refused(url: str) -> None:
    head = POST_HEAD % 10
    with connect(url) as connection:
        connection.sendall(head[:-2] + b"Expect: 200-ok\r\n\r\n")
        assert_refused(connection, 417)


@pytest.mark.parametrize(
    "head, status",
    [
        (b"HTTP/1.1\r\n", 400),
        (b"HTTP/1.1\r\nHost: users\r\nHost: users\r\n", 400),
        (b"HTTP/1.1\r\nHost:\r\n", 400),
        (b"HTTP/1.1\r\nHost: users\r\n", 200),
        (b"HTTP/1.0\r\n", 200),
    ],
)
def test_request_needs_one_host(url: str, head: bytes, status: int) -> None:
    with connect(url) as connection:
        connection.sendall(b"GET /ping " + head + b"\r\n")
        response, body = read_response(connection)
    assert response.status == status
    assert body["status"] == ("success" if status == 200 else "fail")


def test_refused_body_is_read_so_that_the_client_gets_the_response(url: str) -> None:
    """http.client sends the whole body before it reads the response."""
    client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=MAX_WAIT)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    client.request("POST", "/users", b"x" * 900_000, headers)
    assert client.getresponse().status == 413


def test_pipelining_clients_leave_time_for_others(url: str) -> None:
    with ExitStack() as stack:
        greedy = [stack.enter_context(connect(url)) for _ in range(4)]
        for connection in greedy:
            connection.sendall(GET_PING * 100)
        with connect(url) as connection:
            connection.sendall(GET_PING)
            read_response(connection)
        unread = [connection.recv(2**20, socket.MSG_PEEK) for connection in greedy]
    assert sum(data.count(b"pong!") for data in unread) < 400


def test_connections_of_an_address_are_limited(url: str, log_file: Path) -> None:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(connect(url, "127.0.0.2"))
            for _ in range(MAX_CONNECTIONS)
        ]
        for connection in connections:
            connection.sendall(GET_PING)
            assert read_response(connection)[0].status == 200
        with connect(url, "127.0.0.2") as refused:
            refused.sendall(GET_PING)
            response, body = read_response(refused)
            assert response.status == 503
            assert response.headers["Retry-After"]
            assert "Too many connections" in body["message"]
            assert read_until_closed(refused) == b""
        with connect(url, "127.0.0.3") as other:
            other.sendall(GET_PING)
            assert read_response(other)[0].status == 200
    wait_for_log(log_file, "Client 127.0.0.2 has 20 connections already")
    deadline = time.monotonic() + MAX_WAIT
    while True:
        with connect(url, "127.0.0.2") as connection:
            connection.sendall(GET_PING)
            if read_response(connection)[0].status == 200:
                return
        assert time.monotonic() < deadline


def test_connections_of_a_proxy_are_not_limited(
    test_database: SQLAlchemy, database_url: str
) -> None:
    with start_gunicorn(
        database_url,
        WEB_CONCURRENCY="1",
        MAX_CONNECTIONS_PER_ADDRESS="1",
        TRUSTED_PROXIES="1",
    ) as (url, _):
        with connect(url) as first, connect(url) as second:
            for connection in (first, second):
                connection.sendall(GET_PING)
                assert read_response(connection)[0].status == 200


def test_repeated_refusals_are_logged_once(url: str, log_file: Path) -> None:
    for _ in range(20):
        with connect(url) as connection:
            connection.sendall(b"BAD\r\n\r\n")
            assert_refused(connection, 400)
    assert log_file.read_text().count("InvalidRequestLine") == 1


def test_client_that_does_not_read_is_disconnected(
    url: str, log_file: Path, many_users: None
) -> None:
    with connect(url) as connection:
        connection.sendall(GET_PAGE * 100)
        wait_for_log(log_file, "Client 127.0.0.1 did not read a response in time")
        pages = read_until_closed(connection).count(b"HTTP/1.1 200 OK")
    assert pages < 100


def test_stalled_export_releases_its_transaction(
    many_users: None, database_url: str, tmp_path: Path
) -> None:
    def count_transactions() -> int:
        ((count,),) = execute(
            database_url,
            "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
            " AND pid != pg_backend_pid() AND datname = current_database()",
        )
        return int(count)

    with (
        start_process(
            [sys.executable, "-m", "gunicorn"],
            DATABASE_URL=database_url,
            WEB_CONCURRENCY="1",
            CLIENT_TIMEOUT=str(CLIENT_TIMEOUT),
        ) as (url, _),
        connect(url) as connection,
    ):
        connection.sendall(
            b"GET /admin/user/export/csv/ HTTP/1.1\r\nHost: users\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 200"
        for expected in (1, 0):
            deadline = time.monotonic() + MAX_WAIT
            while count_transactions() != expected:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert send(f"{url}/users?limit=1").status == 200
