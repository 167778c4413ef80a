"""The admin in a real browser, served by gunicorn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn, start_process
from project.tests.passwords import PASSWORD
from project.tests.types import AddUser
from project.tests.users import stored_users

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Locator, Page

pytestmark = pytest.mark.browser

SCRIPT = "<script>document.title = 'hacked'</script>"
EXPRESSION = "[document.title = 'hacked']"


@pytest.fixture(scope="module")
def open_url(test_database: SQLAlchemy, database_url: str) -> Iterator[str]:
    """URL of a development server, whose admin requires no login."""
    command = [sys.executable, "-m", "gunicorn", "manage:app"]
    with start_process(
        command,
        APP_SETTINGS="project.config.DevelopmentConfig",
        DATABASE_URL=database_url,
        WEB_CONCURRENCY="1",
    ) as (url, _):
        yield url


@pytest.fixture(scope="module")
def login_url(test_database: SQLAlchemy, database_url: str) -> Iterator[str]:
    """URL of a production server, whose admin requires a login."""
    with start_gunicorn(
        database_url,
        SECRET_KEY="a secret, long enough",
        WEB_CONCURRENCY="2",
    ) as (url, _):
        yield url


@pytest.fixture
def page(browser_page: Page, open_url: str, add_user: AddUser) -> Page:
    """The list of three users; dialogs are accepted."""
    add_user("ada", "ada@example.com")
    add_user(EXPRESSION, "grace@example.com", active=False)
    add_user(SCRIPT, "mallory@example.com")
    browser_page.on("dialog", lambda dialog: dialog.accept())
    browser_page.goto(f"{open_url}/admin/user/")
    return browser_page


def visible_emails(page: Page) -> list[str]:
    """Return the addresses in the list, in its order."""
    return page.locator("td.col-email").all_inner_texts()


def find_cell(page: Page, column: str, email: str) -> Locator:
    """Return the inline edit link in a column, in the row of an address."""
    row = page.locator("tbody tr", has=page.locator(f"[data-value='{email}']"))
    return row.locator(f"td.col-{column} a")


def click_and_wait(page: Page, selector: str) -> None:
    """Click an element and wait for the page that it opens."""
    with page.expect_navigation():
        page.click(selector)


def submit_inline_edit(page: Page, value: str) -> None:
    """Enter a value in the open inline editor and submit it."""
    page.fill(".popover input", value)
    page.click(".popover .editable-submit")


def submit_login(page: Page, password: str = PASSWORD, username: str = "ops") -> None:
    page.fill("#username", username)
    page.fill("#password", password)
    click_and_wait(page, "button >> text=Log in")


def test_home_links_to_lists_and_documentation(page: Page, open_url: str) -> None:
    page.goto(f"{open_url}/admin/")
    assert page.title() == "Home · Users service"
    assert page.locator(".count-card .display-4").all_inner_texts() == ["3", "2"]
    assert page.get_by_text("its documentation").get_attribute("href") == "/docs"
    click_and_wait(page, "text=active users")
    assert visible_emails(page) == ["mallory@example.com", "ada@example.com"]


def test_list_is_newest_first_and_can_be_sorted(page: Page) -> None:
    assert page.title() == "Users · Users service"
    emails = ["mallory@example.com", "grace@example.com", "ada@example.com"]
    assert visible_emails(page) == emails
    headers = page.locator("thead th").all_inner_texts()[2:]
    expected = ["ID", "Username", "E-mail", "Active", "Created"]
    assert [header for header in headers if header in expected] == expected
    click_and_wait(page, "thead >> text=ID")
    assert visible_emails(page) == emails[::-1]


def test_button_and_enter_key_start_a_search(page: Page) -> None:
    page.fill("[name=search]", "GRA")
    click_and_wait(page, "text=Search")
    assert visible_emails(page) == ["grace@example.com"]
    page.fill("[name=search]", "nobody")
    with page.expect_navigation():
        page.press("[name=search]", "Enter")
    assert page.get_by_text("No users here.").is_visible()


def test_filter_is_added_and_reset(page: Page) -> None:
    page.click("text=Add filter")
    page.click(".field-filters >> text=Active")
    page.locator("select.filter-val").select_option("0", force=True)
    click_and_wait(page, "#filter_form >> text=Apply")
    assert visible_emails(page) == ["grace@example.com"]
    click_and_wait(page, "text=Reset Filters")
    assert len(visible_emails(page)) == 3


def test_date_filter_is_set_by_a_date_picker(page: Page) -> None:
    page.click("text=Add filter")
    page.click(".field-filters >> text=Created")
    page.click("input.filter-val")
    page.click(".daterangepicker .applyBtn >> visible=true")
    click_and_wait(page, "#filter_form >> text=Apply")
    assert "flt" in page.url
    assert page.locator(".alert").count() == 0


def test_user_is_created_edited_and_deleted(page: Page) -> None:
    click_and_wait(page, "text=New user")
    page.fill("#username", "Katherine")
    page.fill("#email", "kat@example.com")
    click_and_wait(page, "text=Save >> nth=0")
    assert visible_emails(page)[0] == "kat@example.com"
    click_and_wait(page, "tbody tr >> nth=0 >> text=Edit")
    assert page.locator("#created_date").count() == 0
    page.fill("#email", "katherine@example.com")
    page.uncheck("#active")
    click_and_wait(page, "text=Save >> nth=0")
    assert stored_users()[-1] == ("Katherine", "katherine@example.com", False)
    click_and_wait(page, "tbody tr >> nth=0 >> text=Delete")
    assert page.locator(".alert-success").is_visible()
    assert len(stored_users()) == len(visible_emails(page)) == 3


def test_duplicate_email_error_is_beside_its_field(page: Page) -> None:
    click_and_wait(page, "text=New user")
    page.fill("#username", "Another Ada")
    page.fill("#email", "ADA@example.com")
    page.uncheck("#active")
    click_and_wait(page, "text=Save >> nth=0")
    group = page.locator(".form-group", has=page.locator("#email"))
    assert "Sorry. That email already exists." in group.inner_text()
    assert page.input_value("#username") == "Another Ada"
    assert page.input_value("#email") == "ADA@example.com"
    assert not page.is_checked("#active")
    page.fill("#email", "another@example.com")
    click_and_wait(page, "text=Save >> nth=0")
    assert stored_users()[-1] == ("Another Ada", "another@example.com", False)


def test_inline_edit_shows_error_until_value_is_valid(page: Page) -> None:
    find_cell(page, "email", "ada@example.com").click()
    submit_inline_edit(page, "GRACE@example.com")
    error = page.locator(".popover .editable-error-block")
    error.get_by_text("Sorry. That email already exists.").wait_for()
    submit_inline_edit(page, "lovelace@example.com")
    page.wait_for_selector(".popover", state="detached")
    assert stored_users()[0] == ("ada", "lovelace@example.com", True)


def test_inline_edit_changes_a_boolean(page: Page) -> None:
    find_cell(page, "active", "grace@example.com").click()
    page.locator(".popover select").select_option("Yes")
    page.click(".popover .editable-submit")
    page.wait_for_selector(".popover", state="detached")
    assert stored_users()[1] == (EXPRESSION, "grace@example.com", True)


def test_actions_apply_to_selected_users(page: Page) -> None:
    def run_action(name: str) -> None:
        page.click("text=With selected")
        click_and_wait(page, f".dropdown-item >> text='{name}'")

    page.check(".action-rowtoggle")
    run_action("Deactivate")
    assert {active for *_, active in stored_users()} == {False}
    page.check(".action-checkbox >> nth=0")
    run_action("Activate")
    assert [active for *_, active in stored_users()] == [False, False, True]
    page.check(".action-rowtoggle")
    run_action("Delete")
    assert page.get_by_text("3 user(s) removed.").is_visible()
    assert page.get_by_text("No users here.").is_visible()
    assert stored_users() == []


def test_dismissed_confirmation_deletes_nothing(
    browser_page: Page, open_url: str, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    messages: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        messages.append(dialog.message)
        dialog.dismiss()

    browser_page.on("dialog", dismiss)
    browser_page.goto(f"{open_url}/admin/user/")
    browser_page.click("tbody >> text=Delete")
    assert messages == ["Delete ada@example.com? This cannot be undone."]
    assert len(stored_users()) == 1


def test_export_downloads_csv_file(page: Page) -> None:
    with page.expect_download() as download:
        page.click("text=Export CSV")
    text = download.value.path().read_text()
    assert download.value.suggested_filename.endswith(".csv")
    assert len(text.splitlines()) == 4
    assert "ada@example.com" in text


@pytest.mark.parametrize("row, name", [(0, SCRIPT), (1, EXPRESSION)])
def test_stored_markup_is_shown_as_text(page: Page, row: int, name: str) -> None:
    assert page.get_by_text(name).is_visible()
    page.click(f"td.col-username a >> nth={row}")
    assert page.input_value(".popover input") == name
    click_and_wait(page, f"tbody tr >> nth={row} >> text=Edit")
    assert page.input_value("#username") == name
    assert "hacked" not in page.title()


def test_pages_fit_a_phone_screen(page: Page, open_url: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("", "user/new/", "user/edit/?id=1", "user/?search=ada&flt0_0=1"):
        page.goto(f"{open_url}/admin/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("[aria-label='Toggle navigation']")
    page.locator(".navbar >> text=Home").wait_for()


def test_login_returns_to_requested_page_until_logout(
    browser_page: Page,
    login_url: str,
    operators_database: SQLAlchemy,
    add_user: AddUser,
) -> None:
    page = browser_page
    add_user("ada", "ada@example.com")
    page.goto(f"{login_url}/admin/user/?search=ada")
    assert page.title() == "Log in · Users service"
    assert page.locator(".navbar .nav-link").count() == 0
    submit_login(page, "wrong")
    assert page.get_by_text("The username or the password is wrong.").is_visible()
    submit_login(page)
    assert page.url.endswith("/admin/user/?search=ada")
    (cookie,) = page.context.cookies()
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    find_cell(page, "email", "ada@example.com").click()
    submit_inline_edit(page, "lovelace@example.com")
    page.wait_for_selector(".popover", state="detached")
    assert stored_users() == [("ada", "lovelace@example.com", True)]
    click_and_wait(page, "text=Log out ops")
    assert page.title() == "Log in · Users service"
    page.goto(f"{login_url}/admin/user/")
    assert page.title() == "Log in · Users service"


def test_expired_session_refuses_edits_with_message(
    browser_page: Page,
    login_url: str,
    operators_database: SQLAlchemy,
    add_user: AddUser,
) -> None:
    page = browser_page
    add_user("ada", "ada@example.com")
    page.goto(f"{login_url}/admin/user/")
    submit_login(page)
    page.context.clear_cookies()
    find_cell(page, "username", "ada@example.com").click()
    submit_inline_edit(page, "countess")
    page.get_by_text("You are logged out: log in and try again.").wait_for()
    page.goto(f"{login_url}/admin/login")
    submit_login(page)
    page.goto(f"{login_url}/admin/user/new/")
    page.fill("#username", "grace")
    page.context.clear_cookies()
    click_and_wait(page, "text=Save >> nth=0")
    assert page.get_by_text("You are logged out: log in and try again.").is_visible()
    assert stored_users() == [("ada", "ada@example.com", True)]


def test_logout_everywhere_ends_the_session_of_another_browser(
    browser: Browser,
    browser_page: Page,
    login_url: str,
    operators_database: SQLAlchemy,
) -> None:
    with browser.new_context() as other_context:
        pages = [browser_page, other_context.new_page()]
        for page in pages:
            page.goto(f"{login_url}/admin/")
            submit_login(page)
            assert page.title() == "Home · Users service"
        messages: list[str] = []

        def accept(dialog: Dialog) -> None:
            messages.append(dialog.message)
            dialog.accept()

        browser_page.on("dialog", accept)
        click_and_wait(browser_page, "text=Log out on all devices")
        assert messages == ["Log out ops on all devices, including this one?"]
        for page in pages:
            page.goto(f"{login_url}/admin/user/")
            assert page.title() == "Log in · Users service"


def test_logout_ends_one_session_and_its_copy_only(
    browser: Browser,
    browser_page: Page,
    login_url: str,
    operators_database: SQLAlchemy,
) -> None:
    with browser.new_context() as other_context:
        other = other_context.new_page()
        for page in (browser_page, other):
            page.goto(f"{login_url}/admin/")
            submit_login(page)
        cookies = browser_page.context.storage_state()
        with browser.new_context(storage_state=cookies) as copied_context:
            copy = copied_context.new_page()
            copy.goto(f"{login_url}/admin/")
            assert copy.title() == "Home · Users service"
            click_and_wait(browser_page, "text=Log out ops")
            copy.goto(f"{login_url}/admin/")
            assert copy.title() == "Log in · Users service"
        other.goto(f"{login_url}/admin/")
        assert other.title() == "Home · Users service"


def test_reader_sees_no_controls_for_changes(
    browser_page: Page,
    login_url: str,
    operators_database: SQLAlchemy,
    add_user: AddUser,
) -> None:
    page = browser_page
    add_user("ada", "ada@example.com")
    page.goto(f"{login_url}/admin/user/")
    submit_login(page, username="auditor")
    assert visible_emails(page) == ["ada@example.com"]
    assert page.locator("tbody button, tbody a, .action-checkbox").count() == 0
    for text in ("New user", "With selected"):
        assert page.get_by_text(text).count() == 0
    assert page.get_by_text("Export CSV").is_visible()
