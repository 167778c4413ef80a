"""The admin site's login under ProductionConfig."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.test import TestResponse

from project.admin.passwords import hash_password
from project.tests.client import IsolatedClient
from project.tests.functional.admin.helpers import audit_entries, get_csrf_token
from project.tests.passwords import PASSWORD, PASSWORD_HASH
from project.tests.types import AddUser, CreateProductionApp

HTTPS: dict[str, Any] = {"base_url": "https://localhost"}


@pytest.fixture(scope="module")
def create_login_app(
    create_production_app: CreateProductionApp,
    database_url: str,
    test_database: SQLAlchemy,
) -> CreateProductionApp:
    """Factory of applications whose admin has a login; takes settings to override."""

    def create(**settings: Any) -> Flask:
        defaults = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a secret, long enough",
            "ADMIN_USERNAME": "ops",
            "ADMIN_PASSWORD": PASSWORD_HASH,
        }
        app = create_production_app(**defaults | settings)
        app.test_client_class = IsolatedClient
        return app

    return create


@pytest.fixture(scope="module")
def login_app(create_login_app: CreateProductionApp) -> Flask:
    """An application whose admin has a login."""
    return create_login_app()


@pytest.fixture
def operator(login_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of `login_app`, not logged in, with an empty rate limiter."""
    home = login_app.extensions["admin"][0].index_view
    home.rate_limiter = MovingWindowRateLimiter(MemoryStorage())
    return login_app.test_client()


def log_in(
    client: FlaskClient,
    username: str = "ops",
    password: str = PASSWORD,
    query: str = "",
    **options: Any,
) -> TestResponse:
    token = get_csrf_token(client.get("/admin/login", **HTTPS).text)
    data = {"csrf_token": token, "username": username, "password": password}
    return client.post(f"/admin/login{query}", data=data, **HTTPS | options)


def assert_logged_in(client: FlaskClient) -> None:
    assert client.get("/admin/user/", **HTTPS).status_code == 200


def assert_logged_out(client: FlaskClient) -> None:
    assert client.get("/admin/user/", **HTTPS).status_code == 302


@pytest.mark.parametrize("value", [None, "development", "production"])
def test_login_is_required_whatever_flask_env_says(
    create_login_app: CreateProductionApp, value: str | None
) -> None:
    client = create_login_app(FLASK_ENV=value).test_client()
    response = client.get("/admin/user/?search=a", **HTTPS)
    assert response.status_code == 302
    assert response.location == "/admin/login?next=/admin/user/?search%3Da"
    assert client.get("/ping").status_code == 200


