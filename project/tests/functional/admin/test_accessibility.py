"""axe-core finds nothing in any state of the pages, on any screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask_sqlalchemy import SQLAlchemy

from project.api.users import queries
from project.tests.browser import assert_accessible, click_and_wait
from project.tests.functional.admin.helpers import users_table_missing
from project.tests.passwords import PASSWORD
from project.tests.types import AddUser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# The longest username, without a place for a line break, and one in Hebrew.
USERNAMES = ["w" * 128, "\u05d0\u05d3\u05d4 \u05dc\u05d0\u05d1\u05dc\u05d9\u05d9\u05e1"]
SCREENS = [(1440, "light"), (1440, "dark"), (820, "light"), (390, "dark")]


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def screen(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """An empty page on a screen of some width, in light or dark mode."""
    width, scheme = request.param
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    ) as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("dialog", lambda dialog: dialog.accept())
        yield page


def test_pages_without_users(
    screen: Page, open_url: str, empty_database: SQLAlchemy
) -> None:
    for path in ("/admin/", "/admin/user/", "/admin/user/new/", "/"):
        screen.goto(f"{open_url}{path}")
        assert_accessible(screen)


def test_error(screen: Page, open_url: str, empty_database: SQLAlchemy) -> None:
    screen.goto(f"{open_url}/admin/user/new/")
    screen.fill("#username", "ada")
    screen.fill("#email", "ada@example.com")
    with users_table_missing(empty_database):
        click_and_wait(screen, "button >> text=Save")
    assert screen.get_by_text("Check whether your change was saved").is_visible()
    assert_accessible(screen)


def test_import(screen: Page, open_url: str, empty_database: SQLAlchemy) -> None:
    screen.goto(f"{open_url}/admin/user/import/")
    assert_accessible(screen)
    content = b"username,email\n,ada@example.com\n" + b"x" * 200
    screen.set_input_files(
        "#file", {"name": "users.csv", "mimeType": "text/csv", "buffer": content}
    )
    click_and_wait(screen, "button >> text=Import")
    assert screen.get_by_text("line 2: username").is_visible()
    assert_accessible(screen)


def test_states_of_the_list(screen: Page, open_url: str, add_user: AddUser) -> None:
    for number, username in enumerate(USERNAMES):
        email = f"{'e' * 60}{number}@{'d' * 50}.example.com"
        add_user(username, email, active=number == 0)
    list_url = f"{open_url}/admin/user/"
    for query in ("", "search=nobody", "page=7", "search=w&flt0_0=1&flt4_4=2026-01-01"):
        screen.goto(f"{list_url}?{query}")
        assert_accessible(screen)
    screen.goto(list_url)
    screen.click("text=Sort")
    assert_accessible(screen)
    screen.keyboard.press("Escape")
    for column in ("active", "email", "username"):
        screen.click(f".col-{column} .inline-edit >> nth=0")
        assert_accessible(screen)
    screen.fill(".col-username .inline-form input[type=text]", "")
    screen.click(".col-username .inline-form >> text=Save")
    screen.get_by_text("Fill in this field.").wait_for()
    assert_accessible(screen)
    screen.goto(list_url)
    screen.check("text=All 2 users of the list")
    click_and_wait(screen, "button >> text='Deactivate'")
    assert_accessible(screen)
    click_and_wait(screen, "button >> text='Deactivate'")
    screen.get_by_role("status").wait_for()
    assert_accessible(screen)


def test_history(screen: Page, open_url: str, empty_database: SQLAlchemy) -> None:
    fields = {"username": "ada", "email": "ada@example.com", "active": True}
    queries.insert(fields, "w" * 255)
    screen.goto(f"{open_url}/admin/user/details/?id=1")
    assert screen.get_by_role("heading", name="History").is_visible()
    assert_accessible(screen)
    queries.delete(1, None, "ops")
    screen.reload()
    assert screen.get_by_text("This user was removed.").is_visible()
    assert_accessible(screen)


def test_pages_of_a_user(screen: Page, open_url: str, add_user: AddUser) -> None:
    for number, username in enumerate(USERNAMES):
        add_user(username, f"{number}@example.com")
    for path in ("details", "edit", "delete"):
        for user_id in (1, 2, 3):
            screen.goto(f"{open_url}/admin/user/{path}/?id={user_id}")
            assert_accessible(screen)
    edit_url = f"{open_url}/admin/user/edit/?id=1"
    screen.goto(edit_url)
    screen.fill("#email", "2@example.com")
    screen.fill("#username", "")
    click_and_wait(screen, "button >> text=Save")
    assert_accessible(screen)
    screen.goto(edit_url)
    other = screen.context.new_page()
    other.goto(edit_url)
    other.uncheck("#active")
    click_and_wait(other, "button >> text=Save")
    screen.fill("#username", "ada")
    click_and_wait(screen, "button >> text=Save")
    screen.get_by_text("Somebody else has changed this user").wait_for()
    assert_accessible(screen)


def test_login(screen: Page, login_url: str, operators_database: SQLAlchemy) -> None:
    screen.goto(f"{login_url}/admin/")
    assert_accessible(screen)
    for password in ("wrong", PASSWORD):
        screen.fill("#username", "ops")
        screen.fill("#password", password)
        click_and_wait(screen, "main button")
        assert_accessible(screen)
    # An expired session.
    screen.goto(f"{login_url}/admin/user/new/")
    screen.context.clear_cookies()
    click_and_wait(screen, "button >> text=Save")
    assert_accessible(screen)
    for _ in range(6):
        screen.goto(f"{login_url}/admin/login")
        screen.fill("#username", "ops")
        screen.fill("#password", "wrong")
        click_and_wait(screen, "main button")
    assert screen.get_by_text("Too many login attempts").is_visible()
    assert_accessible(screen)
