"""Every refusal and failure has the one JSON shape, whatever the settings say."""

import http.client
import io
import json
import re
import socket
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url

from project import database, db
from project.tests.servers import gunicorn

BAD_VALUES = {
    "NUL": "a\0b",
    "control character": "a\x1bb",
    "C1 control character": "a\x85b",
    "empty": "",
    "blank": "   ",
    "129 characters": "a" * 129,
    "129 characters of an address": "a" * 117 + "@example.com",
    "int": 1,
    "int4 limit": 2**31,
    "int8 limit": 2**63,
    "huge": 10**400,
    "float": 1.5,
    "list": ["a@example.com"],
    "object": {"a": 1},
    "null": None,
}
GOOD = {"username": "ada", "email": "ada@example.com", "active": True}
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
def strict_app(request, production, database_url):
    """The app under production settings, with errors propagated or not."""
    return production(
        DATABASE_URL=database_url,
        PROPAGATE_EXCEPTIONS=request.param,
        DEBUG=request.param,
    )


@pytest.fixture
def strict_client(strict_app, empty_database):
    """A client of it, whose users table is empty."""
    return strict_app.test_client()


def refused(answer, status=400, message="Invalid payload."):
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    assert answer.json["status"] == "fail"
    assert answer.json["message"] == message
    return answer.json.get("errors")