def test_session_lasts_from_login_to_logout(
    operator: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert_logged_out(operator)
    with caplog.at_level("INFO", "project.admin"):
        login = log_in(operator, query="?next=/admin/user/?search%3Da")
    assert login.location == "/admin/user/?search=a"
    assert "ops logged in from 127.0.0.1" in caplog.text
    cookie = login.headers["Set-Cookie"]
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/admin", "Expires="):
        assert attribute in cookie
    assert_logged_in(operator)
    token = get_csrf_token(operator.get("/admin/", **HTTPS).text)
    assert operator.get("/admin/logout", **HTTPS).status_code == 405
    assert operator.post("/admin/logout", **HTTPS).status_code == 400
    assert_logged_in(operator)
    logout = operator.post("/admin/logout", data={"csrf_token": token}, **HTTPS)
    assert logout.location == "/admin/login"
    assert_logged_out(operator)


def test_audit_log_names_the_operator(
    operator: FlaskClient, add_user: AddUser, caplog: pytest.LogCaptureFixture
) -> None:
    add_user("ada", "ada@example.com")
    log_in(operator)
    token = get_csrf_token(operator.get("/admin/user/", **HTTPS).text)
    with caplog.at_level("INFO", "project.audit"):
        operator.post(
            "/admin/user/delete/", data={"csrf_token": token, "id": "1"}, **HTTPS
        )
    assert audit_entries(caplog) == [("ops", "removed", 1)]


@pytest.mark.parametrize(
    "username, password",
    [
        ("ops", "wrong"),
        ("ops", ""),
        ("root", PASSWORD),
        ("", ""),
        ("ops", PASSWORD_HASH),
        ("öps", "\0"),
        ("ops", PASSWORD + "x" * 2000),
    ],
)
def test_wrong_credentials_are_refused_and_logged_without_the_password(
    operator: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    username: str,
    password: str,
) -> None:
    response = log_in(operator, username, password)
    assert "The username or the password is wrong." in response.text
    assert_logged_out(operator)
    assert "127.0.0.1 failed to log in" in caplog.text
    assert password == "" or password not in caplog.text


def test_sixth_attempt_in_a_minute_returns_429(operator: FlaskClient) -> None:
    for _ in range(5):
        assert log_in(operator, password="wrong").status_code == 200
    response = log_in(operator)
    assert response.status_code == 429
    assert "Too many tries" in response.text
    assert_logged_out(operator)
    other_address = {"REMOTE_ADDR": "192.0.2.1"}
    assert log_in(operator, environ_overrides=other_address).status_code == 302


def test_large_form_is_refused_before_it_is_parsed(operator: FlaskClient) -> None:
    form = {f"field{number}": "x" for number in range(1000)}
    response = operator.post("/admin/login", data=form, **HTTPS)
    assert response.status_code == 413


@pytest.mark.parametrize("token", [{}, {"csrf_token": "wrong"}])
def test_login_without_valid_csrf_token_returns_400(
    operator: FlaskClient, token: dict[str, str]
) -> None:
    data = {"username": "ops", "password": PASSWORD, **token}
    assert operator.post("/admin/login", data=data, **HTTPS).status_code == 400
    assert_logged_out(operator)


def test_csrf_token_of_another_session_returns_400(
    operator: FlaskClient, login_app: Flask
) -> None:
    log_in(operator)
    other = login_app.test_client()
    token = get_csrf_token(other.get("/admin/login", **HTTPS).text)
    data = {"csrf_token": token, "username": "x", "email": "x@example.com"}
    assert operator.post("/admin/user/new/", data=data, **HTTPS).status_code == 400
    assert operator.get("/users").get_json()["data"]["users"] == []


@pytest.mark.parametrize(
    "target", ["https://example.com/", "//example.com", "javascript:x", "\\\\x"]
)
def test_login_redirects_only_within_the_admin(
    operator: FlaskClient, target: str
) -> None:
    response = log_in(operator, query=f"?next={target}")
    assert response.location == "/admin/"


def test_expired_session_is_logged_out(
    operator: FlaskClient, login_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(operator)
    assert_logged_in(operator)
    monkeypatch.setitem(
        login_app.config, "PERMANENT_SESSION_LIFETIME", timedelta(seconds=-1)
    )
    assert_logged_out(operator)


@pytest.mark.parametrize("setting", ["ADMIN_USERNAME", "ADMIN_PASSWORD", "SECRET_KEY"])
def test_session_ends_when_credentials_change(
    create_login_app: CreateProductionApp, operator: FlaskClient, setting: str
) -> None:
    log_in(operator)
    cookie = operator.get_cookie("session", path="/admin")
    assert cookie is not None
    unchanged = create_login_app()
    changed = create_login_app(**{setting: hash_password("another password")})
    for app, check in ((unchanged, assert_logged_in), (changed, assert_logged_out)):
        client = app.test_client()
        client.set_cookie("session", cookie.value, path="/admin", secure=True)
        check(client)


@pytest.mark.parametrize(
    "method, url",
    [
        ("GET", "/admin/"),
        ("GET", "/admin/user/"),
        ("GET", "/admin/user/new/"),
        ("GET", "/admin/user/edit/?id=1"),
        ("GET", "/admin/user/export/csv/"),
        ("GET", "/admin/user/ajax/lookup/"),
        ("HEAD", "/admin/user/"),
        ("POST", "/admin/user/new/"),
        ("POST", "/admin/user/edit/?id=1"),
        ("POST", "/admin/user/delete/"),
        ("POST", "/admin/user/action/"),
        ("POST", "/admin/user/ajax/update/"),
        ("POST", "/admin/logout"),
    ],
)
def test_anonymous_request_is_redirected_or_refused(
    operator: FlaskClient, add_user: AddUser, method: str, url: str
) -> None:
    add_user("ada", "ada@example.com")
    data = {"id": "1", "rowid": "1", "action": "delete", "username": "x"}
    response = operator.open(url, method=method, data=data, **HTTPS)
    assert response.status_code == (302 if method == "GET" else 401)
    assert "ada@example.com" not in response.text
    assert operator.get("/users/1").get_json()["data"]["username"] == "ada"


def test_anonymous_script_gets_401_as_text(operator: FlaskClient) -> None:
    """The inline editor would treat a redirect to the login page as a success."""
    headers = {"X-Requested-With": "XMLHttpRequest"}
    response = operator.post("/admin/user/ajax/update/", headers=headers, **HTTPS)
    assert response.status_code == 401
    assert response.mimetype == "text/plain"
    assert response.text == "You are logged out: log in and try again."


def test_login_needs_no_database(create_login_app: CreateProductionApp) -> None:
    app = create_login_app(DATABASE_URL="postgresql://127.0.0.1:1/users")
    client = app.test_client()
    assert log_in(client).status_code == 302
    assert client.get("/admin/user/", **HTTPS).status_code == 503
