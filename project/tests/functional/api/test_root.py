"""`GET /`: a page for people, and the same as JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn
from project.tests.types import CreateProductionApp

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SECRET_KEY = "the secret of the tests"
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(22, 24, 28)"


@pytest.fixture(scope="module")
def client(create_production_app: CreateProductionApp) -> FlaskClient:
    """A client of an application with an admin site, without a database."""
    return create_production_app(SECRET_KEY=SECRET_KEY).test_client()


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/plain"])
def test_programs_get_links_as_json(client: FlaskClient, accept: str | None) -> None:
    response = client.get("/", headers={"Accept": accept} if accept else {})
    assert response.status_code == 200
    assert response.get_json() == {
        "status": "success",
        "data": {
            "users": "/users",
            "docs": "/docs",
            "openapi": "/openapi.json",
            "admin": "/admin/",
        },
    }
    assert response.headers["Vary"] == "Accept"


def test_browsers_get_a_page_with_the_same_links(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": BROWSER})
    assert response.mimetype == "text/html"
    assert response.headers["Vary"] == "Accept"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/docs", "/admin/", "/openapi.json"):
        assert f'href="{path}"' in response.text


def test_admin_site_is_linked_only_where_it_is_open(
    create_production_app: CreateProductionApp,
) -> None:
    client = create_production_app(API_TOKENS="a-token-of-sixteen").test_client()
    assert "admin" not in client.get("/").get_json()["data"]
    assert "/admin/" not in client.get("/", headers={"Accept": BROWSER}).text


@pytest.fixture(scope="module")
def url(test_database: SQLAlchemy, database_url: str) -> Iterator[str]:
    """URL of a production server with an admin site."""
    with start_gunicorn(database_url, SECRET_KEY=SECRET_KEY) as server:
        yield server[0]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("is_dark, background", [(False, LIGHT), (True, DARK)])
def test_page_leads_to_the_parts_of_the_service(
    url: str, browser_page: Page, width: int, is_dark: bool, background: str
) -> None:
    browser_page.set_viewport_size({"width": width, "height": 844})
    browser_page.emulate_media(color_scheme="dark" if is_dark else "light")
    browser_page.goto(url)
    assert browser_page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    color = browser_page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == background
    browser_page.get_by_role("link", name="Documentation of the API").click()
    browser_page.wait_for_url("**/docs")
    browser_page.go_back()
    browser_page.get_by_role("link", name="Admin site").click()
    browser_page.wait_for_url(re.compile("/admin/login"))
