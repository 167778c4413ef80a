"""Every error response has the same JSON shape under all settings."""

import http.client
import io
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import make_url
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client, TestResponse

from devtools.servers import start_gunicorn
from project import create_app, db
from project.config import DevelopmentConfig
from project.database.engines import AUTOCOMMIT
from project.tests.types import CreateProductionApp
from project.tests.users import ADA, user_body

BAD_VALUES = {
    "NUL": "a\0b",
    "control character": "a\x1bb",
    "C1 control character": "a\x85b",
    "invisible character": "a\u200bb",
    "direction-changing character": "a\u202eb",
    "empty": "",
    "blank": "   ",
    "129 characters": "a" * 129,
    "address of 129 characters": "a" * 117 + "@example.com",
    "int": 1,
    "int4 limit": 2**31,
    "int8 limit": 2**63,
    "huge": 10**400,
    "float": 1.5,
    "list": ["a@example.com"],
    "object": {"a": 1},
    "null": None,
}
BAD_BODIES = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"username": "\xff", "email": "a@example.com"}',
    "lone surrogate": b'{"username": "\\ud800", "email": "a@example.com"}',
    "NaN": b'{"username": "a", "email": "a@example.com", "active": NaN}',
    "UTF-16": '{"username": "a"}'.encode("utf-16"),
    "list": b"[]",
    "text": b'"a"',
    "number": b"1",
    "null": b"null",
    "deep": b"[" * 30_000,
    "deep object": b'{"username":' * 5_000,
    "trailing": b'{"username": "a", "email": "a@example.com"} x',
}


@pytest.fixture(scope="module", params=[False, True], ids=["production", "propagate"])
def strict_app(
    request: pytest.FixtureRequest,
    create_production_app: CreateProductionApp,
    database_url: str,
) -> Flask:
    """The application on ProductionConfig, with and without error propagation."""
    return create_production_app(
        DATABASE_URL=database_url,
        PROPAGATE_EXCEPTIONS=request.param,
        DEBUG=request.param,
    )


