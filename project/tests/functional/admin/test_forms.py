"""Users created, edited and deleted by the admin's forms."""

import re

import pytest
from flask.testing import FlaskClient

from project.tests.functional.admin.helpers import (
    audit_entries,
    get_version,
    list_users,
    post_form,
)
from project.tests.types import AddUser
from project.tests.users import ADA, user_body


def test_create_form_adds_and_audits_user(
    admin: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "project.audit"):
        response = post_form(admin, "/admin/user/new/", {**ADA, "active": "y"})
    assert response.location == "/admin/user/"
    assert [user["email"] for user in list_users(admin)] == ["ada@example.com"]
    assert audit_entries(caplog) == [("anybody", "added", 1)]


@pytest.mark.parametrize(
    "field, value, reason",
    [
        ("email", "ADA@example.com", "Sorry. That email already exists."),
        ("email", "grace", "An email address must have an @-sign."),
        ("email", "", "Fill in this field."),
        ("email", "a" * 117 + "@example.com", "Use at most 128 characters."),
        ("username", "   ", "Fill in this field."),
        ("username", "a" * 129, "Use at most 128 characters."),
        ("username", "a\0b", "Control characters are not allowed"),
        ("username", "a\u200bb", "characters are not allowed (U+200B)"),
        ("email", "ＡＤＡ@example.com", "Sorry. That email already exists."),
        ("email", "a\u200bb@example.com", "characters are not allowed (U+200B)"),
    ],
)
@pytest.mark.parametrize("url", ["/admin/user/new/", "/admin/user/edit/?id=2"])
def test_invalid_field_shows_reason_and_keeps_input(
    admin: FlaskClient,
    add_user: AddUser,
    url: str,
    field: str,
    value: str,
    reason: str,
) -> None:
    add_user(**ADA)
    add_user("grace", "grace@example.com")
    before = list_users(admin)
    version = get_version(admin.get("/admin/user/edit/?id=2").text)
    form = user_body(username="<b>kept</b>", email="new@example.com", version=version)
    response = post_form(admin, url, form | {field: value})
    assert response.status_code == 200
    invalid = re.findall(r'aria-invalid="true"[^>]* id="(\w+)"', response.text)
    assert invalid == [field]
    assert reason in response.text
    kept = "new@example.com" if field == "username" else "&lt;b&gt;kept&lt;/b&gt;"
    assert f'value="{kept}"' in response.text
    assert list_users(admin) == before


def test_edit_of_stale_version_is_refused(
    admin: FlaskClient, add_user: AddUser
) -> None:
    add_user(**ADA)
    version = get_version(admin.get("/admin/user/edit/?id=1").text)
    admin.patch("/users/1", json={"username": "countess"})
    form = {**ADA, "email": "new@example.com", "version": version}
    response = post_form(admin, "/admin/user/edit/?id=1", form)
    assert "Somebody else has changed this user" in response.text
    assert 'Stored now: <span dir="auto">countess<' in response.text
    assert 'Stored now: <span dir="auto">ada@example.com<' in response.text
    assert 'value="new@example.com"' in response.text
    assert list_users(admin)[0]["username"] == "countess"
    # Saving again replaces the version that the page has shown.
    form["version"] = get_version(response.text)
    assert post_form(admin, "/admin/user/edit/?id=1", form).status_code == 302
    assert list_users(admin)[0]["email"] == "new@example.com"


@pytest.mark.parametrize("version", ["", "a\0b", "1; DROP TABLE users"])
def test_edit_with_malformed_version_changes_nothing(
    admin: FlaskClient, add_user: AddUser, version: str
) -> None:
    add_user(**ADA)
    form = {"username": "new", "email": "new@example.com", "version": version}
    assert admin.post("/admin/user/edit/?id=1", data=form).status_code < 500
    assert "new@example.com" not in admin.get("/admin/user/").text


@pytest.mark.parametrize("id", ["2", "0", "-1", "ada", "9" * 30, "%00"])
def test_edit_of_missing_user_shows_message(
    admin: FlaskClient, add_user: AddUser, id: str
) -> None:
    add_user(**ADA)
    response = admin.get(f"/admin/user/edit/?id={id}")
    assert response.status_code == 404
    assert "User does not exist" in response.text


def test_delete_form_removes_and_audits_user_once(
    admin: FlaskClient, add_user: AddUser, caplog: pytest.LogCaptureFixture
) -> None:
    add_user(**ADA)
    with caplog.at_level("INFO", "project.audit"):
        post_form(admin, "/admin/user/delete/", {"id": "1"})
        repeated = post_form(admin, "/admin/user/delete/", {"id": "1"})
    assert repeated.status_code == 404
    assert list_users(admin) == []
    assert audit_entries(caplog) == [("anybody", "removed", 1)]
