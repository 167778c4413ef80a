"""What every answer tells a browser, and what it tells the pages of other origins."""

import re

import pytest

from project import create_app
from project.config import ConfigError

PAGE = "https://app.example.com"
EXPOSED = {"ETag", "Link", "Location", "Retry-After", "X-Request-ID"}


@pytest.fixture(scope="module")
def shared(production, database_url):
    """The service for the pages of two origins."""
    origins = f"{PAGE}, http://localhost:3000"
    return production(DATABASE_URL=database_url, CORS_ORIGINS=origins)


@pytest.fixture
def elsewhere(shared, empty_database):
    """A client of it, whose users table is empty."""
    return shared.test_client()


def listed(answer, header):
    """Return the set of what a header lists."""
    return set(re.split(", *", answer.headers[header]))


@pytest.mark.parametrize(
    "method, url",
    [("GET", "/ping"), ("GET", "/users"), ("GET", "/nowhere"), ("POST", "/users")]
    + [("DELETE", "/ping"), ("GET", "/users/1"), ("OPTIONS", "/users")],
)
def test_answer_is_json_and_private(client, method, url):
    headers = client.open(url, method=method).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, no-cache"


def test_not_modified_is_private(client, add_user):
    add_user("ada", "ada@example.com")
    tag = client.get("/users/1").headers["ETag"]
    headers = client.get("/users/1", headers={"If-None-Match": tag}).headers
    assert headers["Cache-Control"] == "private, no-cache"


def test_other_origins_may_do_nothing_by_default(client):
    answer = client.get("/users", headers={"Origin": PAGE})
    assert not [name for name, _ in answer.headers if name.startswith("Access-")]


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
@pytest.mark.parametrize("url", ["/users", "/users/1", "/ping", "/openapi.json"])
def test_page_of_an_origin_reads_answers(elsewhere, origin, url):
    """Those of errors, too: /users/1 is 404."""
    answer = elsewhere.get(url, headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert listed(answer, "Access-Control-Expose-Headers") == EXPOSED
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_page_of_an_origin_may_write(elsewhere, method):
    asked = {"authorization", "content-type", "if-match"}
    answer = elsewhere.options(
        "/users/1",
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ", ".join(sorted(asked)),
        },
    )
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert method in listed(answer, "Access-Control-Allow-Methods")
    allowed = listed(answer, "Access-Control-Allow-Headers")
    assert {name.lower() for name in allowed} == asked


@pytest.mark.parametrize(
    "origin", ["https://example.com", f"{PAGE}.evil.example", "null", f"{PAGE}:8443"]
)
def test_page_of_another_origin_does_not(elsewhere, origin):
    answer = elsewhere.get("/users", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_of_the_service_are_its_own(elsewhere):
    with elsewhere.get("/docs", headers={"Origin": PAGE}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_every_origin(production, database_url, empty_database):
    client = production(DATABASE_URL=database_url, CORS_ORIGINS="*").test_client()
    answer = client.get("/users", headers={"Origin": "https://anywhere.example"})
    allowed = answer.headers["Access-Control-Allow-Origin"]
    assert allowed in ("*", "https://anywhere.example")
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origins", ["example.com", "https://example.com/", "https://a.example/x", "null"]
)
def test_wrong_origins(monkeypatch, origins):
    monkeypatch.setenv("CORS_ORIGINS", origins)
    with pytest.raises(ConfigError, match="write it as https://example.com"):
        create_app()