@pytest.mark.parametrize(
    "method, url", [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
)
@pytest.mark.parametrize("field", ["username", "email", "active"])
@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_value(strict_client, method, url, field, value):
    strict_client.post("/users", json=GOOD)
    body = {**GOOD, "email": "new@example.com", field: value}
    errors = refused(strict_client.open(url, method=method, json=body))
    assert list(errors) == [field]


@pytest.mark.parametrize("value", ["true", "false", 0, 1], ids=str)
def test_active_is_a_real_boolean(strict_client, value):
    errors = refused(strict_client.post("/users", json={**GOOD, "active": value}))
    assert list(errors) == ["active"]


@pytest.mark.parametrize(
    "address",
    ["ada", "ada@", "@example.com", "a b@example.com", "a@b", "a@b..com", "<a@b.com>"],
)
def test_bad_address(strict_client, address):
    errors = refused(strict_client.post("/users", json={**GOOD, "email": address}))
    assert list(errors) == ["email"]


@pytest.mark.parametrize(
    "address", ["a@users.test", "a@mail.local", "ü@bücher.example"]
)
def test_good_address(strict_client, address):
    answer = strict_client.post("/users", json={**GOOD, "email": address})
    assert answer.json["data"]["email"] == address


def test_longest_values(strict_client):
    user = {"username": "ü" * 128, "email": "a" * 60 + "@" + "b" * 59 + ".example"}
    answer = strict_client.post("/users", json=user)
    assert answer.status_code == 201
    assert len(answer.json["data"]["email"]) == 128


@pytest.mark.parametrize("method, url", [("POST", "/users"), ("PUT", "/users/1")])
def test_missing_fields(strict_client, method, url):
    errors = refused(strict_client.open(url, method=method, json={}))
    assert errors == {"username": "Field required", "email": "Field required"}


@pytest.mark.parametrize(
    "method, url", [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
)
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_bad_body(strict_client, method, url, body):
    answer = strict_client.open(
        url, method=method, data=body, content_type="application/json"
    )
    refused(answer)


@pytest.mark.parametrize(
    "method, url", [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
)
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded"]
)
def test_unsupported_media_type(strict_client, method, url, kind):
    answer = strict_client.open(
        url, method=method, data="username=ada", content_type=kind
    )
    refused(answer, 415, "Send JSON, with Content-Type: application/json.")


def test_charset_is_no_other_media_type(strict_client):
    answer = strict_client.post(
        "/users",
        data=b'{"username": "ada", "email": "ada@example.com"}',
        content_type="Application/JSON; charset=utf-8",
    )
    assert answer.status_code == 201


def test_oversized_body(strict_client):
    answer = strict_client.post(
        "/users", data=b" " * 10_000_000, content_type="application/json"
    )
    assert answer.status_code == 413
    assert answer.json["status"] == "fail"


def test_oversized_chunked_body(strict_client):
    """It tells no length, and its beginning is a user."""
    body = b'{"username": "ada", "email": "ada@example.com"}' + b" " * 100_000
    answer = strict_client.post(
        "/users",
        input_stream=io.BytesIO(body),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert strict_client.get("/users").json["data"]["users"] == []


@pytest.mark.parametrize(
    "url", ["/", "/nowhere", "/users/", "/users/1/x", "//users", "/static/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_unknown_url(strict_client, url, method):
    answer = strict_client.open(url, method=method)
    assert answer.status_code == 404
    assert answer.json["status"] == "fail"


@pytest.mark.parametrize(
    "method, url, allowed",
    [
        ("POST", "/ping", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/users", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/users/1", {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}),
        ("BREW", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method(strict_client, method, url, allowed):
    answer = strict_client.open(url, method=method)
    assert answer.status_code == 405
    assert answer.json["status"] == "fail"
    assert set(answer.headers["Allow"].split(", ")) == allowed
    options = strict_client.options(url)
    assert options.json == {"status": "success"}
    assert set(options.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("propagate", [False, True])
def test_crash(production, propagate, caplog):
    app = production(PROPAGATE_EXCEPTIONS=propagate)

    @app.get("/crash")
    def crash():
        raise RuntimeError("a secret detail")

    answer = app.test_client().get("/crash")
    assert answer.status_code == 500
    assert answer.json["status"] == "error"
    assert "secret" not in answer.text
    assert "a secret detail" in caplog.text


def unavailable(answer):
    assert answer.status_code == 503
    assert answer.json["status"] == "error"
    assert int(answer.headers["Retry-After"]) > 0
    assert set(answer.json) == {"status", "message"}


@pytest.mark.parametrize(
    "url, logged",
    [
        (None, "set DATABASE_URL"),
        (
            "postgres://ada:secret@127.0.0.1:1/nowhere",
            "check that PostgreSQL runs there",
        ),
    ],
)
def test_no_database(production, url, logged, caplog):
    client = production(DATABASE_URL=url).test_client()
    for answer in (
        client.get("/health"),
        client.get("/users"),
        client.get("/users/1"),
        client.post("/users", json=GOOD),
        client.put("/users/1", json=GOOD),
        client.delete("/users/1"),
    ):
        unavailable(answer)
    assert logged in caplog.text
    assert "secret" not in caplog.text


def test_no_such_database(production, database_url, caplog):
    nowhere = make_url(database_url).set(database="nowhere").render_as_string(False)
    unavailable(production(DATABASE_URL=nowhere).test_client().get("/users"))
    # As PostgreSQL says it, or a pgbouncer in front of it.
    assert re.search('"nowhere" does not exist|database: nowhere', caplog.text)


def test_no_schema(strict_client, test_database, caplog):
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users RENAME TO hidden")
    try:
        unavailable(strict_client.get("/users"))
        unavailable(strict_client.post("/users", json=GOOD))
    finally:
        with test_database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO users")
    assert "python manage.py db upgrade" in caplog.text
    assert strict_client.get("/users").status_code == 200


def test_exhausted_pool(production, database_url, empty_database, caplog):
    app = production(
        DATABASE_URL=database_url, DATABASE_POOL_SIZE=1, DATABASE_POOL_TIMEOUT=1
    )
    with app.app_context(), db.engines[database.AUTOCOMMIT].connect():
        unavailable(app.test_client().get("/users"))
    assert "DATABASE_POOL_SIZE" in caplog.text
    assert app.test_client().get("/users").status_code == 200


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Where the service writes its log."""
    return tmp_path_factory.mktemp("errors") / "log"


@pytest.fixture(scope="module")
def address(database_url, log):
    """The address of the service as production runs it."""
    with open(log, "w") as output:
        with gunicorn(database_url, output=output, WEB_CONCURRENCY="1") as (url, _):
            parts = urlsplit(url)
            yield parts.hostname, parts.port


@pytest.mark.parametrize(
    "sent, status",
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
def test_no_http(address, log, sent, status):
    """What gunicorn refuses before the application sees it has the shape, too."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent + b"\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = json.load(answer)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert body["status"] == ("fail" if status < 500 else "error")
    assert set(body) == {"status", "message"}
    assert "Invalid request from" in log.read_text()
    assert "secret" not in log.read_text()


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\n{}\r\n", b"-1\r\n\r\n"])
def test_malformed_chunks(address, chunks):
    head = (
        b"POST /users HTTP/1.1\r\nHost: users\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head + chunks)
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.load(answer)["message"]) == (
            400,
            "Invalid payload.",
        )