@pytest.fixture
def strict_client(strict_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of `strict_app`; the users table is empty."""
    return strict_app.test_client()


def assert_refused(
    response: TestResponse, status: int = 400, message: str = "Invalid payload."
) -> Any:
    """Check an error response and return its `errors`."""
    assert response.status_code == status
    assert response.mimetype == "application/json"
    body = response.get_json()
    assert body["status"] == "fail"
    assert body["message"] == message
    return body.get("errors")


@pytest.mark.parametrize(
    "method, url", [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
)
@pytest.mark.parametrize("field", ["username", "email", "active"])
@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES)
def test_invalid_value_returns_400_and_names_the_field(
    strict_client: FlaskClient, method: str, url: str, field: str, value: Any
) -> None:
    strict_client.post("/users", json=ADA)
    body = {**ADA, "email": "new@example.com", field: value}
    errors = assert_refused(strict_client.open(url, method=method, json=body))
    assert list(errors) == [field]


@pytest.mark.parametrize("value", ["true", "false", 0, 1], ids=str)
def test_active_must_be_a_boolean(strict_client: FlaskClient, value: Any) -> None:
    body = {**ADA, "active": value}
    errors = assert_refused(strict_client.post("/users", json=body))
    assert list(errors) == ["active"]


@pytest.mark.parametrize(
    "email",
    ["ada", "ada@", "@example.com", "a b@example.com", "a@b", "a@b..com", "<a@b.com>"],
)
def test_invalid_email_returns_400(strict_client: FlaskClient, email: str) -> None:
    body = {**ADA, "email": email}
    errors = assert_refused(strict_client.post("/users", json=body))
    assert list(errors) == ["email"]


@pytest.mark.parametrize("email", ["a@users.test", "a@mail.local", "ü@bücher.example"])
def test_special_use_and_unicode_domains_are_accepted(
    strict_client: FlaskClient, email: str
) -> None:
    response = strict_client.post("/users", json={**ADA, "email": email})
    assert response.get_json()["data"]["email"] == email


def test_values_of_128_characters_are_accepted(strict_client: FlaskClient) -> None:
    email = "a" * 60 + "@" + "b" * 59 + ".example"
    user = user_body(username="ü" * 128, email=email)
    response = strict_client.post("/users", json=user)
    assert response.status_code == 201
    assert len(response.get_json()["data"]["email"]) == 128


@pytest.mark.parametrize("method, url", [("POST", "/users"), ("PUT", "/users/1")])
def test_missing_fields_are_named(
    strict_client: FlaskClient, method: str, url: str
) -> None:
    errors = assert_refused(strict_client.open(url, method=method, json={}))
    assert errors == {"username": "Field required", "email": "Field required"}


@pytest.mark.parametrize(
    "method, url", [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
)
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_malformed_body_returns_400(
    strict_client: FlaskClient, method: str, url: str, body: bytes
) -> None:
    response = strict_client.open(
        url, method=method, data=body, content_type="application/json"
    )
    assert_refused(response)


@pytest.mark.parametrize(
    "method, url", [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
)
@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded"]
)
def test_unsupported_media_type_returns_415(
    strict_client: FlaskClient, method: str, url: str, content_type: str | None
) -> None:
    response = strict_client.open(
        url, method=method, data="username=ada", content_type=content_type
    )
    types = "application/json"
    if method == "PATCH":
        types = "application/merge-patch+json or application/json"
    assert_refused(response, 415, f"Send JSON, with Content-Type: {types}.")
    accepted = response.headers.get("Accept-Patch")
    assert accepted == (types.replace(" or", ",") if method == "PATCH" else None)


def test_json_media_type_may_have_a_charset(strict_client: FlaskClient) -> None:
    response = strict_client.post(
        "/users",
        data=json.dumps(ADA),
        content_type="Application/JSON; charset=utf-8",
    )
    assert response.status_code == 201


def test_oversized_body_returns_413(strict_client: FlaskClient) -> None:
    response = strict_client.post(
        "/users", data=b" " * 10_000_000, content_type="application/json"
    )
    assert response.status_code == 413
    assert response.get_json()["status"] == "fail"


def test_oversized_chunked_body_returns_413(strict_client: FlaskClient) -> None:
    """A chunked body has no Content-Length. This one starts with a valid user."""
    body = json.dumps(ADA).encode() + b" " * 100_000
    response = strict_client.post(
        "/users",
        input_stream=io.BytesIO(body),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == 413
    assert strict_client.get("/users").get_json()["data"]["users"] == []


@pytest.mark.parametrize("url", ["/nowhere", "/users/", "/users/1/x", "/static/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_unknown_url_returns_404(
    strict_client: FlaskClient, url: str, method: str
) -> None:
    response = strict_client.open(url, method=method)
    assert response.status_code == 404
    assert response.get_json()["status"] == "fail"


@pytest.mark.parametrize(
    "method, url, allowed",
    [
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/ping", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/users", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/users/1", {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}),
        ("BREW", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_unsupported_method_returns_405_with_allow(
    strict_client: FlaskClient, method: str, url: str, allowed: set[str]
) -> None:
    response = strict_client.open(url, method=method)
    assert response.status_code == 405
    assert response.get_json()["status"] == "fail"
    assert set(response.headers["Allow"].split(", ")) == allowed
    options = strict_client.options(url)
    assert options.get_json() == {"status": "success"}
    assert set(options.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("propagate", [False, True])
def test_unexpected_exception_returns_500_without_details(
    create_production_app: CreateProductionApp,
    propagate: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_production_app(PROPAGATE_EXCEPTIONS=propagate)

    @app.get("/crash")
    def crash() -> str:
        raise RuntimeError("a secret detail")

    response = app.test_client().get("/crash")
    assert response.status_code == 500
    assert response.get_json()["status"] == "error"
    assert "secret" not in response.text
    assert "a secret detail" in caplog.text


def assert_unavailable(response: TestResponse) -> None:
    assert response.status_code == 503
    assert response.get_json()["status"] == "error"
    assert int(response.headers["Retry-After"]) > 0
    assert set(response.get_json()) == {"status", "message", "code"}


@pytest.mark.parametrize(
    "url, hint",
    [
        (None, "set DATABASE_URL"),
        (
            "postgres://ada:secret@127.0.0.1:1/nowhere",
            "check that PostgreSQL is running",
        ),
    ],
)
def test_unavailable_database_returns_503_and_logs_a_hint(
    create_production_app: CreateProductionApp,
    url: str | None,
    hint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = create_production_app(DATABASE_URL=url).test_client()
    for response in (
        client.get("/health"),
        client.get("/users"),
        client.get("/users/1"),
        client.post("/users", json=ADA),
        client.put("/users/1", json=ADA),
        client.delete("/users/1"),
    ):
        assert_unavailable(response)
    assert hint in caplog.text
    assert "secret" not in caplog.text


def test_missing_database_returns_503_and_is_logged(
    create_production_app: CreateProductionApp,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = make_url(database_url).set(database="nowhere")
    app = create_production_app(DATABASE_URL=url.render_as_string(hide_password=False))
    assert_unavailable(app.test_client().get("/users"))
    # PostgreSQL's message, or that of a pgbouncer in front of it.
    assert re.search('"nowhere" does not exist|database: nowhere', caplog.text)


def test_missing_table_returns_503_and_logs_the_upgrade_command(
    strict_client: FlaskClient,
    test_database: SQLAlchemy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users RENAME TO hidden")
    try:
        assert_unavailable(strict_client.get("/users"))
        assert_unavailable(strict_client.post("/users", json=ADA))
    finally:
        with test_database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO users")
    assert "python manage.py db upgrade" in caplog.text
    assert strict_client.get("/users").status_code == 200


@pytest.mark.waiting
def test_exhausted_pool_returns_503_and_names_the_setting(
    create_production_app: CreateProductionApp,
    database_url: str,
    empty_database: SQLAlchemy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_production_app(
        DATABASE_URL=database_url, DATABASE_POOL_SIZE=1, DATABASE_POOL_TIMEOUT=1
    )
    with app.app_context(), db.engines[AUTOCOMMIT].connect():
        assert_unavailable(app.test_client().get("/users"))
    assert "DATABASE_POOL_SIZE" in caplog.text
    assert app.test_client().get("/users").status_code == 200


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the service that `address` starts."""
    return tmp_path_factory.mktemp("errors") / "log"


@pytest.fixture(scope="module")
def address(database_url: str, log_file: Path) -> Iterator[tuple[str, int]]:
    """Host and port of the service under gunicorn."""
    with open(log_file, "w") as output:
        with start_gunicorn(database_url, output=output, WEB_CONCURRENCY="1") as (
            url,
            _,
        ):
            host, _, port = url.removeprefix("http://").partition(":")
            yield host, int(port)


@pytest.mark.server
@pytest.mark.parametrize(
    "request_head, status",
    [
        (b"nonsense", 400),
        (b"GET / HTTP/9.9", 400),
        (b"GET /users?email=a@secret.example HTTP", 400),
        (b"GET /users HTTP/1.1\r\nAuthorization Bearer a-secret-token", 400),
        (b"GET /users HTTP/1.1\r\nContent-Length: -1", 400),
        (b"GET /users HTTP/1.1\r\nTransfer-Encoding: x", 501),
        (b"GET /users?email=" + b"a" * 9000 + b" HTTP/1.1", 414),
        (b"GET /users HTTP/1.1\r\nX: " + b"a" * 9000, 431),
    ],
    ids=lambda value: str(value)[:40],
)
def test_request_refused_by_gunicorn_has_the_same_shape(
    address: tuple[str, int], log_file: Path, request_head: bytes, status: int
) -> None:
    """gunicorn refuses these requests before the application sees them."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request_head + b"\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = json.load(response)
    assert response.status == status
    assert response.headers["Content-Type"] == "application/json"
    assert body["status"] == ("fail" if status < 500 else "error")
    assert set(body) == {"status", "message", "code"}
    assert "Client 127.0.0.1 sent an invalid request" in log_file.read_text()
    assert "secret" not in log_file.read_text()


@pytest.mark.server
@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\n{}\r\n", b"-1\r\n\r\n"])
def test_malformed_chunked_body_returns_400(
    address: tuple[str, int], chunks: bytes
) -> None:
    head = (
        b"POST /users HTTP/1.1\r\nHost: users\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head + chunks)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        message = json.load(response)["message"]
    assert (response.status, message) == (400, "Invalid payload.")


def broken_view() -> str:
    return str(1 / 0)


@pytest.mark.parametrize(
    "accept, content_type",
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
def test_debugger_is_shown_to_browsers_only(accept: str, content_type: str) -> None:
    app = create_app(DevelopmentConfig)
    app.debug = True
    app.add_url_rule("/broken", view_func=broken_view)
    client = Client(DebuggedApplication(app, evalex=True))
    response = client.get("/broken", headers={"Accept": accept})
    assert response.status_code == 500
    assert response.mimetype == content_type
    assert ("ZeroDivisionError" in response.text) == (content_type == "text/html")


def test_no_debugger_is_shown_without_the_development_server() -> None:
    app = create_app(DevelopmentConfig)
    app.add_url_rule("/broken", view_func=broken_view)
    response = app.test_client().get("/broken", headers={"Accept": "text/html"})
    assert response.mimetype == "application/json"
    assert "ZeroDivisionError" not in response.text
