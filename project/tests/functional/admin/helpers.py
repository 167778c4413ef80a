"""Helpers that read the admin's pages and submit its forms."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import TestResponse

from project.tests.passwords import PASSWORD

# Options of requests: the session's cookie is sent over HTTPS only.
HTTPS: dict[str, Any] = {"base_url": "https://localhost"}

CSRF_TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')
VERSION = re.compile(r'name="version"[^>]* value="(\d+)"')
CELL_EMAIL = re.compile(r'data-value="([^"]*@[^"]*)"')


def get_csrf_token(html: str) -> str:
    token: str = CSRF_TOKEN.findall(html)[0]
    return token


def get_version(html: str) -> str:
    """Return the user's version from the page of its edit form."""
    (version,) = VERSION.findall(html)
    return str(version)


def post_form(
    client: FlaskClient, url: str, data: dict[str, Any] | None = None, **options: Any
) -> TestResponse:
    """Submit a form of the admin with a valid CSRF token."""
    token = get_csrf_token(client.get("/admin/user/new/").text)
    return client.post(url, data={"csrf_token": token, **(data or {})}, **options)


def list_users(client: FlaskClient) -> Any:
    """Return all users as the API shows them."""
    return client.get("/users").get_json()["data"]["users"]


def listed_emails(response: TestResponse) -> list[str]:
    """Return the addresses of a list page, in its order."""
    return CELL_EMAIL.findall(response.text)


def audit_entries(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, int]]:
    """Return the audit log as sorted (operator, action, user id)."""
    records = [vars(r) for r in caplog.records if r.name == "project.audit"]
    return sorted((r["who"], r["action"], r["user_id"]) for r in records)


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


def log_out(client: FlaskClient, path: str = "/admin/logout") -> TestResponse:
    token = get_csrf_token(client.get("/admin/", **HTTPS).text)
    return client.post(path, data={"csrf_token": token}, **HTTPS)


def let_time_pass(database: SQLAlchemy, column: str, interval: str) -> None:
    """Move the times in a column, `table.column`, into the past."""
    table, name = column.split(".")
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE {table} SET {name} = {name} - interval '{interval}'"
        )


@contextmanager
def users_table_missing(database: SQLAlchemy) -> Iterator[None]:
    """Rename the table `users` for a while."""

    def rename(old: str, new: str) -> None:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    rename("users", "hidden_users")
    try:
        yield
    finally:
        rename("hidden_users", "users")


def assert_logged_in(client: FlaskClient) -> None:
    assert client.get("/admin/user/", **HTTPS).status_code == 200


def assert_logged_out(client: FlaskClient) -> None:
    assert client.get("/admin/user/", **HTTPS).status_code == 302
