"""`/docs`: the page that shows the OpenAPI document and sends requests from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn
from project.api.openapi import ASSETS
from project.tests.browser import assert_accessible

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOKEN = "the-token-of-the-docs-page"


@pytest.fixture(scope="module")
def server_url(test_database: SQLAlchemy, database_url: str) -> Iterator[str]:
    """URL of a production server that requires a token."""
    with start_gunicorn(database_url, API_TOKENS=TOKEN, WEB_CONCURRENCY="1") as server:
        url, _ = server
        yield url


@pytest.fixture
def url(server_url: str, empty_database: SQLAlchemy) -> str:
    """The server's URL; the users table is empty."""
    return server_url


@pytest.mark.browser
def test_page_adds_user_with_token(url: str, browser_page: Page) -> None:
    browser_page.goto(f"{url}/docs")
    browser_page.click("button.authorize")
    browser_page.fill(".auth-container input", TOKEN)
    browser_page.click(".auth-container button[type=submit]")
    browser_page.click("button.btn-done")
    operation = browser_page.locator("#operations-users-addUser")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    response = operation.locator(".live-responses-table")
    response.wait_for()
    text = response.inner_text()
    assert re.search(r"^201", text, re.M)
    assert '"message": "Ada@example.com was added!"' in text
    assert "location: /users/1" in text


@pytest.mark.browser
def test_page_without_token_shows_401(url: str, browser_page: Page) -> None:
    browser_page.goto(f"{url}/docs")
    operation = browser_page.locator("#operations-users-listUsers")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    text = operation.locator(".live-responses-table").inner_text()
    assert re.search(r"^401", text, re.M)
    assert "Authorization: Bearer" in text


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_page_has_a_heading_before_its_scripts_run(
    url: str, browser_page: Page, width: int
) -> None:
    browser_page.set_viewport_size({"width": width, "height": 844})
    browser_page.route("**/*.js?v=*", lambda route: route.abort())
    browser_page.goto(f"{url}/docs")
    assert browser_page.get_by_role("heading", level=1).inner_text() == "Users: the API"
    browser_page.get_by_role("link", name="/openapi.json").click()
    browser_page.wait_for_url("**/openapi.json")


@pytest.mark.browser
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_page_around_swagger_ui_is_accessible(
    url: str,
    browser_page: Page,
    width: int,
    color_scheme: Literal["light", "dark"],
) -> None:
    """Swagger UI itself has low contrast, small targets and selects without a label."""
    browser_page.set_viewport_size({"width": width, "height": 844})
    browser_page.emulate_media(color_scheme=color_scheme)
    browser_page.goto(f"{url}/docs")
    browser_page.locator(".opblock").first.wait_for()
    assert_accessible(browser_page, exclude=["#api"])


def test_url_with_a_slash_redirects_to_the_page(client: FlaskClient) -> None:
    response = client.get("/docs/")
    assert (response.status_code, response.location) == (308, "/docs")


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{name}" for name in ASSETS)])
def test_page_and_its_files_have_security_headers_and_etag(
    client: FlaskClient, path: str
) -> None:
    response = client.get(path)
    with response:
        headers = response.headers
    assert response.status_code == 200
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    with client.get(path, headers={"If-None-Match": headers["ETag"]}) as cached:
        assert cached.status_code == 304


@pytest.mark.parametrize("name", ["docs.html", "LICENSE", "oauth2-redirect.html", ".."])
def test_unpublished_file_returns_404(client: FlaskClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404
