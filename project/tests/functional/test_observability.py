"""What the service tells: request ids, log lines, metrics."""

import io
import json
import logging
import re
import urllib.error
import urllib.request
from contextlib import contextmanager

import flask
import pytest
from prometheus_client.parser import text_string_to_metric_families

from project import observability
from project.tests.servers import free_port, gunicorn

ADA = {"username": "ada", "email": "ada@example.com"}


@contextmanager
def captured(kind):
    """Yield a function that returns the lines logged since, in one of the formats."""
    config = observability.logging_config({"LOG_LEVEL": "INFO", "LOG_FORMAT": kind})
    formatter = logging.config.DictConfigurator(config).configure_formatter(
        config["formatters"][kind]
    )
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    handler.addFilter(observability.RequestId())
    logger = logging.getLogger("project")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield lambda: handler.stream.getvalue().split("\n")[:-1]
    logger.setLevel("NOTSET")
    logger.removeHandler(handler)


@pytest.fixture(params=["json", "text"])
def lines(request):
    """A function that returns what was logged, as production or development does."""
    with captured(request.param) as logged:
        yield logged


@pytest.fixture
def events():
    """A function that returns what was logged in production, parsed."""
    with captured("json") as logged:
        yield lambda: [json.loads(line) for line in logged()]


def test_request_id_is_taken_over(client):
    answer = client.get("/ping", headers={"X-Request-ID": "8f14.e45f-ceea_1"})
    assert answer.headers["X-Request-ID"] == "8f14.e45f-ceea_1"


@pytest.mark.parametrize("given", [None, "", "a b", "a" * 65, "<script>", "é"])
@pytest.mark.parametrize("url", ["/ping", "/nowhere", "/users/0"])
def test_request_id_is_made(client, given, url):
    headers = {} if given is None else {"X-Request-ID": given}
    ids = {client.get(url, headers=headers).headers["X-Request-ID"] for _ in "ab"}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids)


def test_a_line_for_each_request(client, add_user, events):
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


def test_every_write_is_an_audit_line(client, events):
    client.post("/users", json=ADA)
    client.post("/users", json=ADA)
    client.patch("/users/1", json={"active": False})
    client.put("/users/1", json=ADA)
    client.delete("/users/1")
    client.delete("/users/1")
    audit = [line for line in events() if line["logger"] == "project.audit"]
    assert [(line["action"], line["user_id"]) for line in audit] == [
        ("added", 1),
        ("updated", 1),
        ("updated", 1),
        ("removed", 1),
    ]
    assert all(line["request_id"] for line in audit)


def test_nothing_personal_is_logged(client, lines):
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
    # As a word: a request id may have these letters, too.
    assert not re.search(r"\bada\b", text)


def test_a_newline_forges_no_line(lines):
    logging.getLogger("project.any").warning("one\n2026 INFO forged\r\x1b[2J\u2028x")
    assert len(lines()) == 1


def test_error_is_in_the_log_alone(production, events):
    app = production(PROPAGATE_EXCEPTIONS=False)

    @app.get("/crash")
    def crash():
        raise RuntimeError("a secret detail")

    answer = app.test_client().get("/crash")
    error = next(line for line in events() if line["level"] == "ERROR")
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert "RuntimeError: a secret detail" in error["exc_info"]
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "trusted, client, scheme",
    [(0, "127.0.0.1", "http"), (1, "2.2.2.2", "https"), (2, "1.1.1.1", "http")],
)
def test_client_behind_trusted_proxies(production, events, trusted, client, scheme):
    app = production(TRUSTED_PROXIES=trusted)
    app.add_url_rule("/scheme", view_func=lambda: flask.request.scheme)
    answer = app.test_client().get(
        "/scheme",
        headers={
            "X-Forwarded-For": "1.1.1.1, 2.2.2.2",
            "X-Forwarded-Proto": "http, https",
        },
    )
    assert events()[0]["client"] == client
    assert answer.text == scheme


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def test_metrics_are_right_across_workers(database_url, empty_database, tmp_path):
    port = free_port()
    log = tmp_path / "log"
    with open(log, "w") as output, gunicorn(
        database_url, output=output, WEB_CONCURRENCY="2", METRICS_PORT=str(port)
    ) as (url, _):
        for _ in range(40):
            get(f"{url}/users/1")
        assert "http_requests_total" not in get(f"{url}/metrics")
        text = get(f"http://127.0.0.1:{port}/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    route = "/users/<user_id>"
    assert samples["http_requests_total", "GET", route, "404"] == 40
    assert samples["http_request_duration_seconds_count", "GET", route] == 40
    assert samples[("http_requests_in_flight",)] == 0
    assert samples[("database_pool_in_use",)] == 0
    access = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line.get("route") == route for line in access) == 40


def test_database_errors_are_counted(tmp_path):
    port = free_port()
    away = "postgresql://127.0.0.1:1/users"
    with gunicorn(away, METRICS_PORT=str(port)) as (url, _):
        get(f"{url}/users")
        text = get(f"http://127.0.0.1:{port}/metrics")
    assert 'database_errors_total{kind="OperationalError"} 1.0' in text
