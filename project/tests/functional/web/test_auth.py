"""API tokens decide who may read and change users; no token appears in any output."""

import logging
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn
from project import create_app
from project.config import ConfigError, ProductionConfig
from project.tests.types import CreateProductionApp
from project.tests.users import ADA

WRITER, SECOND_WRITER, READER = ("a" * 16, "b-._~+/" * 5 + "==", "c" * 43)
TOKENS = f"{WRITER}, {SECOND_WRITER}  read:{READER}"


@pytest.fixture(scope="module")
def app(create_production_app: CreateProductionApp, database_url: str) -> Flask:
    """The application with two tokens that may write and one that may only read."""
    return create_production_app(DATABASE_URL=database_url, API_TOKENS=TOKENS)


@pytest.fixture
def client(app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of the application with tokens; the users table is empty."""
    return app.test_client()


def authorization(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("token", [WRITER, SECOND_WRITER])
def test_token_may_write_and_read(client: FlaskClient, token: str, scheme: str) -> None:
    headers = authorization(token, scheme)
    assert client.post("/users", json=ADA, headers=headers).status_code == 201
    assert client.get("/users/1", headers=headers).status_code == 200
    assert client.delete("/users/1", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_read_only_token_may_read(client: FlaskClient, method: str) -> None:
    response = client.open("/users", method=method, headers=authorization(READER))
    assert response.status_code == 200


@pytest.mark.parametrize(
    "method, url",
    [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
    + [("DELETE", "/users/1"), ("DELETE", "/users/ada")],
)
def test_write_with_a_read_only_token_returns_403(
    client: FlaskClient, method: str, url: str
) -> None:
    client.post("/users", json=ADA, headers=authorization(WRITER))
    response = client.open(url, method=method, json=ADA, headers=authorization(READER))
    assert response.status_code == 403
    assert response.get_json() == {
        "status": "fail",
        "message": "The token is limited to reading.",
    }
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
    page = client.get("/users", headers=authorization(READER)).get_json()["data"]
    assert [user["username"] for user in page["users"]] == ["ada"]


@pytest.mark.parametrize(
    "headers, message",
    [
        ({}, "Send a token"),
        (authorization(""), "Send a token"),
        (authorization(WRITER, "Basic"), "Send a token"),
        (authorization(WRITER, "Digest"), "Send a token"),
        ({"Authorization": WRITER}, "Send a token"),
        (authorization(WRITER[:-1]), "not valid"),
        (authorization(WRITER + "a"), "not valid"),
        (authorization(f"read:{READER}"), "not valid"),
        (authorization(f"{WRITER}, {READER}"), "not valid"),
        (authorization("ünïcödé"), "not valid"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_without_a_valid_token_returns_401(
    client: FlaskClient, headers: dict[str, str], message: str, method: str
) -> None:
    response = client.open("/users", method=method, json=ADA, headers=headers)
    assert response.status_code == 401
    assert response.get_json()["status"] == "fail"
    assert message in response.get_json()["message"]
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="users"')


@pytest.mark.parametrize("url", ["/ping", "/health", "/docs", "/openapi.json"])
def test_urls_outside_users_need_no_token(client: FlaskClient, url: str) -> None:
    with client.get(url) as response:
        assert response.status_code == 200


@pytest.mark.parametrize("url", ["/users", "/users/1"])
def test_options_needs_no_token(client: FlaskClient, url: str) -> None:
    assert client.options(url).status_code == 200


@pytest.mark.parametrize(
    "tokens, message",
    [
        ("short", "number 1 is not a token"),
        (f"{WRITER}, read:", "number 2 is not a token"),
        (f"{WRITER} write:{SECOND_WRITER}", "number 2 is not a token"),
        ("a secret with spaces and more", "number 1 is not a token"),
        (f"{WRITER},read:{WRITER}", "number 2 is a duplicate"),
        (",", "number 1 is not a token"),
    ],
)
def test_invalid_tokens_stop_the_start_and_are_not_quoted(
    tokens: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"API_TOKENS: .*{message}") as error:
        create_app(type("Settings", (ProductionConfig,), {"API_TOKENS": tokens}))
    for part in tokens.replace("read:", "").replace(",", " ").split():
        assert len(part) < 16 or part not in str(error.value)


def test_tokens_are_neither_kept_nor_logged(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.get("/users", headers=authorization(WRITER))
    client.post("/users", headers=authorization(READER))
    client.get("/users", headers=authorization("an-unknown-token-of-a-client"))
    output = f"{app.config!r} {vars(app)!r} {caplog.text}"
    for token in (WRITER, SECOND_WRITER, READER, "an-unknown-token"):
        assert token not in output


@pytest.mark.server
@pytest.mark.parametrize("tokens, warnings", [("", 1), (TOKENS, 0)])
def test_start_without_tokens_warns_once(
    database_url: str, tmp_path: Path, tokens: str, warnings: int
) -> None:
    with open(tmp_path / "log", "w") as log:
        with start_gunicorn(database_url, output=log, API_TOKENS=tokens):
            pass
    logged = (tmp_path / "log").read_text()
    assert logged.count("API_TOKENS is not set") == warnings
    assert WRITER not in logged


def test_service_without_tokens_accepts_any_token(
    test_app: Flask, empty_database: SQLAlchemy
) -> None:
    client = test_app.test_client()
    headers = authorization("anything")
    assert client.get("/users", headers=headers).status_code == 200
