"""Guarantees of the database hold across several server processes."""

import http.client
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn
from project.tests.http_client import HttpResult, send
from project.tests.types import AddUser
from project.tests.users import user_body

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def urls(test_database: SQLAlchemy, database_url: str) -> Iterator[list[str]]:
    """URLs of two production servers with two workers each, on one database."""
    with ExitStack() as stack:
        servers = [start_gunicorn(database_url, WEB_CONCURRENCY="2") for _ in range(2)]
        yield [stack.enter_context(server)[0] for server in servers]


def test_concurrent_posts_of_one_email_add_one_user(
    urls: list[str], empty_database: SQLAlchemy
) -> None:
    """Each of the 64 requests spells the address in a different letter case."""

    def post(number: int) -> HttpResult:
        name = "".join(
            c.upper() if number >> i & 1 else c for i, c in enumerate("abcdef")
        )
        body = user_body(email=f"{name}@example.com")
        return send(f"{urls[number % 2]}/users", "POST", body)

    with ThreadPoolExecutor(64) as pool:
        responses = list(pool.map(post, range(64)))
    assert Counter(response.status for response in responses) == {201: 1, 400: 63}
    refused = [response for response in responses if response.status == 400]
    assert {response.body["message"] for response in refused} == {
        "Sorry. That email already exists."
    }
    assert len(send(f"{urls[0]}/users").body["data"]["users"]) == 1


def test_concurrent_conditional_updates_lose_no_update(
    urls: list[str], add_user: AddUser
) -> None:
    """32 writers each increment a number; on 412 they read it again and retry."""
    add_user("0", "counter@example.com")

    def increment(number: int) -> None:
        url = f"{urls[number % 2]}/users/1"
        while True:
            current = send(url)
            change = {"username": str(int(current.body["data"]["username"]) + 1)}
            response = send(url, "PATCH", change, **{"If-Match": current.etag})
            if response.status == 200:
                return
            assert response.status == 412

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(increment, range(32)))
    assert send(f"{urls[0]}/users/1").body["data"]["username"] == "32"


def test_second_writer_of_a_version_gets_412(
    urls: list[str], add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    etag = send(f"{urls[0]}/users/1").etag

    def write(number: int) -> int:
        url = f"{urls[number]}/users/1"
        change = {"username": f"writer {number}"}
        return send(url, "PATCH", change, **{"If-Match": etag}).status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(write, range(2))) == [200, 412]


def test_response_without_a_body_is_sent(urls: list[str], add_user: AddUser) -> None:
    add_user("ada", "ada@example.com")
    etag = send(f"{urls[0]}/users/1").etag
    connection = http.client.HTTPConnection(urls[0].removeprefix("http://"), timeout=20)
    with closing(connection):
        for method, headers, status in (
            ("HEAD", {}, 200),
            ("GET", {"If-None-Match": etag}, 304),
            ("HEAD", {"Connection": "close"}, 200),
        ):
            connection.request(method, "/users/1", headers=headers)
            response = connection.getresponse()
            assert (response.status, response.read()) == (status, b"")


def test_server_header_contains_no_version(urls: list[str]) -> None:
    with urllib.request.urlopen(f"{urls[0]}/ping") as response:
        assert response.headers["Server"] == "gunicorn"
