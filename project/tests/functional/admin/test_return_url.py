"""The parameter `url` of Flask-Admin and `next` of the login lead to no other site."""

from html import escape
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from project.admin import rate_limits
from project.tests.functional.admin.helpers import log_in, post_form
from project.tests.types import AddUser
from project.tests.users import ADA

FOREIGN_URLS = [
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:////evil.example",
    "https://evil.example/admin/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/admin/\\..\\\\evil.example",
    "/\t/evil.example",
    "\x01https://evil.example",
    " https://evil.example",
    "https://localhost@evil.example",
    "https:\\\\evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/%09/evil.example",
    "%2f%2fevil.example",
    "http://localhost:80@evil.example/",
    "evil.example",
    "?x=https://evil.example",
    "/admin/\r\nSet-Cookie: a=b",
    "/admin/\u2028x",
    "/adminevil.example",
]


@pytest.mark.parametrize(
    "path",
    ["details/?", "edit/?id=1&", "edit/?id=9&", "new/?", "export/pdf/?", "?"],
)
def test_page_neither_redirects_nor_links_to_a_foreign_url(
    admin: FlaskClient, add_user: AddUser, path: str
) -> None:
    add_user(**ADA)
    for url in FOREIGN_URLS:
        response = admin.get(f"/admin/user/{path}url={quote(url)}")
        assert response.status_code == 400, url
        assert "Location" not in response.headers
        assert "evil" not in response.text


@pytest.mark.parametrize("path", ["delete/?", "action/?", "new/?", "edit/?id=1&"])
@pytest.mark.parametrize("in_form", [True, False])
def test_form_does_not_redirect_to_a_foreign_url(
    admin: FlaskClient, add_user: AddUser, path: str, in_form: bool
) -> None:
    add_user(**ADA)
    form = {**ADA, "id": "9", "rowid": "9", "action": "delete"}
    for url in FOREIGN_URLS:
        query, field = ("", {"url": url}) if in_form else (f"url={quote(url)}", {})
        response = post_form(admin, f"/admin/user/{path}{query}", form | field)
        assert response.status_code == 400, url
        assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["details/?", "edit/?", "delete/?"])
def test_page_of_a_user_links_back_to_the_list(
    admin: FlaskClient, add_user: AddUser, path: str
) -> None:
    add_user(**ADA)
    url = "/admin/user/?search=%C3%A9&page=2"
    response = admin.get(f"/admin/user/{path}id=1&url={quote(url)}")
    assert f'href="{escape(url)}"' in response.text


def test_saved_form_redirects_to_the_list(
    admin: FlaskClient, add_user: AddUser
) -> None:
    url = "/admin/user/?search=%C3%A9&page=2"
    response = post_form(admin, f"/admin/user/new/?url={quote(url)}", {**ADA})
    assert response.location == url


def test_login_redirects_only_within_the_admin(
    operator: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "CLIENT_LIMITS", ())
    for url in FOREIGN_URLS:
        response = log_in(operator, query=f"?next={quote(url)}")
        assert response.status_code == 302
        assert response.location == "/admin/", url
