"""Changes made on the list page: inline edits and actions on selected users."""

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
        ({"list_form_pk": "1", "username": ""}, 400, "at least 1 character"),
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
        ("delete", [(3, False)]),
        ("explode", [(1, True), (2, False), (3, False)]),
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
    audited = {"delete": "removed"}.get(action, "updated")
    changed = [] if action == "explode" else [1, 2]
    assert audit_entries(caplog) == [("anybody", audited, id) for id in changed]
