"""Request ids, the access log and the audit log."""

import io
import json
import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient

from project.tests.types import AddUser, CreateProductionApp
from project.tests.users import ADA
from project.web.logs import RequestIdFilter, logging_config


@contextmanager
def capture_log(log_format: str) -> Iterator[Callable[[], list[str]]]:
    """Yield a function that returns the lines logged so far in one of the formats."""
    config = logging_config("INFO", log_format)
    formatter = logging.config.DictConfigurator(config).configure_formatter(
        config["formatters"][log_format]
    )
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(RequestIdFilter())
    logger = logging.getLogger("project")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield lambda: stream.getvalue().split("\n")[:-1]
    logger.setLevel("NOTSET")
    logger.removeHandler(handler)


@pytest.fixture(params=["json", "text"])
def lines(request: pytest.FixtureRequest) -> Iterator[Callable[[], list[str]]]:
    """Function that returns the logged lines, in each of the two formats."""
    with capture_log(request.param) as logged_lines:
        yield logged_lines


@pytest.fixture
def events() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Function that returns the events logged as JSON."""
    with capture_log("json") as logged_lines:
        yield lambda: [json.loads(line) for line in logged_lines()]


def test_valid_request_id_is_returned(client: FlaskClient) -> None:
    response = client.get("/ping", headers={"X-Request-ID": "8f14.e45f-ceea_1"})
    assert response.headers["X-Request-ID"] == "8f14.e45f-ceea_1"


@pytest.mark.parametrize("sent", [None, "", "a b", "a" * 65, "<script>", "é"])
@pytest.mark.parametrize("url", ["/ping", "/nowhere", "/users/0"])
def test_missing_or_invalid_request_id_is_replaced(
    client: FlaskClient, sent: str | None, url: str
) -> None:
    headers = {} if sent is None else {"X-Request-ID": sent}
    ids = {client.get(url, headers=headers).headers["X-Request-ID"] for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_each_request_is_logged_with_its_route(
    client: FlaskClient,
    add_user: AddUser,
    events: Callable[[], list[dict[str, Any]]],
) -> None:
    add_user("ada", "ada@example.com")
    client.get("/users/1?secret=1", headers={"X-Request-ID": "one"})
    client.get("/nowhere", headers={"X-Request-ID": "two"})
    found, missing = events()
    assert found.pop("time")
    assert found.pop("milliseconds") > 0
    assert found.pop("message").startswith("GET /users/<user_id> 200 ")
    assert found == {
        "level": "INFO",
        "logger": "project.access",
        "request_id": "one",
        "method": "GET",
        "route": "/users/<user_id>",
        "status": 200,
        "client": "127.0.0.1",
    }
    assert (missing["route"], missing["status"]) == ("unmatched", 404)


def test_each_successful_write_is_audited(
    client: FlaskClient, events: Callable[[], list[dict[str, Any]]]
) -> None:
    client.post("/users", json=ADA)
    client.post("/users", json=ADA)
    client.patch("/users/1", json={"active": False})
    client.put("/users/1", json=ADA)
    client.delete("/users/1")
    client.delete("/users/1")
    audit = [event for event in events() if event["logger"] == "project.audit"]
    assert [(event["action"], event["user_id"]) for event in audit] == [
        ("added", 1),
        ("updated", 1),
        ("updated", 1),
        ("removed", 1),
    ]
    assert all(event["request_id"] for event in audit)


def test_log_contains_no_personal_data_and_no_secrets(
    client: FlaskClient, lines: Callable[[], list[str]]
) -> None:
    client.post(
        "/users?token=query-secret",
        json=ADA,
        headers={"Authorization": "Bearer header-secret", "Cookie": "a=cookie-secret"},
    )
    client.get("/users?email=ada@example.com")
    client.get("/path-secret")
    text = "\n".join(lines())
    assert "POST" in text
    assert "secret" not in text
    # As a whole word: a request id may contain these letters.
    assert not re.search(r"\bada\b", text)


def test_control_characters_do_not_start_a_new_line(
    lines: Callable[[], list[str]],
) -> None:
    logging.getLogger("project.any").warning("one\n2026 INFO forged\r\x1b[2J\u2028x")
    assert len(lines()) == 1


def test_traceback_is_logged_and_not_sent(
    create_production_app: CreateProductionApp,
    events: Callable[[], list[dict[str, Any]]],
) -> None:
    app = create_production_app(PROPAGATE_EXCEPTIONS=False)

    @app.get("/crash")
    def crash() -> str:
        raise RuntimeError("a secret detail")

    response = app.test_client().get("/crash")
    error = next(event for event in events() if event["level"] == "ERROR")
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert "RuntimeError: a secret detail" in error["exc_info"]
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "trusted, client, scheme",
    [(0, "127.0.0.1", "http"), (1, "2.2.2.2", "https"), (2, "1.1.1.1", "http")],
)
def test_client_and_scheme_come_from_trusted_proxies_only(
    create_production_app: CreateProductionApp,
    events: Callable[[], list[dict[str, Any]]],
    trusted: int,
    client: str,
    scheme: str,
) -> None:
    app = create_production_app(TRUSTED_PROXIES=trusted)
    app.add_url_rule("/scheme", view_func=lambda: flask.request.scheme)
    response = app.test_client().get(
        "/scheme",
        headers={
            "X-Forwarded-For": "1.1.1.1, 2.2.2.2",
            "X-Forwarded-Proto": "http, https",
        },
    )
    assert events()[0]["client"] == client
    assert response.text == scheme
