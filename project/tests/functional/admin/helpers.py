"""Helpers that read the admin's pages and submit its forms."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

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
