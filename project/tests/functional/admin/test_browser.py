"""The admin in a real browser, served by gunicorn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask_sqlalchemy import SQLAlchemy

from project.tests.browser import click_and_wait
from project.tests.functional.admin.helpers import let_time_pass
from project.tests.passwords import PASSWORD
from project.tests.types import AddUser
from project.tests.users import stored_users

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Locator, Page

pytestmark = pytest.mark.browser

SCRIPT = "<script>document.title = 'hacked'</script>"
EXPRESSION = "[document.title = 'hacked']"


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
    return page.locator("td.col-email .value").all_inner_texts()


def find_row(page: Page, email: str) -> Locator:
    """Return the row of an address."""
    return page.locator("tbody tr", has=page.get_by_text(email, exact=True))


def open_inline_editor(page: Page, column: str, email: str) -> None:
    """Open the editor in a column, in the row of an address."""
    find_row(page, email).locator(f"td.col-{column} button").click()


def submit_inline_edit(page: Page, value: str) -> None:
    """Enter a value in the open inline editor and submit it."""
    page.fill(".inline-form input[type=text]", value)
    page.click(".inline-form >> text=Save")


def submit_login(page: Page, password: str = PASSWORD, username: str = "ops") -> None:
    page.fill("#username", username)
    page.fill("#password", password)
    click_and_wait(page, "main button >> text=Log in")


def press_until(page: Page, label: str, key: str = "Tab") -> None:
    """Press a key until the focused element has a label that contains a text."""
    for _ in range(60):
        page.keyboard.press(key)
        text = page.evaluate(
            "(document.activeElement.ariaLabel ?? document.activeElement.innerText"
            " ?? '') + (document.activeElement.labels?.[0]?.innerText ?? '')"
        )
        if label in text:
            return
    raise AssertionError(f"the keyboard does not reach {label}")


def press_enter_and_wait(page: Page) -> None:
    """Follow the focused link, or press the focused button, and wait for the page."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_home_links_to_lists_and_documentation(page: Page, open_url: str) -> None:
    page.goto(f"{open_url}/admin/")
    assert page.title() == "Home · Users service"
    assert page.locator(".card strong").all_inner_texts() == ["3", "2"]
    assert page.get_by_text("its documentation").get_attribute("href") == "/docs"
    click_and_wait(page, "text=active users")
    assert visible_emails(page) == ["mallory@example.com", "ada@example.com"]


def test_list_is_newest_first_and_can_be_sorted(page: Page) -> None:
    assert page.title() == "Users · Users service"
    emails = ["mallory@example.com", "grace@example.com", "ada@example.com"]
    assert visible_emails(page) == emails
    headers = page.locator("thead th").all_inner_texts()
    expected = ["ID", "Username", "E-mail", "Active", "Created"]
    assert [header for header in headers if header in expected] == expected
    click_and_wait(page, "thead >> text=ID")
    assert visible_emails(page) == emails[::-1]
    page.click("text=Sort")
    click_and_wait(page, "text='ID, descending'")
    assert visible_emails(page) == emails


def test_list_makes_few_requests(page: Page) -> None:
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.reload()
    assert len(urls) <= 4


def test_button_and_enter_key_start_a_search(page: Page) -> None:
    page.fill("[name=search]", "GRA")
    click_and_wait(page, "button >> text=Search")
    assert visible_emails(page) == ["grace@example.com"]
    page.fill("[name=search]", "nobody")
    with page.expect_navigation():
        page.press("[name=search]", "Enter")
    assert page.get_by_text("No user matches").is_visible()


def test_filter_is_added_and_removed(page: Page) -> None:
    page.click("text=Filters")
    page.get_by_label("Active", exact=True).select_option("No")
    click_and_wait(page, "text=Apply the filters")
    assert visible_emails(page) == ["grace@example.com"]
    click_and_wait(page, ".active-filters a >> nth=0")
    assert len(visible_emails(page)) == 3


def test_times_and_filters_are_in_the_time_zone_of_the_reader(
    browser: Browser, open_url: str, add_user: AddUser
) -> None:
    add_user(
        "ada", "ada@example.com", created_date=datetime(2026, 1, 31, 12, tzinfo=UTC)
    )
    with browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{open_url}/admin/user/")
        time = page.locator("tbody time")
        assert time.inner_text() == "31 Jan 2026, 21:00 GMT+9"
        assert time.get_attribute("title") == "31 Jan 2026, 12:00 UTC"
        page.click("text=Filters")
        for minute, emails in (("59", ["ada@example.com"]), ("01", [])):
            hour = "20" if minute == "59" else "21"
            page.get_by_label("Created after (GMT+9)").fill(
                f"2026-01-31T{hour}:{minute}"
            )
            click_and_wait(page, "text=Apply the filters")
            assert visible_emails(page) == emails
            field = page.get_by_label("Created after (GMT+9)")
            assert field.input_value() == f"2026-01-31T{hour}:{minute}"


