"""How sessions of the admin site end."""

from threading import Thread

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from project.admin import operators, sessions
from project.admin.passwords import hash_password
from project.tests.functional.admin.helpers import (
    HTTPS,
    assert_logged_in,
    assert_logged_out,
    get_csrf_token,
    let_time_pass,
    list_users,
    log_in,
    log_out,
)
from project.tests.passwords import PASSWORD_HASH
from project.tests.types import CreateProductionApp


def copy_session(client: FlaskClient, app: Flask) -> FlaskClient:
    """Return another client with a copy of the session's cookie."""
    cookie = client.get_cookie("session", path="/admin")
    assert cookie is not None
    copy = app.test_client()
    copy.set_cookie("session", cookie.value, path="/admin", secure=True)
    return copy


def count_sessions(database: SQLAlchemy) -> int:
    with database.engine.connect() as connection:
        statement = "SELECT count(*) FROM admin_sessions"
        return int(connection.exec_driver_sql(statement).scalar_one())


def test_logout_ends_a_copied_session(operator: FlaskClient, login_app: Flask) -> None:
    log_in(operator)
    copy = copy_session(operator, login_app)
    assert_logged_in(copy)
    log_out(operator)
    assert_logged_out(copy)


def test_logout_keeps_other_sessions(operator: FlaskClient, login_app: Flask) -> None:
    other = login_app.test_client()
    log_in(operator)
    log_in(other)
    log_out(operator)
    assert_logged_out(operator)
    assert_logged_in(other)


def test_logout_everywhere_ends_all_sessions_of_the_operator(
    operator: FlaskClient, login_app: Flask
) -> None:
    second, auditor = login_app.test_client(), login_app.test_client()
    log_in(operator)
    log_in(second)
    log_in(auditor, "auditor")
    response = log_out(operator, "/admin/logout-everywhere")
    assert response.location == "/admin/login"
    assert_logged_out(operator)
    assert_logged_out(second)
    assert_logged_in(auditor)


def test_session_ends_after_an_hour_without_a_request(
    operator: FlaskClient, operators_database: SQLAlchemy
) -> None:
    log_in(operator)
    let_time_pass(operators_database, "admin_sessions.seen_at", "59 minutes")
    assert_logged_in(operator)
    let_time_pass(operators_database, "admin_sessions.seen_at", "59 minutes")
    assert_logged_in(operator)
    let_time_pass(operators_database, "admin_sessions.seen_at", "61 minutes")
    assert_logged_out(operator)


def test_active_session_ends_after_twelve_hours(
    operator: FlaskClient, operators_database: SQLAlchemy
) -> None:
    log_in(operator)
    let_time_pass(
        operators_database, "admin_sessions.created_at", "11 hours 59 minutes"
    )
    assert_logged_in(operator)
    let_time_pass(operators_database, "admin_sessions.created_at", "1 minute")
    assert_logged_out(operator)


def test_login_deletes_expired_sessions(
    operator: FlaskClient, login_app: Flask, operators_database: SQLAlchemy
) -> None:
    log_in(login_app.test_client())
    log_in(login_app.test_client(), "auditor")
    let_time_pass(operators_database, "admin_sessions.created_at", "12 hours")
    log_in(operator)
    assert count_sessions(operators_database) == 1


def test_table_does_not_contain_the_token(
    operator: FlaskClient, login_app: Flask, operators_database: SQLAlchemy
) -> None:
    log_in(operator)
    cookie = operator.get_cookie("session", path="/admin")
    serializer = SecureCookieSessionInterface().get_signing_serializer(login_app)
    assert cookie and serializer
    token: str = serializer.loads(cookie.value)["token"]
    with operators_database.engine.connect() as connection:
        statement = "SELECT token_digest FROM admin_sessions"
        (digest,) = connection.exec_driver_sql(statement).scalars()
    assert len(digest) == 32
    assert token.encode() not in bytes(digest)


def test_session_ends_when_the_password_is_set(operator: FlaskClient) -> None:
    log_in(operator)
    operators.save("ops", hash_password("another password"), "editor")
    assert_logged_out(operator)


def test_session_ends_when_the_operator_is_removed(operator: FlaskClient) -> None:
    log_in(operator)
    operators.remove("ops")
    assert_logged_out(operator)
    operators.save("ops", PASSWORD_HASH, "editor")
    assert_logged_out(operator)


def test_changed_password_starts_no_session(
    operators_database: SQLAlchemy, test_app: Flask
) -> None:
    """The password was changed while its hash was checked."""
    assert sessions.start("ops", PASSWORD_HASH)
    operators.save("ops", hash_password("another password"), "editor")
    assert sessions.start("ops", PASSWORD_HASH) is None
    operators.remove("ops")
    assert sessions.start("ops", PASSWORD_HASH) is None
    assert count_sessions(operators_database) == 0


def test_login_while_the_operator_is_changed_does_not_deadlock(
    operators_database: SQLAlchemy, test_app: Flask
) -> None:
    def start_session() -> None:
        with test_app.app_context():
            sessions.start("ops", PASSWORD_HASH)

    sessions.start("ops", PASSWORD_HASH)
    let_time_pass(operators_database, "admin_sessions.created_at", "12 hours")
    login = Thread(target=start_session)
    with operators_database.engine.begin() as connection:
        execute = connection.exec_driver_sql
        # As `operators.save`.
        execute("UPDATE admin_operators SET role = 'reader' WHERE username = 'ops'")
        login.start()
        while not execute("SELECT FROM pg_locks WHERE NOT granted").all():
            assert login.is_alive()
        execute("DELETE FROM admin_sessions WHERE username = 'ops'")
    login.join()
    assert count_sessions(operators_database) == 1


def test_session_ends_when_the_secret_key_changes(
    operator: FlaskClient, create_login_app: CreateProductionApp, login_app: Flask
) -> None:
    log_in(operator)
    assert_logged_in(copy_session(operator, login_app))
    changed = create_login_app(SECRET_KEY="another secret, long enough")
    assert_logged_out(copy_session(operator, changed))


def test_form_of_an_expired_session_is_kept_only_with_its_csrf_token(
    operator: FlaskClient, operators_database: SQLAlchemy
) -> None:
    log_in(operator)
    form = {
        "csrf_token": get_csrf_token(operator.get("/admin/user/new/", **HTTPS).text),
        "username": "<ada>",
        "email": "ada@example.com",
    }
    let_time_pass(operators_database, "admin_sessions.seen_at", "61 minutes")
    for token, is_kept in ((form["csrf_token"], True), ("forged", False), ("", False)):
        response = operator.post(
            "/admin/user/new/", data=form | {"csrf_token": token}, **HTTPS
        )
        assert response.status_code == 401
        hidden = 'name="kept-username" value="&lt;ada&gt;"'
        assert (hidden in response.text) == is_kept
        assert ("log in and try again" in response.text) != is_kept
    large = form | {"username": "a" * 4096}
    response = operator.post("/admin/user/new/", data=large, **HTTPS)
    assert "log in and try again" in response.text
    assert list_users(operator) == []
