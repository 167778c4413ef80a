"""Security headers of every response, and CORS headers for the allowed origins."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import TestResponse

from project import create_app
from project.config import ConfigError
from project.tests.types import AddUser, CreateProductionApp

ORIGIN = "https://app.example.com"
EXPOSED = {"ETag", "Link", "Location", "Retry-After", "X-Request-ID"}


@pytest.fixture(scope="module")
def cors_app(create_production_app: CreateProductionApp, database_url: str) -> Flask:
    """The application with two allowed origins."""
    origins = f"{ORIGIN}, http://localhost:3000"
    return create_production_app(DATABASE_URL=database_url, CORS_ORIGINS=origins)


@pytest.fixture
def cors_client(cors_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of the application with allowed origins; the users table is empty."""
    return cors_app.test_client()


def header_values(response: TestResponse, header: str) -> set[str]:
    """Return the values of a comma-separated header."""
    return set(re.split(", *", response.headers[header]))


@pytest.mark.parametrize(
    "method, url",
    [("GET", "/ping"), ("GET", "/users"), ("GET", "/nowhere"), ("POST", "/users")]
    + [("DELETE", "/ping"), ("GET", "/users/1"), ("OPTIONS", "/users")],
)
def test_response_is_nosniff_and_private(
    client: FlaskClient, method: str, url: str
) -> None:
    headers = client.open(url, method=method).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, no-cache"


def test_not_modified_response_is_private(
    client: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    etag = client.get("/users/1").headers["ETag"]
    headers = client.get("/users/1", headers={"If-None-Match": etag}).headers
    assert headers["Cache-Control"] == "private, no-cache"


def test_cors_is_disabled_by_default(client: FlaskClient) -> None:
    response = client.get("/users", headers={"Origin": ORIGIN})
    assert not [name for name, _ in response.headers if name.startswith("Access-")]


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
@pytest.mark.parametrize("url", ["/users", "/users/1", "/ping", "/openapi.json"])
def test_allowed_origin_may_read_responses(
    cors_client: FlaskClient, origin: str, url: str
) -> None:
    """Error responses are included: /users/1 is 404."""
    response = cors_client.get(url, headers={"Origin": origin})
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert header_values(response, "Access-Control-Expose-Headers") == EXPOSED
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize("origin", [None, ORIGIN, "https://evil.example"])
def test_every_response_varies_by_origin(
    cors_client: FlaskClient, add_user: AddUser, origin: str | None
) -> None:
    add_user("ada", "ada@example.com")
    headers = {"Origin": origin} if origin else {}
    for method, url in (
        *(("GET", "/users"), ("GET", "/users/1"), ("GET", "/users/2")),
        *(("OPTIONS", "/users"), ("DELETE", "/ping"), ("GET", "/openapi.json")),
    ):
        response = cors_client.open(url, method=method, headers=headers)
        assert response.headers.getlist("Vary").count("Origin") == 1 or (
            header_values(response, "Vary") == {"Accept-Encoding", "Origin"}
        )
    etag = cors_client.get("/users/1").headers["ETag"]
    unchanged = cors_client.get("/users/1", headers=headers | {"If-None-Match": etag})
    assert unchanged.status_code == 304
    assert header_values(unchanged, "Vary") == {"Origin"}


def test_public_api_varies_by_origin_too(
    create_production_app: CreateProductionApp,
) -> None:
    client = create_production_app(CORS_ORIGINS="*").test_client()
    response = client.get("/ping", headers={"Origin": ORIGIN})
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_preflight_allows_writes_of_an_allowed_origin(
    cors_client: FlaskClient, method: str
) -> None:
    requested = {"authorization", "content-type", "if-match"}
    response = cors_client.options(
        "/users/1",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ", ".join(sorted(requested)),
        },
    )
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert method in header_values(response, "Access-Control-Allow-Methods")
    allowed = header_values(response, "Access-Control-Allow-Headers")
    assert {name.lower() for name in allowed} == requested


def test_preflight_allows_reads_with_their_headers(cors_client: FlaskClient) -> None:
    requested = {"if-none-match", "read-consistency"}
    response = cors_client.options(
        "/users/1",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": ", ".join(sorted(requested)),
        },
    )
    allowed = header_values(response, "Access-Control-Allow-Headers")
    assert {name.lower() for name in allowed} == requested


@pytest.mark.parametrize(
    "origin",
    ["https://example.com", f"{ORIGIN}.evil.example", "null", f"{ORIGIN}:8443"],
)
def test_other_origin_may_not_read_responses(
    cors_client: FlaskClient, origin: str
) -> None:
    response = cors_client.get("/users", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in response.headers


def test_docs_page_is_not_shared_with_allowed_origins(
    cors_client: FlaskClient,
) -> None:
    with cors_client.get("/docs", headers={"Origin": ORIGIN}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


def test_wildcard_allows_every_origin_without_credentials(
    create_production_app: CreateProductionApp,
    database_url: str,
    empty_database: SQLAlchemy,
) -> None:
    app = create_production_app(DATABASE_URL=database_url, CORS_ORIGINS="*")
    headers = {"Origin": "https://anywhere.example"}
    response = app.test_client().get("/users", headers=headers)
    allowed = response.headers["Access-Control-Allow-Origin"]
    assert allowed in ("*", "https://anywhere.example")
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    "origins", ["example.com", "https://example.com/", "https://a.example/x", "null"]
)
def test_invalid_origin_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, origins: str
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", origins)
    with pytest.raises(ConfigError, match="write it as https://example.com"):
        create_app()
