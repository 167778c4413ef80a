"""Import of users from an uploaded file."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from project.tests.functional.admin.helpers import list_users, post_form
from project.tests.types import AddUser
from project.tests.users import ADA

# Each import is a process.
pytestmark = pytest.mark.subprocess

HEADER = b"username,email\n"


@pytest.fixture(autouse=True)
def command_database(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """Let the command use the database of the tests, like the application."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("FLASK_ENV", "development")


def upload(
    client: FlaskClient, content: bytes, name: str = "users.csv", **fields: Any
) -> TestResponse:
    form = {"file": (io.BytesIO(content), name), "existing": "refuse"} | fields
    return post_form(client, "/admin/user/import/", form, follow_redirects=True)


def test_valid_file_is_imported_and_audited(
    admin: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "project.audit"):
        response = upload(admin, HEADER + b"ada,ada@example.com\ngrace,g@example.com\n")
    assert "Users: 2 added, 0 updated, 0 skipped." in response.text
    assert [user["username"] for user in list_users(admin)] == ["ada", "grace"]
    assert caplog.messages == ["import_users: 2 added, 0 updated, 0 skipped by anybody"]


def test_json_lines_are_imported(admin: FlaskClient) -> None:
    line = b'{"username": "ada", "email": "ada@example.com", "active": false}\n'
    upload(admin, line, "users.JSONL")
    assert [user["active"] for user in list_users(admin)] == [False]


def test_invalid_lines_are_shown_and_nothing_is_imported(
    admin: FlaskClient, add_user: AddUser
) -> None:
    add_user(**ADA)
    rows = b"grace,grace@example.com\n,x@example.com\na,ADA@example.com\n"
    response = upload(admin, HEADER + rows)
    assert "line 3: username: " in response.text
    assert "line 4: email: another user has it" in response.text
    assert "No user was added or changed." in response.text
    assert len(list_users(admin)) == 1


@pytest.mark.parametrize("existing, username", [("skip", "ada"), ("update", "new")])
def test_policy_for_existing_users_is_applied(
    admin: FlaskClient, add_user: AddUser, existing: str, username: str
) -> None:
    add_user(**ADA)
    upload(admin, HEADER + b"new,ada@example.com\n", existing=existing)
    assert [user["username"] for user in list_users(admin)] == [username]


@pytest.mark.parametrize(
    "content, name, reason",
    [
        (b"", "", "Choose a file."),
        (b"PK\x03\x04", "users.xlsx", "a ZIP archive or a spreadsheet"),
        (b"name\nada\n", "users.csv", "the header has no email and no username"),
    ],
)
def test_unusable_file_is_refused_with_the_remedy(
    admin: FlaskClient, content: bytes, name: str, reason: str
) -> None:
    assert reason in upload(admin, content, name).text
    assert list_users(admin) == []


def test_file_larger_than_a_body_of_the_api_is_accepted(admin: FlaskClient) -> None:
    rows = b"".join(b"u,%d@example.com\n" % number for number in range(5000))
    assert "5,000 added" in upload(admin, HEADER + rows).text


def test_file_over_the_limit_is_refused(admin: FlaskClient) -> None:
    response = admin.post(
        "/admin/user/import/",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": str(11 * 1024 * 1024)},
    )
    assert response.status_code == 413
