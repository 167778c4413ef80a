"""The admin site's login under ProductionConfig."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from project.tests.functional.admin.helpers import (
    HTTPS,
    assert_logged_in,
    assert_logged_out,
    get_csrf_token,
    log_in,
)
from project.tests.passwords import PASSWORD, PASSWORD_HASH
from project.tests.types import AddUser, CreateProductionApp


def test_admin_needs_a_secret_key(create_login_app: CreateProductionApp) -> None:
    client = create_login_app(SECRET_KEY=None).test_client()
    assert client.get("/admin/", **HTTPS).status_code == 404


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


def test_large_form_is_refused_before_it_is_parsed(operator: FlaskClient) -> None:
    form = {f"field{number}": "x" for number in range(1000)}
    response = operator.post("/admin/login", data=form, **HTTPS)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "cookie",
    ["remember_token=\xff|\xff", "remember_token=a|b", "session=\xff", "session=a.b.c"],
)
def test_malformed_cookie_is_ignored(operator: FlaskClient, cookie: str) -> None:
    page = operator.get("/admin/login", headers={"Cookie": cookie}, **HTTPS)
    assert page.status_code == 200
    page = operator.get("/admin/user/", headers={"Cookie": cookie}, **HTTPS)
    assert page.status_code == 302


@pytest.mark.parametrize(
    "query", ["next=%0d%0aSet-Cookie:a=b", "next=%ff", "\xff=\xff"]
)
def test_malformed_query_is_ignored(operator: FlaskClient, query: str) -> None:
    assert operator.get(f"/admin/user/?{query}", **HTTPS).status_code == 302
    response = log_in(operator, query=f"?{query}")
    assert response.location == "/admin/"


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


def test_login_without_database_returns_503_as_a_page(
    create_login_app: CreateProductionApp,
) -> None:
    app = create_login_app(DATABASE_URL="postgresql://127.0.0.1:1/users")
    client = app.test_client()
    response = log_in(client)
    assert response.status_code == 503
    assert "The database is not available" in response.text
    assert response.mimetype == "text/html"


def test_failed_login_without_operators_logs_the_command(
    operator: FlaskClient,
    operators_database: SQLAlchemy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_in(operator, password="wrong")
    assert "set_operator" not in caplog.text
    with operators_database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM admin_operators")
    log_in(operator)
    assert "python manage.py set_operator" in caplog.text
