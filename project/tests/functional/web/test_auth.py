"""API tokens decide who may read and change users; no token appears in any output."""

import logging
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn
from project import create_app
from project.config import ConfigError, ProductionConfig, parse_tokens
from project.tests.types import CreateProductionApp
from project.tests.users import ADA

WRITER, SECOND_WRITER, READER = ("a" * 16, "b-._~+/" * 5 + "==", "c" * 43)
NAMED_WRITER, ROTATED, NAMED_READER = ("d" * 16, "e" * 16, "f" * 16)
EXPIRED = "g" * 16
TODAY = datetime.now(UTC).date()
TOKENS = (
    f"{WRITER}, {SECOND_WRITER}  read:{READER} billing:{NAMED_WRITER}"
    f" billing:{ROTATED}@{TODAY + timedelta(days=1)}"
    f" crm.2-eu_:read:{NAMED_READER}@9999-12-31, old:{EXPIRED}@2026-01-31"
)


@pytest.fixture(scope="module")
def app(create_production_app: CreateProductionApp, database_url: str) -> Flask:
    """The application with tokens of all kinds."""
    return create_production_app(DATABASE_URL=database_url, API_TOKENS=TOKENS)


@pytest.fixture
def client(app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of the application with tokens; the users table is empty."""
    return app.test_client()


def authorization(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("token", [WRITER, SECOND_WRITER, NAMED_WRITER, ROTATED])
def test_token_may_write_and_read(client: FlaskClient, token: str, scheme: str) -> None:
    headers = authorization(token, scheme)
    assert client.post("/users", json=ADA, headers=headers).status_code == 201
    assert client.get("/users/1", headers=headers).status_code == 200
    assert client.delete("/users/1", headers=headers).status_code == 200


@pytest.mark.parametrize("token", [READER, NAMED_READER])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_read_only_token_may_read(client: FlaskClient, method: str, token: str) -> None:
    response = client.open("/users", method=method, headers=authorization(token))
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
        "code": "token_read_only",
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


@pytest.mark.parametrize(
    "header",
    [
        "Basic é",
        "Basic \xff\xfe",
        "Basic " + "A" * 8192,
        "Basic",
        "basic Og==",
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer é",
        "Bearer \u20ac",
        "Bearer\t" + WRITER,
        "Bearer" + WRITER,
        "Bearer " + "a" * 8192,
        "Bearer " + "a." * 4096,
        "Bearer " + '="' * 100,
        " " * 8192,
        f"Bearer {WRITER} {WRITER}",
        f'Bearer "{WRITER}"',
        f"Bearer token={WRITER}",
        f"Bearer, {WRITER}",
        'Digest username="é", realm=,',
        "é",
        "=",
        ":",
    ],
    ids=lambda header: header[:20],
)
def test_malformed_header_returns_401(client: FlaskClient, header: str) -> None:
    environment = {"HTTP_AUTHORIZATION": header}
    response = client.get("/users", environ_overrides=environment)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="users"')


@pytest.mark.parametrize(
    "header",
    [f"bearer {WRITER}", f"BEARER      {WRITER}", f"  Bearer {WRITER}  "],
)
def test_case_and_spaces_of_the_header_do_not_matter(
    client: FlaskClient, header: str
) -> None:
    response = client.get("/users", headers={"Authorization": header})
    assert response.status_code == 200


@pytest.mark.server
def test_gunicorn_answers_malformed_and_repeated_headers_with_401(
    database_url: str,
) -> None:
    with start_gunicorn(database_url, API_TOKENS=TOKENS) as (url, _):
        for values in (
            ["Basic é".encode()],
            ["Bearer é".encode()],
            [b"Bearer \xff\xfe"],
            [b""],
            [b"Bearer " + b"a" * 8000],
            [f"Bearer {WRITER}".encode(), f"Bearer {READER}".encode()],
            [f"Bearer {WRITER}".encode(), b"Basic YTpi"],
        ):
            connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
            connection.putrequest("GET", "/users")
            for value in values:
                connection.putheader("Authorization", value)
            connection.endheaders()
            response = connection.getresponse()
            assert (response.status, values) == (401, values)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            connection.close()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_expired_token_returns_401(client: FlaskClient, method: str) -> None:
    response = client.open("/users/1", method=method, headers=authorization(EXPIRED))
    assert response.status_code == 401
    assert response.get_json() == {
        "status": "fail",
        "message": "The token has expired.",
        "code": "token_expired",
    }
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="users", error="invalid_token",'
        ' error_description="The token has expired"'
    )


@pytest.mark.parametrize("days, expired", [(-1, True), (0, False), (1, False)])
def test_token_is_valid_on_its_last_day(days: int, expired: bool) -> None:
    today = datetime.now(UTC).date()
    (token,) = parse_tokens(f"{WRITER}@{today + timedelta(days=days)}")
    # The day may have changed in between.
    if today == datetime.now(UTC).date():
        assert token.has_expired() is expired


@pytest.mark.parametrize(
    "token, who, message",
    [
        (NAMED_WRITER, "billing", "user 1 added by billing"),
        (ROTATED, "billing", "user 1 added by billing"),
        (WRITER, None, "user 1 added"),
    ],
)
def test_audit_log_contains_the_name_of_the_token(
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    token: str,
    who: str | None,
    message: str,
) -> None:
    caplog.set_level(logging.INFO, "project.audit")
    client.post("/users", json=ADA, headers=authorization(token))
    (record,) = (r for r in caplog.records if r.name == "project.audit")
    assert vars(record)["who"] == who
    assert record.getMessage() == message


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
        (f"{WRITER} write:{SECOND_WRITER}=a", "number 2 is not a token"),
        (f"a:{WRITER},b:read:short", "number 2 is not a token"),
        (f"a:{WRITER},read:b:{WRITER}", "number 2 has an invalid name"),
        (f":{WRITER}", "number 1 has an invalid name"),
        (f"read:read:{WRITER}", "number 1 has an invalid name"),
        (f"Read:{WRITER}", "number 1 has an invalid name"),
        (f"READ:read:{WRITER}", "number 1 has an invalid name"),
        (f"-a:{WRITER}", "number 1 has an invalid name"),
        (f"{'a' * 65}:{WRITER}", "number 1 has an invalid name"),
        (f"é:{WRITER}", "number 1 has an invalid name"),
        (f"{SECOND_WRITER}:{WRITER}", "number 1 has an invalid name"),
        (f"{WRITER}@", "number 1 has an invalid date"),
        (f"{WRITER}@2027-02-29", "number 1 has an invalid date"),
        (f"{WRITER}@20270131", "number 1 has an invalid date"),
        (f"{WRITER}@2027-W04-7", "number 1 has an invalid date"),
        (f"{WRITER}@31.01.2027", "number 1 has an invalid date"),
        (f"{WRITER}@2027-01-31@2027-01-31", "number 1 has an invalid date"),
        (f"{WRITER}@२०२७-०१-३१", "number 1 has an invalid date"),
        (f"a:{WRITER}@2027-01-31,b:{WRITER}", "number 2 is a duplicate"),
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
    for token in (WRITER, SECOND_WRITER, tokens):
        assert len(token) < 16 or token not in str(error.value)


def test_tokens_are_neither_kept_nor_logged(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.get("/users", headers=authorization(WRITER))
    client.post("/users", headers=authorization(READER))
    client.get("/users", headers=authorization("an-unknown-token-of-a-client"))
    output = f"{app.config!r} {vars(app)!r} {caplog.text}"
    for token in (WRITER, SECOND_WRITER, READER, NAMED_WRITER, "an-unknown-token"):
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
    assert WRITER not in logged and EXPIRED not in logged
    assert logged.count("the token old has expired") == (1 if tokens else 0)


def test_service_without_tokens_accepts_any_token(
    test_app: Flask, empty_database: SQLAlchemy
) -> None:
    client = test_app.test_client()
    headers = authorization("anything")
    assert client.get("/users", headers=headers).status_code == 200
