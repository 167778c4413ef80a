"""REQUIRE_HTTPS: nothing but probes is served over plain HTTP."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from project.config import ProductionConfig, load_config
from project.server.startup import startup_warnings
from project.tests.types import CreateProductionApp
from project.tests.users import ADA

TOKEN = "0123456789abcdef"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
FORWARDED = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def https_app(
    create_production_app: CreateProductionApp,
    database_url: str,
    test_database: SQLAlchemy,
) -> Flask:
    """An application that requires HTTPS, behind a proxy."""
    return create_production_app(
        DATABASE_URL=database_url,
        REQUIRE_HTTPS="true",
        TRUSTED_PROXIES=1,
        API_TOKENS=TOKEN,
    )


@pytest.fixture
def https_client(https_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of `https_app`; its requests are plain HTTP."""
    return https_app.test_client()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/users?limit=1", "/docs", "/missing", "/admin/"])
def test_get_is_redirected(https_client: FlaskClient, method: str, path: str) -> None:
    response = https_client.open(path, method=method)
    assert response.status_code == 308
    assert response.location == f"https://localhost{path}"
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize("host", ["", "bad host"])
def test_get_without_a_valid_host_is_not_redirected(
    https_client: FlaskClient, host: str
) -> None:
    response = https_client.get("/evil.example/", headers={"Host": host})
    assert response.status_code == 400
    assert "Location" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(https_client: FlaskClient, method: str) -> None:
    response = https_client.open("/users/1", method=method, json=ADA)
    assert response.status_code == 403
    assert "https://" in response.get_json()["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_token_over_plain_http_is_refused(
    https_client: FlaskClient, method: str
) -> None:
    response = https_client.open("/users", method=method, headers=AUTHORIZATION)
    assert response.status_code == 403
    assert "replace it, and use https://" in response.get_json()["message"]


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_probes_need_no_https(https_client: FlaskClient, path: str) -> None:
    assert https_client.get(path).status_code == 200


def test_https_request_is_served_with_hsts(https_client: FlaskClient) -> None:
    headers = AUTHORIZATION | FORWARDED
    added = https_client.post("/users", json=ADA, headers=headers)
    listed = https_client.get("/users", headers=headers)
    assert (added.status_code, listed.status_code) == (201, 200)
    for response in (added, listed, https_client.get("/ping", headers=FORWARDED)):
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("proxies, warnings", [(0, 1), (1, 0)])
def test_start_warns_if_no_proxy_is_trusted(proxies: int, warnings: int) -> None:
    settings = {"REQUIRE_HTTPS": True, "TRUSTED_PROXIES": proxies}
    config = load_config(type("Settings", (ProductionConfig,), settings))
    lines = " ".join(startup_warnings(config))
    assert lines.count("REQUIRE_HTTPS is set and TRUSTED_PROXIES is not") == warnings
