"""The admin site's protection against forged requests and injected markup."""

import re

import pytest
from flask.testing import FlaskClient

from project.admin.security import CONTENT_SECURITY_POLICY
from project.tests.functional.admin.helpers import list_users
from project.tests.types import AddUser
from project.tests.users import ADA


@pytest.mark.parametrize("url", ["/admin/", "/admin/user/", "/admin/user/new/"])
def test_pages_have_security_headers_and_no_foreign_files(
    admin: FlaskClient, url: str
) -> None:
    response = admin.get(url)
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert response.headers["Cache-Control"] == "no-store"
    assert not re.search(r'(src|href)="(https?:)?//', response.text)


@pytest.mark.parametrize(
    "url", ["new/", "edit/?id=1", "delete/", "action/", "ajax/update/"]
)
@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_post_without_valid_csrf_token_returns_400(
    admin: FlaskClient, add_user: AddUser, url: str, token: str | None
) -> None:
    add_user(**ADA)
    form = {
        "username": "x",
        "email": "x@example.com",
        "id": "1",
        "list_form_pk": "1",
        "rowid": "1",
        "action": "delete",
    }
    if token is not None:
        form["csrf_token"] = token
    response = admin.post(f"/admin/user/{url}", data=form)
    assert response.status_code == 400
    assert "reload its page and try again" in response.text
    assert [user["username"] for user in list_users(admin)] == ["ada"]


def test_delete_by_get_asks_and_deletes_nothing(
    admin: FlaskClient, add_user: AddUser
) -> None:
    add_user(**ADA)
    assert "Delete user 1?" in admin.get("/admin/user/delete/?id=1").text
    assert len(list_users(admin)) == 1


def test_stored_markup_is_escaped(admin: FlaskClient, add_user: AddUser) -> None:
    add_user("<script>alert(1)</script>", '"\'onclick=x"@example.com')
    for url in ("/admin/user/", "/admin/user/edit/?id=1"):
        text = admin.get(url).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "\"'onclick" not in text
