"""The admin site's login for one operator: ADMIN_USERNAME and ADMIN_PASSWORD.

Loaded only under production settings.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from functools import cached_property

from flask import Flask, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_login import LoginManager, UserMixin, login_user, logout_user
from flask_wtf import FlaskForm
from gevent import get_hub
from gevent.lock import BoundedSemaphore
from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import TooManyRequests
from werkzeug.security import check_password_hash
from wtforms import PasswordField, StringField

from project.admin import passwords
from project.admin.home import Counts, HomeView
from project.config import Settings

log = logging.getLogger(__name__)

# Login attempts per client address and worker process.
RATE_LIMITS = parse_many("5 per minute; 30 per hour")

# A hash takes up to 100 ms of CPU time, and a burst of logins must leave time for the
# other requests.
MAX_CONCURRENT_CHECKS = 1
concurrent_checks = BoundedSemaphore(MAX_CONCURRENT_CHECKS)


def check_password(password_hash: str, password: str) -> bool:
    """Return whether a password has the hash.

    The password is hashed in a thread, so that the event loop of a gunicorn worker can
    serve other requests meanwhile.
    """
    with concurrent_checks:
        matches: bool = get_hub().threadpool.apply(
            check_password_hash, (password_hash, password)
        )
    return matches


class Operator(UserMixin):
    """The account that can log in."""

    def __init__(self, username: str, password_hash: str) -> None:
        self.username = username
        self.password_hash = password_hash

    def get_id(self) -> str:
        """Return the id that the session stores.

        It depends on the password, so that a new password ends every session.
        """
        credentials = f"{self.username} {self.password_hash}"
        return hashlib.sha256(credentials.encode()).hexdigest()

    def check_credentials(self, username: str, password: str) -> bool:
        """Return whether the credentials are correct.

        The password is also hashed if the username is wrong, so that the time does
        not reveal which of them is wrong.
        """
        same_name = hmac.compare_digest(username.encode(), self.username.encode())
        # No valid password is longer, and hashing a long text takes long.
        password = password[: passwords.MAX_LENGTH]
        return check_password(self.password_hash, password) and same_name


class LoginForm(FlaskForm):
    """The form of the login page."""

    username = StringField("Username")
    password = PasswordField("Password")


class HomeViewWithLogin(HomeView):
    """The home page with the views for login and logout."""

    def __init__(self, read_counts: Callable[[], Counts], operator: Operator) -> None:
        super().__init__(read_counts)
        self.operator = operator

    @cached_property
    def rate_limiter(self) -> MovingWindowRateLimiter:
        """Counts login attempts. Created on first use, because it has a thread."""
        return MovingWindowRateLimiter(MemoryStorage())

    def load_operator(self, operator_id: str) -> Operator | None:
        """Return the operator of a session, or None if the session is outdated."""
        return self.operator if operator_id == self.operator.get_id() else None

    @expose("/login", methods=("GET", "POST"))
    def login(self) -> ResponseReturnValue:
        """Show the login form, or log in and redirect to the page in `next`."""
        form = LoginForm()
        home, target = url_for("admin.index"), request.args.get("next", "")
        if not target.startswith(home) or "\\" in target:
            target = home
        if form.validate_on_submit() and self.authenticate(form):
            return redirect(target)
        page: str = self.render("admin_site/login.html", form=form)
        return page

    def authenticate(self, form: LoginForm) -> bool:
        """Start a session if the form's credentials are correct.

        Raises:
            TooManyRequests: the client has exceeded the rate limits.
        """
        address = request.remote_addr or ""
        if not all(self.rate_limiter.hit(limit, address) for limit in RATE_LIMITS):
            log.warning("%s exceeded the rate limit of the login", address)
            raise TooManyRequests("Too many tries: wait a minute, then try again.")
        username, password = form.username.data or "", form.password.data or ""
        if not self.operator.check_credentials(username, password):
            log.warning("%s failed to log in", address)
            flash("The username or the password is wrong.", "error")
            return False
        # Protects against session fixation.
        session.clear()
        session.permanent = True
        login_user(self.operator)
        log.info("%s logged in from %s", self.operator.username, address)
        return True

    @expose("/logout", methods=("POST",))
    def logout(self) -> ResponseReturnValue:
        """End the session."""
        log.info("%s logged out", self.operator.username)
        logout_user()
        session.clear()
        return redirect(url_for("admin.login"))


def create_home_view(
    app: Flask, settings: Settings, read_counts: Callable[[], Counts]
) -> HomeViewWithLogin:
    """Create the home page with a login, and register the operator with Flask-Login.

    `LoginManager.init_app` is not called: its "remember me" cookie is not used, and the
    function that it adds for it reads the session after every request. Every response
    of the API would then have the header `Vary: Cookie`.
    """
    assert settings.ADMIN_USERNAME and settings.ADMIN_PASSWORD
    operator = Operator(settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD)
    home = HomeViewWithLogin(read_counts, operator)
    login_manager = LoginManager()
    login_manager.user_loader(home.load_operator)
    app.login_manager = login_manager  # type: ignore[attr-defined]
    return home
