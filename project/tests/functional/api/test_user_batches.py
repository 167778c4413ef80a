"""Concurrent `GET /users/<id>` share statements."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.request import urlopen

import pytest
from flask import Flask
from psycopg2.extensions import cursor as PsycopgCursor
from werkzeug.test import TestResponse

from devtools.servers import start_gunicorn
from devtools.sql import connect, execute
from project.api.users.models import User
from project.api.users.queries import LOADERS
from project.database.data_loader import MAX_STATEMENTS
from project.database.engines import AUTOCOMMIT
from project.tests.types import AddUser, CreateProductionApp
from project.tests.waiting import TIMEOUT, wait_until

# The processes of PostgreSQL whose statements wait for `locked_users`.
WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
NUMBER_OF_USERS = 20


@pytest.fixture
def users(add_user: AddUser) -> list[User]:
    return [
        add_user(f"user {number}", f"{number}@example.com")
        for number in range(NUMBER_OF_USERS)
    ]


@pytest.fixture(scope="module")
def app(create_production_app: CreateProductionApp, database_url: str) -> Flask:
    return create_production_app(
        DATABASE_URL=database_url,
        DATABASE_LOCK_TIMEOUT=TIMEOUT,
        DATABASE_STATEMENT_TIMEOUT=2 * TIMEOUT,
    )


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(NUMBER_OF_USERS) as pool:
        yield pool


@contextmanager
def locked_users(url: str) -> Iterator[PsycopgCursor]:
    """Let all statements on the table wait until the end of a transaction."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield cursor
        cursor.execute("ROLLBACK")


def wait_for_statements(url: str, number: int) -> list[int]:
    """Wait until statements wait for the lock, and return their processes."""
    wait_until(lambda: len(execute(url, WAITING)) == number)
    return [pid for (pid,) in execute(url, WAITING)]


def send_requests(
    app: Flask, threads: ThreadPoolExecutor, url: str, users: list[User]
) -> list[Future[TestResponse]]:
    """Request each user, one after another until MAX_STATEMENTS wait for the lock."""

    def get(user: User) -> TestResponse:
        return app.test_client().get(f"/users/{user.id}")

    responses = []
    for number, user in enumerate(users, 1):
        responses.append(threads.submit(get, user))
        if number <= MAX_STATEMENTS:
            wait_for_statements(url, number)
    loader = app.extensions[LOADERS][AUTOCOMMIT]

    def others_have_joined() -> bool:
        batch = loader.open_batch
        return batch and len(batch.keys) == len(users) - MAX_STATEMENTS

    wait_until(others_have_joined)
    return responses


def assert_users(responses: list[Future[TestResponse]], users: list[User]) -> None:
    for response, user in zip(responses, users, strict=True):
        answered = response.result(TIMEOUT)
        assert answered.status_code == 200
        assert answered.get_json()["data"]["email"] == user.email


def test_concurrent_requests_use_few_connections_and_get_their_users(
    app: Flask, threads: ThreadPoolExecutor, database_url: str, users: list[User]
) -> None:
    with locked_users(database_url):
        responses = send_requests(app, threads, database_url, users)
        assert len(execute(database_url, WAITING)) == MAX_STATEMENTS
    assert_users(responses, users)


def test_request_sees_what_was_committed_while_others_waited(
    app: Flask, threads: ThreadPoolExecutor, database_url: str, users: list[User]
) -> None:
    """It joins the requests that wait, and their statement begins after it."""
    with locked_users(database_url) as cursor:
        responses = send_requests(app, threads, database_url, users)
        cursor.execute("UPDATE users SET username = 'committed'; COMMIT")
    names = [
        response.result(TIMEOUT).get_json()["data"]["username"]
        for response in responses
    ]
    assert names == ["committed"] * NUMBER_OF_USERS


def test_lost_connections_fail_only_the_requests_that_use_them(
    app: Flask, threads: ThreadPoolExecutor, database_url: str, users: list[User]
) -> None:
    with locked_users(database_url):
        responses = send_requests(app, threads, database_url, users)
        for pid in wait_for_statements(database_url, MAX_STATEMENTS):
            execute(database_url, f"SELECT pg_terminate_backend({pid})")
        for response in responses[:MAX_STATEMENTS]:
            assert response.result(TIMEOUT).status_code == 503
    assert_users(responses[MAX_STATEMENTS:], users[MAX_STATEMENTS:])


def test_missing_user_among_others_is_404(
    app: Flask, threads: ThreadPoolExecutor, database_url: str, users: list[User]
) -> None:
    missing = users[-1]
    execute(database_url, f"DELETE FROM users WHERE id = {missing.id}")
    with locked_users(database_url):
        responses = send_requests(app, threads, database_url, users)
    assert responses[-1].result(TIMEOUT).status_code == 404
    assert_users(responses[:-1], users[:-1])


@pytest.mark.server
def test_clients_that_disconnect_do_not_disturb_others(
    database_url: str, users: list[User]
) -> None:
    with start_gunicorn(
        database_url,
        WEB_CONCURRENCY="1",
        DATABASE_LOCK_TIMEOUT=str(TIMEOUT),
        DATABASE_STATEMENT_TIMEOUT=str(2 * TIMEOUT),
    ) as (url, _):
        address = url.removeprefix("http://")

        def send_request(user: User) -> HTTPConnection:
            client = HTTPConnection(address, timeout=TIMEOUT)
            client.request("GET", f"/users/{user.id}")
            return client

        with locked_users(database_url):
            for user in users:
                send_request(user).close()
            clients = [send_request(user) for user in users]
            # The server starts requests in order, so it has started those above.
            urlopen(f"{url}/ping").close()
        emails = []
        for client in clients:
            with closing(client):
                emails.append(json.load(client.getresponse())["data"]["email"])
    assert emails == [user.email for user in users]
