"""Prometheus metrics under gunicorn, on their own port."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from flask_sqlalchemy import SQLAlchemy
from prometheus_client.parser import text_string_to_metric_families

from devtools.servers import free_port, start_gunicorn

pytestmark = pytest.mark.server


def get_text(url: str) -> str:
    """Return the body of a response, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def test_metrics_add_up_all_workers(
    database_url: str, empty_database: SQLAlchemy, tmp_path: Path
) -> None:
    metrics_port = free_port()
    log_file = tmp_path / "log"
    with (
        open(log_file, "w") as output,
        start_gunicorn(
            database_url,
            output=output,
            WEB_CONCURRENCY="2",
            METRICS_PORT=str(metrics_port),
        ) as (url, _),
    ):
        for _ in range(40):
            get_text(f"{url}/users/1")
        assert "http_requests_total" not in get_text(f"{url}/metrics")
        text = get_text(f"http://127.0.0.1:{metrics_port}/metrics")
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
    events = [json.loads(line) for line in log_file.read_text().splitlines()]
    assert sum(event.get("route") == route for event in events) == 40


def test_database_errors_are_counted() -> None:
    metrics_port = free_port()
    unreachable = "postgresql://127.0.0.1:1/users"
    with start_gunicorn(unreachable, METRICS_PORT=str(metrics_port)) as (url, _):
        get_text(f"{url}/users")
        text = get_text(f"http://127.0.0.1:{metrics_port}/metrics")
    assert 'database_errors_total{kind="OperationalError"} 1.0' in text
