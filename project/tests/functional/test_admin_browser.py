"""The admin as people use it: a real browser, a real server, desktop and phone."""

import sys

import pytest

from project import db
from project.api.users.models import User
from project.passwords import make_hash
from project.tests.servers import gunicorn, started

PASSWORD = "correct horse battery"
SCRIPT = "<script>document.title = 'hacked'</script>"
EXPRESSION = "[document.title = 'hacked']"


@pytest.fixture(scope="module")
def open_url(test_database, database_url):
    """A server whose admin is open."""
    command = [sys.executable, "-m", "gunicorn", "manage:app"]
    with started(
        command,
        APP_SETTINGS="project.config.DevelopmentConfig",
        DATABASE_URL=database_url,
        WEB_CONCURRENCY="1",
    ) as (url, _):
        yield url


@pytest.fixture(scope="module")
def guarded_url(test_database, database_url):
    """A server under production settings, whose admin has a login."""
    with gunicorn(
        database_url,
        SECRET_KEY="a secret, long enough",
        ADMIN_USERNAME="ops",
        ADMIN_PASSWORD=make_hash(PASSWORD),
        WEB_CONCURRENCY="1",
    ) as (url, _):
        yield url


@pytest.fixture
def page(browser_page, open_url, add_user):
    """The list of three users; whatever the page asks is answered with yes."""
    add_user("ada", "ada@example.com")
    add_user(EXPRESSION, "grace@example.com", active=False)
    add_user(SCRIPT, "mallory@example.com")
    browser_page.on("dialog", lambda dialog: dialog.accept())
    browser_page.goto(f"{open_url}/admin/user/")
    return browser_page


def stored():
    """Return the users' addresses and whether they are active, oldest first."""
    columns = db.select(User.email, User.active).order_by(User.id)
    with db.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(columns)]


def shown(page):
    """Return the addresses in the list, from its top."""
    return page.locator("td.col-email").all_inner_texts()


def cell(page, name, row):
    """Return the link that edits a cell, by its column and its row's address."""
    user = page.locator("tbody tr", has=page.locator(f"[data-value='{row}']"))
    return user.locator(f"td.col-{name} a")


def follow(page, selector):
    """Click on what leads to another page, and wait until that is there."""
    with page.expect_navigation():
        page.click(selector)


def edit_cell(page, value):
    """Type into the inline editor that is open, and save."""
    page.fill(".popover input", value)
    page.click(".popover .editable-submit")


def test_home(page, open_url):
    page.goto(f"{open_url}/admin/")
    assert page.title() == "Home · Users service"
    assert page.locator(".figure .display-4").all_inner_texts() == ["3", "2"]
    assert page.get_by_text("its documentation").get_attribute("href") == "/docs"
    follow(page, "text=active users")
    assert shown(page) == ["mallory@example.com", "ada@example.com"]


def test_list(page):
    assert page.title() == "Users · Users service"
    addresses = ["mallory@example.com", "grace@example.com", "ada@example.com"]
    assert shown(page) == addresses
    assert page.locator("thead th").all_inner_texts()[2:] == [
        "ID",
        "Username",
        "E-mail",
        "Active",
        "Created",
    ]
    follow(page, "thead >> text=ID")
    assert shown(page) == addresses[::-1]


def test_search(page):
    page.fill("[name=search]", "GRA")
    follow(page, "text=Search")
    assert shown(page) == ["grace@example.com"]
    page.fill("[name=search]", "nobody")
    with page.expect_navigation():
        page.press("[name=search]", "Enter")
    assert page.get_by_text("No users here.").is_visible()


def test_filter(page):
    page.click("text=Add filter")
    page.click(".field-filters >> text=Active")
    page.locator("select.filter-val").select_option("0", force=True)
    follow(page, "#filter_form >> text=Apply")
    assert shown(page) == ["grace@example.com"]
    follow(page, "text=Reset Filters")
    assert len(shown(page)) == 3


def test_filter_by_date(page):
    page.click("text=Add filter")
    page.click(".field-filters >> text=Created")
    page.click("input.filter-val")
    page.click(".daterangepicker .applyBtn >> visible=true")
    follow(page, "#filter_form >> text=Apply")
    assert "flt" in page.url
    assert page.locator(".alert").count() == 0


def test_create_edit_delete(page):
    follow(page, "text=New user")
    page.fill("#username", "Katherine")
    page.fill("#email", "kat@example.com")
    follow(page, "text=Save >> nth=0")
    assert shown(page)[0] == "kat@example.com"
    follow(page, "tbody tr >> nth=0 >> text=Edit")
    assert page.locator("#created_date").count() == 0
    page.fill("#email", "katherine@example.com")
    page.uncheck("#active")
    follow(page, "text=Save >> nth=0")
    assert stored()[-1] == ("katherine@example.com", False)
    follow(page, "tbody tr >> nth=0 >> text=Delete")
    assert page.locator(".alert-success").is_visible()
    assert len(stored()) == len(shown(page)) == 3


