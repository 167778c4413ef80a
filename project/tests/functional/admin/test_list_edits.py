"""Changes made on the list page: inline edits and actions on selected users."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from project.tests.functional.admin.helpers import (
    audit_entries,
    list_users,
    post_form,
)
from project.tests.types import AddUser
from project.tests.users import ADA


@pytest.mark.parametrize(
    "cell, status, message",
    [
        ({"list_form_pk": "1", "email": "new@example.com"}, 200, "Saved."),
        ({"list_form_pk": "1", "active": ""}, 200, "Saved."),
        ({"list_form_pk": "1", "email": "GRACE@example.com"}, 400, "Sorry. That email"),
        ({"list_form_pk": "1", "username": ""}, 400, "Fill in this field."),
        ({"list_form_pk": "3", "username": "x"}, 404, "User does not exist"),
        ({"list_form_pk": "x", "username": "x"}, 404, "User does not exist"),
        ({"username": "x"}, 404, "User does not exist"),
        ({"list_form_pk": "1"}, 400, "Invalid payload."),
    ],
)
def test_inline_edit_returns_its_result_as_text(
    admin: FlaskClient,
    add_user: AddUser,
    caplog: pytest.LogCaptureFixture,
    cell: dict[str, str],
    status: int,
    message: str,
) -> None:
    add_user(**ADA)
    add_user("grace", "grace@example.com")
    with caplog.at_level("INFO", "project.audit"):
        response = post_form(admin, "/admin/user/ajax/update/", cell)
    assert response.status_code == status
    assert message in response.text
    expected = [("anybody", "updated", 1)] if status == 200 else []
    assert audit_entries(caplog) == expected
    assert list_users(admin)[0]["username"] == "ada"


@pytest.mark.parametrize(
    "action, remaining",
    [
        ("activate", [(1, True), (2, True), (3, False)]),
        ("deactivate", [(1, False), (2, False), (3, False)]),
    ],
)
def test_action_changes_and_audits_selected_users(
    admin: FlaskClient,
    add_user: AddUser,
    caplog: pytest.LogCaptureFixture,
    action: str,
    remaining: list[tuple[int, bool]],
) -> None:
    for number in range(3):
        add_user("x", f"{number}@example.com", active=number == 0)
    form = {"action": action, "rowid": ["1", "2", "x", "9" * 30, "77"]}
    with caplog.at_level("INFO", "project.audit"):
        response = post_form(admin, "/admin/user/action/", form)
    assert response.status_code == 302
    users = [(user["id"], user["active"]) for user in list_users(admin)]
    assert users == remaining
    assert audit_entries(caplog) == [("anybody", "updated", id) for id in (1, 2)]


def test_unknown_action_is_refused(admin: FlaskClient, add_user: AddUser) -> None:
    add_user(**ADA)
    form = {"action": "explode", "rowid": "1"}
    assert post_form(admin, "/admin/user/action/", form).status_code == 400


def test_deletion_of_selected_users_must_be_confirmed(
    admin: FlaskClient, add_user: AddUser, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        add_user("x", f"{number}@example.com")
    form: dict[str, Any] = {"action": "delete", "rowid": ["1", "2", "77"]}
    question = post_form(admin, "/admin/user/action/", form)
    assert "Delete 2 users?" in question.text
    assert "This cannot be undone." in question.text
    assert len(list_users(admin)) == 3
    with caplog.at_level("INFO", "project.audit"):
        post_form(admin, "/admin/user/action/", form | {"confirmed": "1"})
    assert [user["id"] for user in list_users(admin)] == [3]
    assert audit_entries(caplog) == [("anybody", "removed", id) for id in (1, 2)]


def test_action_on_all_users_found_must_be_confirmed(
    admin: FlaskClient, add_user: AddUser, caplog: pytest.LogCaptureFixture
) -> None:
    """The search and the filters of the list are in the URL of the form."""
    for number in range(25):
        add_user("x", f"{number}@example.com")
    add_user("y", "y@example.com")
    add_user("x", "other@example.com", active=False)
    url = "/admin/user/action/?search=x&flt0_0=1"
    form = {"action": "deactivate", "all": "1"}
    question = post_form(admin, url, form)
    assert "Deactivate 25 users?" in question.text
    assert re.findall(r'<li dir="auto">(.*)</li>', question.text) == [
        "Active: Yes",
        "Search: x",
    ]
    assert 'name="all" value="1"' in question.text
    assert sum(user["active"] for user in list_users(admin)) == 26
    with caplog.at_level("INFO", "project.audit"):
        confirmed = form | {"confirmed": "1"}
        result = post_form(admin, url, confirmed, follow_redirects=True)
    assert "25 users deactivated." in result.text
    assert caplog.messages == ["deactivate_users: 25 deactivated by anybody"]
    assert [u["username"] for u in list_users(admin) if u["active"]] == ["y"]
