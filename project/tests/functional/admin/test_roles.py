"""What operators may do: readers read, editors also write."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from project.tests.functional.admin.helpers import (
    HTTPS,
    audit_entries,
    get_csrf_token,
    list_users,
    log_in,
    log_out,
)
from project.tests.types import AddUser
from project.tests.users import ADA

WRITES = ["new/", "edit/?id=1", "delete/", "action/", "ajax/update/"]
CONTROLS = [
    "New user",
    "Edit",
    "Delete",
    "Deactivate",
    "inline-edit",
    "rowid",
]


@pytest.fixture
def reader(login_app: Flask, operator: FlaskClient) -> FlaskClient:
    """A client that is logged in as a reader."""
    client = login_app.test_client()
    log_in(client, "auditor")
    return client


def write(client: FlaskClient, url: str, user_id: str) -> int:
    """Submit the form of a page, and return the status."""
    form = {
        "csrf_token": get_csrf_token(client.get("/admin/", **HTTPS).text),
        "username": "changed",
        "email": "changed@example.com",
        "id": user_id,
        "list_form_pk": user_id,
        "rowid": user_id,
        "action": "delete",
    }
    return client.post(f"/admin/user/{url}", data=form, **HTTPS).status_code


@pytest.mark.parametrize("url", WRITES)
def test_write_of_a_reader_returns_403(
    reader: FlaskClient, add_user: AddUser, url: str
) -> None:
    user = add_user(**ADA)
    assert write(reader, url, str(user.id)) == 403
    assert [user["username"] for user in list_users(reader)] == ["ada"]


def test_reader_sees_and_exports_users_without_controls_for_changes(
    reader: FlaskClient, operator: FlaskClient, add_user: AddUser
) -> None:
    add_user(**ADA)
    page = reader.get("/admin/user/", **HTTPS).text
    assert "ada@example.com" in page
    assert not [text for text in CONTROLS if text in page]
    export = reader.get("/admin/user/export/csv/", buffered=True, **HTTPS)
    assert "ada@example.com" in export.text
    details = reader.get("/admin/user/details/?id=1", **HTTPS).text
    assert "ada@example.com" in details
    assert not [text for text in CONTROLS if text in details]
    for url in ("new/", "edit/?id=1", "delete/?id=1"):
        response = reader.get(f"/admin/user/{url}", **HTTPS)
        assert response.status_code == 403
        assert "ask an editor" in response.text
    log_in(operator)
    page = operator.get("/admin/user/", **HTTPS).text
    assert [text for text in CONTROLS if text in page] == CONTROLS


@pytest.mark.parametrize("path", ["/admin/logout", "/admin/logout-everywhere"])
def test_reader_can_log_out(reader: FlaskClient, path: str) -> None:
    assert log_out(reader, path).location == "/admin/login"


def test_export_is_audited(
    reader: FlaskClient, add_user: AddUser, caplog: pytest.LogCaptureFixture
) -> None:
    add_user(**ADA)
    with caplog.at_level("INFO", "project.audit"):
        reader.get("/admin/user/export/csv/", buffered=True, **HTTPS)
    assert caplog.messages == ["export_users: 1 exported by auditor"]


def test_audit_log_names_each_operator(
    operator: FlaskClient, add_user: AddUser, caplog: pytest.LogCaptureFixture
) -> None:
    add_user(**ADA)
    log_in(operator)
    with caplog.at_level("INFO", "project.audit"):
        assert write(operator, "delete/", "1") == 302
    assert audit_entries(caplog) == [("ops", "removed", 1)]
