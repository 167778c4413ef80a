"""TRUSTED_HOSTS decides under which host names the service answers."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from project import create_app
from project.config import ConfigError, DevelopmentConfig, ProductionConfig, load_config
from project.server.startup import startup_warnings
from project.tests.types import AddUser, CreateProductionApp

TRUSTED = "users.example.com, .internal.example, 192.0.2.7 [2001:db8::7]"


@pytest.fixture
def create_hosts_app(
    create_production_app: CreateProductionApp,
    database_url: str,
    empty_database: SQLAlchemy,
) -> CreateProductionApp:
    """Factory of applications with TRUSTED; takes settings to override."""

    def create(**settings: object) -> Flask:
        defaults = {"DATABASE_URL": database_url, "TRUSTED_HOSTS": TRUSTED}
        return create_production_app(**defaults | settings)

    return create


@pytest.fixture
def production(create_hosts_app: CreateProductionApp) -> FlaskClient:
    """A client of a production application that accepts TRUSTED."""
    return create_hosts_app().test_client()


def request_as(client: FlaskClient, host: str, path: str = "/users") -> TestResponse:
    return client.get(path, headers={"Host": host})


@pytest.mark.parametrize(
    "host",
    [
        "users.example.com",
        "USERS.example.com:8443",
        "internal.example",
        "a.b.internal.example",
        "192.0.2.7:5000",
        "[2001:db8::7]:5000",
    ],
)
def test_trusted_host_is_accepted(production: FlaskClient, host: str) -> None:
    assert request_as(production, host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "users.example.com.evil.example",
        "evil-internal.example",
        "localhost",
        "192.0.2.8",
    ],
)
@pytest.mark.parametrize("path", ["/users", "/openapi.json", "/missing"])
def test_other_host_is_refused_with_a_remedy(
    production: FlaskClient, host: str, path: str
) -> None:
    response = request_as(production, host, path)
    assert response.status_code == 400
    assert "add it to TRUSTED_HOSTS" in response.get_json()["message"]


@pytest.mark.parametrize(
    "host",
    [
        "",
        "users.example.com@evil.example",
        "users.example.com/",
        "users.example.com,users.example.com",
        "a b",
    ],
)
@pytest.mark.parametrize("path", ["/ping", "/users", "/missing"])
def test_malformed_host_is_refused_with_a_remedy(
    client: FlaskClient, production: FlaskClient, host: str, path: str
) -> None:
    for any_client in (client, production):
        response = request_as(any_client, host, path)
        assert response.status_code == 400
        assert response.get_json()["code"] == "invalid_host"


@pytest.mark.parametrize("protocol, status", [("HTTP/1.0", 200), ("HTTP/1.1", 400)])
def test_only_http_1_0_needs_no_host(
    client: FlaskClient, protocol: str, status: int
) -> None:
    environ = EnvironBuilder("/ping").get_environ()
    del environ["HTTP_HOST"]
    environ["SERVER_PROTOCOL"] = protocol
    _, actual, _ = run_wsgi_app(client.application, environ)
    assert int(actual[:3]) == status


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_probes_are_answered_under_every_name(
    production: FlaskClient, path: str
) -> None:
    assert request_as(production, "10.1.2.3", path).status_code == 200


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost", 200),
        ("127.0.0.1:5000", 200),
        ("[::1]:5000", 200),
        ("project.localhost", 200),
        ("users:5000", 200),
        ("rebinding.example", 400),
        ("users.example", 400),
    ],
)
def test_development_accepts_local_names_only(
    database_url: str, empty_database: SQLAlchemy, host: str, status: int
) -> None:
    app = create_app(
        type("Local", (DevelopmentConfig,), {"DATABASE_URL": database_url})
    )
    for path in ("/users", "/admin/"):
        assert request_as(app.test_client(), host, path).status_code == status


def test_links_contain_the_forwarded_host_of_a_trusted_proxy(
    create_hosts_app: CreateProductionApp, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    add_user("grace", "grace@example.com")
    headers = {"Host": "backend", "X-Forwarded-Host": "users.example.com"}
    client = create_hosts_app(TRUSTED_PROXIES=1).test_client()
    response = client.get("/users?limit=1", headers=headers)
    url = "http://users.example.com/users?limit=1&after=1"
    assert response.get_json()["data"]["next"] == url
    assert response.headers["Link"] == f'<{url}>; rel="next"'
    for forged in ("evil.example", "users.example.com, evil.example"):
        headers["X-Forwarded-Host"] = forged
        assert client.get("/users?limit=1", headers=headers).status_code == 400


def test_forwarded_host_without_a_trusted_proxy_is_ignored(
    production: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    add_user("grace", "grace@example.com")
    headers = {"Host": "users.example.com", "X-Forwarded-Host": "evil.example"}
    response = production.get("/users?limit=1", headers=headers)
    assert "evil" not in response.text + response.headers["Link"]


@pytest.mark.parametrize(
    "value", ["https://example.com", "example.com:443", "a b/c", "*.example.com", "é"]
)
def test_invalid_setting_is_refused_at_start(value: str) -> None:
    with pytest.raises(ConfigError, match="is not a host name: write it as"):
        load_config(type("Settings", (ProductionConfig,), {"TRUSTED_HOSTS": value}))


@pytest.mark.parametrize(
    "config, hosts, warnings",
    [
        (ProductionConfig, "", 1),
        (ProductionConfig, "users.example.com", 0),
        (DevelopmentConfig, "", 0),
    ],
)
def test_production_warns_if_trusted_hosts_is_unset(
    monkeypatch: pytest.MonkeyPatch, config: type, hosts: str, warnings: int
) -> None:
    monkeypatch.setenv("TRUSTED_HOSTS", hosts)
    lines = " ".join(startup_warnings(load_config(config)))
    assert lines.count("TRUSTED_HOSTS is not set") == warnings
