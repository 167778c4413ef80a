"""Tokens: who may read the users, who may change them, and that no token is told."""

import logging

import pytest

from project import create_app
from project.config import ConfigError, ProductionConfig
from project.tests.servers import gunicorn

WRITER, SECOND, READER = ("a" * 16, "b-._~+/" * 5 + "==", "c" * 43)
TOKENS = f"{WRITER}, {SECOND}  read:{READER}"
BODY = {"username": "ada", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def app(production, database_url):
    """The service with two tokens that may write and one that may read."""
    return production(DATABASE_URL=database_url, API_TOKENS=TOKENS)


@pytest.fixture
def client(app, empty_database):
    """A client of it, whose users table is empty."""
    return app.test_client()


def bearer(token, scheme="Bearer"):
    """Return the header that carries a token."""
    return {"Authorization": f"{scheme} {token}"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("token", [WRITER, SECOND])
def test_token_that_may_write(client, token, scheme):
    headers = bearer(token, scheme)
    assert client.post("/users", json=BODY, headers=headers).status_code == 201
    assert client.get("/users/1", headers=headers).status_code == 200
    assert client.delete("/users/1", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_token_that_may_read_reads(client, method):
    answer = client.open("/users", method=method, headers=bearer(READER))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "method, url",
    [("POST", "/users"), ("PUT", "/users/1"), ("PATCH", "/users/1")]
    + [("DELETE", "/users/1"), ("DELETE", "/users/ada")],
)
def test_token_that_may_read_changes_nothing(client, method, url):
    client.post("/users", json=BODY, headers=bearer(WRITER))
    answer = client.open(url, method=method, json=BODY, headers=bearer(READER))
    assert answer.status_code == 403
    assert answer.json == {
        "status": "fail",
        "message": "The token is limited to reading.",
    }
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    users = client.get("/users", headers=bearer(READER)).json["data"]["users"]
    assert [user["username"] for user in users] == ["ada"]


@pytest.mark.parametrize(
    "headers, said",
    [
        ({}, "Send a token"),
        (bearer(""), "Send a token"),
        (bearer(WRITER, "Basic"), "Send a token"),
        (bearer(WRITER, "Digest"), "Send a token"),
        ({"Authorization": WRITER}, "Send a token"),
        (bearer(WRITER[:-1]), "not valid"),
        (bearer(WRITER + "a"), "not valid"),
        (bearer(f"read:{READER}"), "not valid"),
        (bearer(f"{WRITER}, {READER}"), "not valid"),
        (bearer("ünïcödé"), "not valid"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_valid_token(client, headers, said, method):
    answer = client.open("/users", method=method, json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.json["status"] == "fail"
    assert said in answer.json["message"]
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="users"')


@pytest.mark.parametrize("url", ["/ping", "/health", "/docs", "/openapi.json"])
def test_what_stays_open(client, url):
    with client.get(url) as answer:
        assert answer.status_code == 200


@pytest.mark.parametrize("url", ["/users", "/users/1"])
def test_options_need_no_token(client, url):
    assert client.options(url).status_code == 200


@pytest.mark.parametrize(
    "tokens, said",
    [
        ("short", "number 1 is not a token"),
        (f"{WRITER}, read:", "number 2 is not a token"),
        (f"{WRITER} write:{SECOND}", "number 2 is not a token"),
        ("a secret with spaces and more", "number 1 is not a token"),
        (f"{WRITER},read:{WRITER}", "number 2 is there twice"),
        (",", "number 1 is not a token"),
    ],
)
def test_wrong_tokens_are_refused_and_not_told(tokens, said):
    with pytest.raises(ConfigError, match=f"API_TOKENS: .*{said}") as error:
        create_app(type("Settings", (ProductionConfig,), {"API_TOKENS": tokens}))
    for part in tokens.replace("read:", "").replace(",", " ").split():
        assert len(part) < 16 or part not in str(error.value)


def test_tokens_are_nowhere(app, client, caplog):
    caplog.set_level(logging.DEBUG)
    client.get("/users", headers=bearer(WRITER))
    client.post("/users", headers=bearer(READER))
    client.get("/users", headers=bearer("an-unknown-token-of-somebody"))
    shown = f"{app.config!r} {vars(app)!r} {caplog.text}"
    for token in (WRITER, SECOND, READER, "an-unknown-token"):
        assert token not in shown


@pytest.mark.parametrize("tokens, times", [("", 1), (TOKENS, 0)])
def test_open_production_says_so_once(database_url, tmp_path, tokens, times):
    with open(tmp_path / "log", "w") as log:
        with gunicorn(database_url, output=log, API_TOKENS=tokens):
            pass
    said = (tmp_path / "log").read_text()
    assert said.count("API_TOKENS is not set") == times
    assert WRITER not in said


def test_open_service_takes_any_token(test_app, empty_database):
    client = test_app.test_client()
    assert client.get("/users", headers=bearer("anything")).status_code == 200
