"""Large responses are compressed for clients that accept gzip."""

import gzip

import pytest
from flask.testing import FlaskClient

from project.tests.types import AddUser
from project.tests.users import ADA

# A user whose JSON exceeds 1 KiB.
LONG_NAME = "\U00010348" * 128
LONG_EMAIL = "\U00010348" * 110 + "@example.com"
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def large_page(client: FlaskClient, add_user: AddUser) -> bytes:
    """The uncompressed body of `GET /users`, of more than 1 KiB."""
    for number in range(20):
        add_user("ada", f"{number}@example.com")
    response = client.get("/users")
    assert "Content-Encoding" not in response.headers
    assert response.headers["Vary"] == "Accept-Encoding"
    body: bytes = response.data
    return body


@pytest.mark.parametrize(
    "accepted", ["gzip", "GZIP", "br, gzip;q=0.1", "*", "deflate, *;q=0.5", "x, gzip"]
)
def test_large_page_is_compressed(
    client: FlaskClient, large_page: bytes, accepted: str
) -> None:
    response = client.get("/users", headers={"Accept-Encoding": accepted})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.content_length == len(response.data) < len(large_page)
    assert gzip.decompress(response.data) == large_page


@pytest.mark.parametrize(
    "accepted", ["", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "br", "gzipped"]
)
def test_large_page_is_not_compressed_for_other_clients(
    client: FlaskClient, large_page: bytes, accepted: str
) -> None:
    response = client.get("/users", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in response.headers
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.data == large_page


def test_small_response_is_not_compressed(client: FlaskClient) -> None:
    response = client.get("/ping", headers=GZIP)
    assert "Content-Encoding" not in response.headers
    assert "Vary" not in response.headers


def test_head_has_the_headers_of_the_compressed_page(
    client: FlaskClient, large_page: bytes
) -> None:
    request = GZIP | {"X-Request-ID": "same"}
    head = client.head("/users", headers=request)
    assert head.headers == client.get("/users", headers=request).headers
    assert head.data == b""


def test_document_is_compressed(client: FlaskClient) -> None:
    plain = client.get("/openapi.json").data
    response = client.get("/openapi.json", headers=GZIP)
    assert gzip.decompress(response.data) == plain
    assert response.headers["Vary"] == "Accept-Encoding"


def test_etag_of_a_compressed_user_is_another_one_for_the_same_version(
    client: FlaskClient, add_user: AddUser
) -> None:
    """Strong tags must differ if the bytes do (RFC 9110, section 8.8.3)."""
    add_user(LONG_NAME, LONG_EMAIL)
    etag = client.get("/users/1").headers["ETag"]
    response = client.get("/users/1", headers=GZIP)
    compressed_etag = response.headers["ETag"]
    assert response.headers["Content-Encoding"] == "gzip"
    assert compressed_etag == etag[:-1] + '-gzip"'

    for tag in (etag, compressed_etag):
        headers = GZIP | {"If-None-Match": tag}
        unchanged = client.get("/users/1", headers=headers)
        assert (unchanged.status_code, unchanged.data) == (304, b"")
        assert unchanged.headers["ETag"] == compressed_etag
        assert "Content-Encoding" not in unchanged.headers
    changed = client.patch(
        "/users/1", json={"active": False}, headers={"If-Match": compressed_etag}
    )
    assert changed.status_code == 200
    stale = client.put("/users/1", json=ADA, headers={"If-Match": compressed_etag})
    assert stale.status_code == 412
