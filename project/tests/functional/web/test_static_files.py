"""Static files of the pages: a hash in the URL, long caching, compression."""

import gzip
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from project import create_app
from project.api.openapi import ASSETS
from project.tests.databases import dispose_engines
from project.tests.types import AddUser

GZIP = {"Accept-Encoding": "gzip"}
# The URL of a style sheet, a script or an image in a page.
FILE_URL = re.compile(r'(?:src|href)="(/[^"]+\.(?:css|js|png|svg)(?:\?[^"]*)?)"')
PAGES = ["/", "/docs", "/admin/", "/admin/user/", "/admin/user/new/"]


@pytest.fixture(scope="module")
def app(test_database: SQLAlchemy) -> Iterator[Flask]:
    """The application of development, whose admin site requires no login."""
    app = create_app({"FLASK_ENV": "development"})
    yield app
    dispose_engines(app)


@pytest.fixture
def client(app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of the application; the users table is empty."""
    return app.test_client()


@pytest.mark.parametrize("page", PAGES)
def test_files_of_a_page_have_a_hash_and_are_immutable(
    client: FlaskClient, add_user: AddUser, page: str
) -> None:
    add_user("ada", "ada@example.com")
    urls = FILE_URL.findall(client.get(page, headers={"Accept": "text/html"}).text)
    assert urls
    for url in urls:
        assert re.search(r"\?v=[0-9a-f]{16}$", url)
        with client.get(url) as response:
            assert response.status_code == 200
            cache_control = response.headers["Cache-Control"]
            assert cache_control == "public, max-age=31536000, immutable"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789abcdef"])
def test_file_without_the_current_hash_is_revalidated(
    client: FlaskClient, query: str
) -> None:
    with client.get(f"/docs/docs.js{query}") as response:
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_text_is_compressed_for_clients_that_accept_gzip(
    client: FlaskClient, name: str
) -> None:
    url = f"/docs/{name}"
    content = ASSETS[name].read_bytes()
    compressed = client.get(url, headers=GZIP)
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["Vary"] == "Accept-Encoding"
    assert compressed.content_length == len(compressed.data) < len(content) / 3
    assert gzip.decompress(compressed.data) == content
    with client.get(url) as plain:
        assert plain.data == content
        assert plain.headers["Vary"] == "Accept-Encoding"
        assert plain.headers["Content-Type"] == compressed.headers["Content-Type"]
        # Strong tags must differ if the bytes do (RFC 9110, section 8.8.3).
        assert plain.headers["ETag"] != compressed.headers["ETag"]


def test_image_is_not_compressed(client: FlaskClient) -> None:
    with client.get("/docs/favicon-32x32.png", headers=GZIP) as response:
        assert "Content-Encoding" not in response.headers
        assert "Vary" not in response.headers


@pytest.mark.parametrize("headers", [{}, GZIP], ids=["plain", "gzip"])
def test_unchanged_file_is_not_sent_again(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    with client.get("/docs/swagger-ui.css", headers=headers) as response:
        etag = response.headers["ETag"]
    condition = headers | {"If-None-Match": etag}
    with client.get("/docs/swagger-ui.css", headers=condition) as response:
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == etag


@pytest.mark.parametrize("headers", [{}, GZIP], ids=["plain", "gzip"])
def test_head_has_the_headers_of_get(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    request = headers | {"X-Request-ID": "same"}
    with (
        client.head("/docs/swagger-ui.css", headers=request) as head,
        client.get("/docs/swagger-ui.css", headers=request) as get,
    ):
        assert head.headers.pop("Date") and get.headers.pop("Date")
        assert head.headers == get.headers
        assert head.data == b""


@pytest.mark.parametrize(
    "path", ["", "vendor", "missing.js", "../base.py", "..%2fbase.py", "%2e%2e/base.py"]
)
@pytest.mark.parametrize("folder", ["/admin/static", "/admin/files", "/files"])
def test_other_paths_are_not_found(client: FlaskClient, folder: str, path: str) -> None:
    assert client.get(f"{folder}/{path}").status_code == 404
