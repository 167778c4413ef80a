"""A real browser for the functional tests of the web pages."""

import os
import shutil
from urllib.parse import urlsplit

import pytest

# What Debian, Ubuntu and a machine with Google's package call it.
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--disable-gpu",
    # A container's /dev/shm is too small for it.
    "--disable-dev-shm-usage",
    # Nothing of a page may come from anywhere else.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def do_without(what):
    """Skip the test, or fail it in CI, where nothing may be left out.

    Args:
        what: what is missing, and how to get it.
    """
    give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    give_up(f"this test needs {what}")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium of the machine, driven by Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        do_without("Playwright: `pipenv sync --all`")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        do_without("Chromium: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser):
    """An empty page of a new browser session, which forgets all at its end.

    The test fails where the page asks another host for something, breaks its content
    security policy, or has a script that ends in an error.
    """
    wrong = []

    def check_host(request):
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            wrong.append(f"outside: {request.url}")

    def check_console(message):
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", check_host)
        page.on("console", check_console)
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        yield page
    assert not wrong, wrong
