"""`/docs`: the API's document, to read and to try in a browser."""

import re

import pytest

from project.api.openapi import ASSETS
from project.tests.servers import gunicorn

TOKEN = "the-token-of-the-docs-page"


@pytest.fixture(scope="module")
def server(test_database, database_url):
    """The service as production runs it, with a token."""
    with gunicorn(database_url, API_TOKENS=TOKEN, WEB_CONCURRENCY="1") as (url, _):
        yield url


@pytest.fixture
def url(server, empty_database):
    """Its URL; its users table is empty."""
    return server


def test_page_adds_a_user_with_a_token(url, browser_page):
    browser_page.goto(f"{url}/docs")
    browser_page.click("button.authorize")
    browser_page.fill(".auth-container input", TOKEN)
    browser_page.click(".auth-container button[type=submit]")
    browser_page.click("button.btn-done")
    operation = browser_page.locator("#operations-users-addUser")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    answer = operation.locator(".live-responses-table")
    answer.wait_for()
    said = answer.inner_text()
    assert re.search(r"^201", said, re.M)
    assert '"message": "Ada@example.com was added!"' in said
    assert "location: /users/1" in said


def test_page_without_a_token_shows_the_refusal(url, browser_page):
    browser_page.goto(f"{url}/docs")
    operation = browser_page.locator("#operations-users-listUsers")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    said = operation.locator(".live-responses-table").inner_text()
    assert re.search(r"^401", said, re.M)
    assert "Authorization: Bearer" in said


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{name}" for name in ASSETS)])
def test_files_of_the_page(client, path):
    with client.get(path) as answer:
        headers = answer.headers
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    with client.get(path, headers={"If-None-Match": headers["ETag"]}) as again:
        assert again.status_code == 304


@pytest.mark.parametrize("name", ["docs.html", "LICENSE", "oauth2-redirect.html", ".."])
def test_nothing_else_is_served(client, name):
    assert client.get(f"/docs/{name}").status_code == 404
