"""Fixtures that drive a real browser, for the tests of the web pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from project.tests.node import find_node_modules
from project.tests.requirements import skip_or_fail

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

# The command's name on Debian, on Ubuntu and in Google's package.
COMMANDS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--disable-gpu",
    # /dev/shm of a container is too small for Chromium.
    "--disable-dev-shm-usage",
    # The pages must not load anything from another host.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def click_and_wait(page: Page, selector: str) -> None:
    """Click an element and wait for the page that it opens."""
    with page.expect_navigation():
        page.click(selector)


def assert_accessible(page: Page, exclude: Sequence[str] = ()) -> None:
    """Check a page with axe-core, and that it is not wider than the screen.

    axe-core finds missing labels, low contrast, small targets and the like.

    Args:
        exclude: selectors of elements that are not checked.
    """
    axe = find_node_modules() / "axe-core/axe.min.js"
    page.evaluate(axe.read_text())
    context = {"exclude": [[selector] for selector in exclude]}
    rules = page.evaluate("(context) => axe.run(context)", context)["violations"]
    violations = {r["id"]: [node["target"] for node in r["nodes"]] for r in rules}
    assert not violations, violations
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"the page is {overflow} pixels wider than the screen"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The installed Chromium, headless."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail("Playwright: `pipenv sync --all`")
    path = next((path for name in COMMANDS if (path := shutil.which(name))), None)
    if path is None:
        skip_or_fail("Chromium: `apt-get install chromium`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """An empty page in a new browser context.

    The test fails if the page sends a request to another host, violates its content
    security policy, or raises an uncaught script error.
    """
    violations: list[str] = []

    def check_host(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            violations.append(f"request to another host: {request.url}")

    def check_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            violations.append(message.text)

    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", check_host)
        page.on("console", check_console)
        page.on("pageerror", lambda error: violations.append(f"script: {error}"))
        yield page
    assert not violations, violations
