"""Several processes at once: what must be true is true in all of them."""

import json
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from project.tests.servers import gunicorn


@pytest.fixture(scope="module")
def urls(test_database, database_url):
    """Two production servers of two workers each, on one database."""
    with ExitStack() as stack:
        servers = [gunicorn(database_url, WEB_CONCURRENCY="2") for _ in range(2)]
        yield [stack.enter_context(server)[0] for server in servers]


def ask(url, method="GET", body=None, **headers):
    """Make a request; return its status, its JSON and its ETag."""
    request = urllib.request.Request(
        url,
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, json.load(answer), answer.headers["ETag"]


def test_one_email_posted_at_once_is_one_user(urls, empty_database):
    """The letter case of each differs: 64 requests, 1 user."""

    def post(number):
        email = "".join(
            c.upper() if number >> i & 1 else c for i, c in enumerate("abcdef")
        )
        body = {"username": str(number), "email": f"{email}@example.com"}
        return ask(f"{urls[number % 2]}/users", "POST", body)[:2]

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(post, range(64)))
    assert Counter(status for status, _ in answers) == {201: 1, 400: 63}
    assert {body["message"] for status, body in answers if status == 400} == {
        "Sorry. That email already exists."
    }
    assert len(ask(f"{urls[0]}/users")[1]["data"]["users"]) == 1


def test_no_update_is_lost(urls, add_user):
    """32 writers each add one to a number, and begin anew where they came late."""
    add_user("0", "counter@example.com")

    def increment(number):
        url = f"{urls[number % 2]}/users/1"
        while True:
            _, body, tag = ask(url)
            change = {"username": str(int(body["data"]["username"]) + 1)}
            status, _, _ = ask(url, "PATCH", change, **{"If-Match": tag})
            if status == 200:
                return
            assert status == 412

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(increment, range(32)))
    assert ask(f"{urls[0]}/users/1")[1]["data"]["username"] == "32"


def test_two_writers_of_one_version(urls, add_user):
    add_user("ada", "ada@example.com")
    tag = ask(f"{urls[0]}/users/1")[2]

    def write(number):
        change = {"username": f"writer {number}"}
        return ask(f"{urls[number]}/users/1", "PATCH", change, **{"If-Match": tag})[0]

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(write, range(2))) == [200, 412]


def test_server_does_not_tell_its_version(urls):
    with urllib.request.urlopen(f"{urls[0]}/ping") as answer:
        assert answer.headers["Server"] == "gunicorn"
