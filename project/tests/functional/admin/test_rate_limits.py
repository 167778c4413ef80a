"""The limits of login attempts."""

import pytest
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import TestResponse

from project.admin import rate_limits
from project.admin.rate_limits import Limit
from project.tests.functional.admin.helpers import (
    assert_logged_out,
    let_time_pass,
    log_in,
)
from project.tests.passwords import PASSWORD
from project.tests.types import CreateProductionApp

STARTED_AT = "admin_login_attempts.started_at"
IPV6 = "2001:db8:0:1::"


def log_in_from(
    client: FlaskClient, address: str, password: str = "wrong"
) -> TestResponse:
    return log_in(client, password=password, environ_overrides={"REMOTE_ADDR": address})


def test_sixth_attempt_in_a_minute_returns_429(
    operator: FlaskClient, operators_database: SQLAlchemy
) -> None:
    for _ in range(5):
        assert log_in(operator, password="wrong").status_code == 200
    response = log_in(operator)
    assert response.status_code == 429
    assert 50 <= int(response.headers["Retry-After"]) <= 60
    assert "Too many login attempts: wait 1 minute(s)" in response.text
    assert_logged_out(operator)
    assert log_in_from(operator, "192.0.2.1").status_code == 200
    let_time_pass(operators_database, STARTED_AT, "61 seconds")
    assert log_in(operator).status_code == 302


def test_31st_attempt_in_an_hour_returns_429(
    operator: FlaskClient, operators_database: SQLAlchemy
) -> None:
    for _ in range(6):
        for _ in range(5):
            assert log_in(operator, password="wrong").status_code == 200
        let_time_pass(operators_database, STARTED_AT, "61 seconds")
    response = log_in(operator)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 3000
    let_time_pass(operators_database, STARTED_AT, "3600 seconds")
    assert log_in(operator).status_code == 302


def test_attempts_are_counted_across_workers_and_restarts(
    operator: FlaskClient, create_login_app: CreateProductionApp
) -> None:
    clients = [create_login_app().test_client() for _ in range(5)]
    for client in clients:
        assert log_in(client, password="wrong").status_code == 200
    assert log_in(operator).status_code == 429


@pytest.mark.parametrize(
    "addresses, other",
    [
        ([f"{IPV6}{number}" for number in range(6)], "2001:db8:0:2::1"),
        ([f"192.0.2.1:{port}" for port in range(1024, 1030)], "192.0.2.2:1024"),
        ([f"[{IPV6}{n}]:{1024 + n}" for n in range(6)], "[2001:db8:0:2::]:1024"),
        (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:1"] * 2, "::ffff:192.0.2.2"),
    ],
    ids=["IPv6 network", "IPv4 ports", "IPv6 ports", "IPv4 in IPv6"],
)
def test_addresses_of_one_client_count_together(
    operator: FlaskClient, addresses: list[str], other: str
) -> None:
    statuses = [log_in_from(operator, address).status_code for address in addresses]
    assert statuses == [200] * 5 + [429]
    assert log_in_from(operator, other).status_code == 200


def test_port_in_forwarded_address_is_no_new_client(
    create_login_app: CreateProductionApp, operators_database: SQLAlchemy
) -> None:
    client = create_login_app(TRUSTED_PROXIES=1).test_client()
    for port in range(1024, 1030):
        header = {"X-Forwarded-For": f"198.51.100.9, 192.0.2.1:{port}"}
        response = log_in(client, password="wrong", headers=header)
    assert response.status_code == 429


def test_all_clients_together_are_limited(
    operator: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "GLOBAL_LIMIT", Limit(7, 60))
    statuses = [
        log_in_from(operator, f"192.0.2.{number}").status_code for number in range(8)
    ]
    assert statuses == [200] * 7 + [429]


def test_refused_attempts_of_one_client_do_not_reach_the_global_limit(
    operator: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "GLOBAL_LIMIT", Limit(7, 60))
    for _ in range(20):
        log_in_from(operator, "192.0.2.1")
    assert log_in_from(operator, "192.0.2.2", PASSWORD).status_code == 302


def test_expired_counters_are_deleted(
    operator: FlaskClient, operators_database: SQLAlchemy
) -> None:
    for number in range(5):
        log_in_from(operator, f"192.0.2.{number}")
    let_time_pass(operators_database, STARTED_AT, "3601 seconds")
    log_in_from(operator, "192.0.2.9")
    with operators_database.engine.connect() as connection:
        statement = "SELECT DISTINCT client FROM admin_login_attempts ORDER BY client"
        clients = connection.exec_driver_sql(statement).scalars().all()
    assert clients == ["192.0.2.9", "everybody"]


def test_address_that_is_not_an_ip_is_counted(operator: FlaskClient) -> None:
    statuses = [log_in_from(operator, "unknown").status_code for _ in range(6)]
    assert statuses[-1] == 429