def test_user_is_created_edited_and_deleted(page: Page) -> None:
    click_and_wait(page, "text=New user")
    page.fill("#username", "Katherine")
    page.fill("#email", "kat@example.com")
    click_and_wait(page, "button >> text=Save")
    assert page.get_by_role("status").inner_text() == "kat@example.com was added."
    assert visible_emails(page)[0] == "kat@example.com"
    click_and_wait(page, "tbody tr >> nth=0 >> text=Edit")
    page.fill("#email", "katherine@example.com")
    page.uncheck("#active")
    click_and_wait(page, "button >> text=Save")
    assert stored_users()[-1] == ("Katherine", "katherine@example.com", False)
    click_and_wait(page, "tbody tr >> nth=0 >> text=Delete")
    assert page.get_by_text("this cannot be undone").is_visible()
    assert len(stored_users()) == 4
    click_and_wait(page, "button >> text=Delete")
    message = page.get_by_role("status").inner_text()
    assert message == "katherine@example.com was deleted."
    assert len(stored_users()) == len(visible_emails(page)) == 3


def test_details_show_a_user(page: Page) -> None:
    click_and_wait(page, "tbody tr >> nth=1 >> td.col-id a")
    assert page.title() == "User 2 · Users service"
    assert page.get_by_text("grace@example.com").is_visible()
    click_and_wait(page, "text=Back to the list")
    assert len(visible_emails(page)) == 3


def test_duplicate_email_error_is_beside_its_field_and_focused(page: Page) -> None:
    click_and_wait(page, "text=New user")
    page.fill("#username", "Another Ada")
    page.fill("#email", "ADA@example.com")
    page.uncheck("#active")
    click_and_wait(page, "button >> text=Save")
    field = page.locator(".field", has=page.locator("#email"))
    assert "Sorry. That email already exists." in field.inner_text()
    assert page.evaluate("document.activeElement.id") == "email"
    assert page.input_value("#username") == "Another Ada"
    assert page.input_value("#email") == "ADA@example.com"
    assert not page.is_checked("#active")
    page.fill("#email", "another@example.com")
    click_and_wait(page, "button >> text=Save")
    assert stored_users()[-1] == ("Another Ada", "another@example.com", False)


def test_conflict_shows_both_versions(
    browser_page: Page, open_url: str, add_user: AddUser
) -> None:
    page, url = browser_page, f"{open_url}/admin/user/edit/?id=1"
    add_user("ada", "ada@example.com")
    page.goto(url)
    other = page.context.new_page()
    other.goto(url)
    other.fill("#username", "countess")
    click_and_wait(other, "button >> text=Save")
    page.fill("#username", "lady")
    click_and_wait(page, "button >> text=Save")
    assert page.get_by_text("Somebody else has changed this user").is_visible()
    assert page.get_by_text("Stored now: countess").is_visible()
    assert page.input_value("#username") == "lady"
    click_and_wait(page, "text=Save my version")
    assert stored_users() == [("lady", "ada@example.com", True)]


def test_leaving_a_changed_form_asks(
    browser_page: Page, open_url: str, add_user: AddUser
) -> None:
    kinds: list[str] = []

    def accept(dialog: Dialog) -> None:
        kinds.append(dialog.type)
        dialog.accept()

    add_user("ada", "ada@example.com")
    browser_page.on("dialog", accept)
    browser_page.goto(f"{open_url}/admin/user/edit/?id=1")
    click_and_wait(browser_page, "text=Cancel")
    assert kinds == []
    browser_page.go_back()
    browser_page.fill("#username", "countess")
    click_and_wait(browser_page, "text=Cancel")
    assert kinds == ["beforeunload"]


def test_inline_edit_shows_error_until_value_is_valid(page: Page) -> None:
    open_inline_editor(page, "email", "ada@example.com")
    submit_inline_edit(page, "GRACE@example.com")
    page.get_by_text("Sorry. That email already exists.").wait_for()
    submit_inline_edit(page, "lovelace@example.com")
    page.wait_for_selector(".inline-form", state="detached")
    assert stored_users()[0] == ("ada", "lovelace@example.com", True)
    focused = page.evaluate("document.activeElement.ariaLabel")
    assert focused == "Edit E-mail of ada@example.com"