def test_duplicate_is_refused_beside_its_field(page):
    follow(page, "text=New user")
    page.fill("#username", "Another Ada")
    page.fill("#email", "ADA@example.com")
    page.uncheck("#active")
    follow(page, "text=Save >> nth=0")
    group = page.locator(".form-group", has=page.locator("#email"))
    assert "Sorry. That email already exists." in group.inner_text()
    assert page.input_value("#username") == "Another Ada"
    assert page.input_value("#email") == "ADA@example.com"
    assert not page.is_checked("#active")
    page.fill("#email", "another@example.com")
    follow(page, "text=Save >> nth=0")
    assert stored()[-1] == ("another@example.com", False)


def test_edit_inline(page):
    cell(page, "email", "ada@example.com").click()
    edit_cell(page, "GRACE@example.com")
    refusal = page.locator(".popover .editable-error-block")
    refusal.get_by_text("Sorry. That email already exists.").wait_for()
    edit_cell(page, "lovelace@example.com")
    page.wait_for_selector(".popover", state="detached")
    assert stored()[0] == ("lovelace@example.com", True)


def test_switch_inline(page):
    cell(page, "active", "grace@example.com").click()
    page.locator(".popover select").select_option("Yes")
    page.click(".popover .editable-submit")
    page.wait_for_selector(".popover", state="detached")
    assert stored()[1] == ("grace@example.com", True)


def test_bulk(page):
    def do(action):
        page.click("text=With selected")
        follow(page, f".dropdown-item >> text='{action}'")

    page.check(".action-rowtoggle")
    do("Deactivate")
    assert {active for _, active in stored()} == {False}
    page.check(".action-checkbox >> nth=0")
    do("Activate")
    assert [active for _, active in stored()] == [False, False, True]
    page.check(".action-rowtoggle")
    do("Delete")
    assert page.get_by_text("3 user(s) removed.").is_visible()
    assert page.get_by_text("No users here.").is_visible()
    assert stored() == []


def test_no_is_no(browser_page, open_url, add_user):
    add_user("ada", "ada@example.com")
    asked = []

    def refuse(dialog):
        asked.append(dialog.message)
        dialog.dismiss()

    browser_page.on("dialog", refuse)
    browser_page.goto(f"{open_url}/admin/user/")
    browser_page.click("tbody >> text=Delete")
    assert asked == ["Delete ada@example.com? This cannot be undone."]
    assert len(stored()) == 1


def test_export(page):
    with page.expect_download() as download:
        page.click("text=Export CSV")
    text = download.value.path().read_text()
    assert download.value.suggested_filename.endswith(".csv")
    assert len(text.splitlines()) == 4
    assert "ada@example.com" in text


@pytest.mark.parametrize("row, name", [(0, SCRIPT), (1, EXPRESSION)])
def test_stored_markup_stays_text(page, row, name):
    assert page.get_by_text(name).is_visible()
    page.click(f"td.col-username a >> nth={row}")
    assert page.input_value(".popover input") == name
    follow(page, f"tbody tr >> nth={row} >> text=Edit")
    assert page.input_value("#username") == name
    assert "hacked" not in page.title()


def test_a_phone_shows_the_whole_width(page, open_url):
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("", "user/new/", "user/edit/?id=1", "user/?search=ada&flt0_0=1"):
        page.goto(f"{open_url}/admin/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("[aria-label='Toggle navigation']")
    page.locator(".navbar >> text=Home").wait_for()


def log_in(page, password=PASSWORD):
    page.fill("#username", "ops")
    page.fill("#password", password)
    follow(page, "button >> text=Log in")


def test_log_in_and_out(browser_page, guarded_url, add_user):
    page = browser_page
    add_user("ada", "ada@example.com")
    page.goto(f"{guarded_url}/admin/user/?search=ada")
    assert page.title() == "Log in · Users service"
    assert page.locator(".navbar .nav-link").count() == 0
    log_in(page, "wrong")
    assert page.get_by_text("The username or the password is wrong.").is_visible()
    log_in(page)
    assert page.url.endswith("/admin/user/?search=ada")
    (cookie,) = page.context.cookies()
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    cell(page, "email", "ada@example.com").click()
    edit_cell(page, "lovelace@example.com")
    page.wait_for_selector(".popover", state="detached")
    assert stored() == [("lovelace@example.com", True)]
    follow(page, "text=Log out ops")
    assert page.title() == "Log in · Users service"
    page.goto(f"{guarded_url}/admin/user/")
    assert page.title() == "Log in · Users service"


def test_session_that_ended(browser_page, guarded_url, add_user):
    """What is written then is not lost from the form, and never taken for saved."""
    page = browser_page
    add_user("ada", "ada@example.com")
    page.goto(f"{guarded_url}/admin/user/")
    log_in(page)
    page.context.clear_cookies()
    cell(page, "username", "ada@example.com").click()
    edit_cell(page, "countess")
    page.get_by_text("You are logged out: log in and try again.").wait_for()
    page.goto(f"{guarded_url}/admin/login")
    log_in(page)
    page.goto(f"{guarded_url}/admin/user/new/")
    page.fill("#username", "grace")
    page.context.clear_cookies()
    follow(page, "text=Save >> nth=0")
    assert page.get_by_text("You are logged out: log in and try again.").is_visible()
    assert stored() == [("ada@example.com", True)]