def test_inline_edit_changes_a_boolean(page: Page) -> None:
    open_inline_editor(page, "active", "grace@example.com")
    page.locator(".inline-form select").select_option("Yes")
    page.click(".inline-form >> text=Save")
    page.wait_for_selector(".inline-form", state="detached")
    assert stored_users()[1] == (EXPRESSION, "grace@example.com", True)


def test_actions_apply_to_selected_users(page: Page) -> None:
    page.check("text=Select this page")
    click_and_wait(page, "button >> text='Deactivate'")
    assert {active for *_, active in stored_users()} == {False}
    page.check("[name=rowid] >> nth=0")
    click_and_wait(page, "button >> text='Activate'")
    assert [active for *_, active in stored_users()] == [False, False, True]
    page.check("text=All 3 users of the list")
    click_and_wait(page, "button >> text=Delete")
    assert page.get_by_role("heading", name="Delete 3 users?").is_visible()
    assert len(stored_users()) == 3
    click_and_wait(page, "button >> text=Delete")
    assert page.get_by_text("3 users deleted.").is_visible()
    assert page.get_by_text("There are no users yet.").is_visible()
    assert stored_users() == []


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
    page.click(f"td.col-username button >> nth={row}")
    assert page.input_value(".inline-form input[type=text]") == name
    page.keyboard.press("Escape")
    click_and_wait(page, f"tbody tr >> nth={row} >> text=Edit")
    assert page.input_value("#username") == name
    assert "hacked" not in page.title()


def test_keyboard_adds_finds_and_edits_a_user(page: Page) -> None:
    """No mouse: the skip link, the search, a link of the table, a form."""

    press_until(page, "Skip to the content")
    page.keyboard.press("Enter")
    press_until(page, "New user")
    press_enter_and_wait(page)
    press_until(page, "Username")
    page.keyboard.type("katherine")
    press_until(page, "E-mail")
    page.keyboard.type("kat@example.com")
    press_until(page, "Save")
    press_enter_and_wait(page)
    press_until(page, "Search")
    page.keyboard.type("kat")
    press_enter_and_wait(page)
    assert visible_emails(page) == ["kat@example.com"]
    press_until(page, "Edit Username of kat@example.com")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type("johnson")
    page.keyboard.press("Enter")
    page.wait_for_selector(".inline-form", state="detached")
    assert stored_users()[-1] == ("johnson", "kat@example.com", True)
    press_until(page, "Select kat@example.com", "Shift+Tab")
    page.keyboard.press("Space")
    press_until(page, "Delete", "Shift+Tab")
    press_enter_and_wait(page)
    press_until(page, "Delete")
    press_enter_and_wait(page)
    assert len(stored_users()) == 3


def test_keyboard_resolves_a_conflict(page: Page) -> None:
    click_and_wait(page, "tbody tr >> nth=2 >> text=Edit")
    other = page.context.new_page()
    other.goto(page.url)
    other.fill("#username", "countess")
    click_and_wait(other, "button >> text=Save")
    press_until(page, "Username")
    page.keyboard.press("Control+A")
    page.keyboard.type("lady")
    press_until(page, "Save")
    press_enter_and_wait(page)
    assert page.get_by_text("Stored now: countess").is_visible()
    press_until(page, "Save my version")
    press_enter_and_wait(page)
    assert stored_users()[0] == ("lady", "ada@example.com", True)


def test_keyboard_changes_all_users_found(page: Page) -> None:
    press_until(page, "All 3 users of the list")
    page.keyboard.press("Space")
    press_until(page, "Deactivate")
    press_enter_and_wait(page)
    press_until(page, "Deactivate")
    press_enter_and_wait(page)
    assert {active for *_, active in stored_users()} == {False}


def test_keyboard_imports_and_exports(page: Page, tmp_path: Path) -> None:
    press_until(page, "Import")
    press_enter_and_wait(page)
    file = tmp_path / "users.csv"
    file.write_text("username,email\nkatherine,kat@example.com\n")
    press_until(page, "File")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(file)
    press_until(page, "If an e-mail address is taken")
    page.keyboard.press("ArrowDown")
    press_until(page, "Import")
    press_enter_and_wait(page)
    assert len(stored_users()) == 4
    press_until(page, "Export CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert "kat@example.com" in download.value.path().read_text()


def test_list_does_not_move_while_it_loads(page: Page) -> None:
    """On a slow computer, where the browser could show a part of the page."""
    processor = page.context.new_cdp_session(page)
    processor.send("Emulation.setCPUThrottlingRate", {"rate": 10})
    page.add_init_script(
        "window.shifts = [];"
        "new PerformanceObserver((list) => {"
        " for (const entry of list.getEntries()) shifts.push(entry.value)"
        "}).observe({type: 'layout-shift', buffered: true})"
    )
    page.reload()
    page.wait_for_timeout(500)
    assert page.evaluate("shifts") == []


def test_phone_adds_finds_edits_and_deletes_a_user(
    browser: Browser, open_url: str, empty_database: SQLAlchemy, tmp_path: Path
) -> None:
    """Only taps, on elements that are on the screen after scrolling vertically."""
    with browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    ) as context:
        page = context.new_page()

        def tap(selector: str) -> None:
            target = page.locator(selector).first
            target.scroll_into_view_if_needed()
            box = target.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
            assert min(box["width"], box["height"]) >= 24
            target.tap()

        def tap_and_wait(selector: str) -> None:
            with page.expect_navigation():
                tap(selector)

        page.goto(f"{open_url}/admin/")
        tap_and_wait(".site-header >> text='Users'")
        tap_and_wait("text=New user")
        page.fill("#username", "ada")
        page.fill("#email", "ada@example.com")
        tap_and_wait("button >> text=Save")
        tap_and_wait("text=Import")
        file = tmp_path / "users.csv"
        file.write_text("username,email\ngrace,grace@example.com\n")
        page.set_input_files("#file", file)
        tap_and_wait("button >> text=Import")
        assert visible_emails(page) == ["grace@example.com", "ada@example.com"]
        tap("text=Sort")
        tap_and_wait("text='Username, ascending'")
        assert visible_emails(page) == ["ada@example.com", "grace@example.com"]
        page.fill("[name=search]", "ada")
        tap_and_wait("button >> text=Search")
        tap("td.col-email .inline-edit")
        page.fill(".inline-form input[type=text]", "lovelace@example.com")
        tap(".inline-form >> text=Save")
        page.wait_for_selector(".inline-form", state="detached")
        tap_and_wait("td.links >> text=Edit")
        page.fill("#username", "lady")
        with empty_database.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE users SET username = 'countess' WHERE id = 1"
            )
        tap_and_wait("button >> text=Save")
        assert page.get_by_text("Stored now: countess").is_visible()
        page.fill("#username", "ada")
        tap_and_wait("text=Save my version")
        tap("text=Select this page")
        tap_and_wait("button >> text='Deactivate'")
        assert stored_users()[0] == ("ada", "lovelace@example.com", False)
        with page.expect_download() as download:
            tap("text=Export CSV")
        assert "lovelace@example.com" in download.value.path().read_text()
        tap_and_wait("td.links >> text=Delete")
        tap_and_wait("button >> text=Delete")
        assert len(stored_users()) == 1


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
    assert page.get_by_text("Home").count() == 0
    submit_login(page, "wrong")
    assert page.get_by_text("The username or the password is wrong.").is_visible()
    submit_login(page)
    assert page.url.endswith("/admin/user/?search=ada")
    (cookie,) = page.context.cookies()
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    open_inline_editor(page, "email", "ada@example.com")
    submit_inline_edit(page, "lovelace@example.com")
    page.wait_for_selector(".inline-form", state="detached")
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
    open_inline_editor(page, "username", "ada@example.com")
    submit_inline_edit(page, "countess")
    page.get_by_text("You are logged out: log in and try again.").wait_for()
    page.goto(f"{login_url}/admin/login")
    submit_login(page)
    page.goto(f"{login_url}/admin/user/new/")
    page.fill("#username", "grace")
    page.context.clear_cookies()
    click_and_wait(page, "button >> text=Save")
    assert page.get_by_text("You are logged out: log in and try again.").is_visible()
    assert stored_users() == [("ada", "ada@example.com", True)]


def test_form_of_an_expired_session_is_kept_during_the_login(
    browser_page: Page,
    login_url: str,
    operators_database: SQLAlchemy,
    add_user: AddUser,
) -> None:
    page = browser_page
    add_user("ada", "ada@example.com")
    page.goto(f"{login_url}/admin/user/edit/?id=1")
    submit_login(page)
    page.fill("#username", "countess")
    let_time_pass(operators_database, "admin_sessions.seen_at", "61 minutes")
    click_and_wait(page, "button >> text=Save")
    assert page.get_by_text("You were logged out.").is_visible()
    submit_login(page, "wrong")
    submit_login(page)
    assert page.get_by_text("countess").is_visible()
    click_and_wait(page, "button >> text=Go on")
    assert page.get_by_text("ada@example.com was saved.").is_visible()
    assert stored_users() == [("countess", "ada@example.com", True)]


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
    assert page.locator("tbody button, tbody input, .links").count() == 0
    for text in ("New user", "Deactivate"):
        assert page.get_by_text(text).count() == 0
    assert page.get_by_text("Export CSV").is_visible()
