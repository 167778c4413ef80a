"""Logging in to the admin: one operator, whom the settings name."""

import hashlib
import hmac
import logging
from functools import cached_property

from flask import flash, redirect, request, session, url_for
from flask_admin import expose
from flask_login import LoginManager, UserMixin, login_user, logout_user
from flask_wtf import FlaskForm
from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import TooManyRequests
from werkzeug.security import check_password_hash
from wtforms import PasswordField, StringField

from project import passwords
from project.admin.home import Home

log = logging.getLogger(__name__)

# Tries to log in, for each client's address and each worker process.
TRIES = parse_many("5 per minute; 30 per hour")
# No password is longer, and a hash of endless text is work for nothing.


class Operator(UserMixin):
    """Who may log in.

    Args:
        settings: the application's configuration.
    """

    def __init__(self, settings):
        self.username = settings["ADMIN_USERNAME"]
        self.password = settings["ADMIN_PASSWORD"]

    def get_id(self):
        """Return what a session keeps; a new name or password ends every session."""
        return hashlib.sha256(f"{self.username} {self.password}".encode()).hexdigest()

    def has(self, username, password):
        """Return whether these are the name and the password.

        A wrong name takes as long as a wrong password.
        """
        named = hmac.compare_digest(username.encode(), self.username.encode())
        fits = check_password_hash(self.password, password[: passwords.MAX_LENGTH])
        return named and fits


class LoginForm(FlaskForm):
    """The form of the login page."""

    username = StringField("Username")
    password = PasswordField("Password")


class HomeWithLogin(Home):
    """The home page, and the ways in and out.

    Args:
        settings: the application's configuration.
    """

    def __init__(self, settings):
        super().__init__()
        self.operator = Operator(settings)

    @cached_property
    def brake(self):
        """What counts the tries; its thread would not come along over a fork."""
        return MovingWindowRateLimiter(MemoryStorage())

    def load(self, id):
        """Return the operator where the session's id is theirs, and None elsewhere."""
        return self.operator if id == self.operator.get_id() else None

    @expose("/login", methods=("GET", "POST"))
    def login(self):
        """Show the form, or take it."""
        form = LoginForm()
        home, target = url_for("admin.index"), request.args.get("next", "")
        if not target.startswith(home) or "\\" in target:
            target = home
        if form.validate_on_submit() and self.let_in(form):
            return redirect(target)
        return self.render("users_admin/login.html", form=form)

    def let_in(self, form):
        """Return whether the form opened the door.

        Raises:
            TooManyRequests: there were too many tries.
        """
        address = request.remote_addr
        if not all(self.brake.hit(limit, address) for limit in TRIES):
            log.warning("%s tried too often to log in", address)
            raise TooManyRequests("Too many tries: wait a minute, then try again.")
        if not self.operator.has(form.username.data or "", form.password.data or ""):
            log.warning("%s failed to log in", address)
            flash("The username or the password is wrong.", "error")
            return False
        # What was there before the login does not reach past it.
        session.clear()
        session.permanent = True
        login_user(self.operator)
        log.info("%s logged in from %s", self.operator.username, address)
        return True

    @expose("/logout", methods=("POST",))
    def logout(self):
        """End the session."""
        log.info("%s logged out", self.operator.username)
        logout_user()
        session.clear()
        return redirect(url_for("admin.login"))


def register(app, home):
    """Let Flask-Login find the operator.

    Its `init_app` would add a hook to every request of the application, for a cookie
    that outlives the session; there is none here.

    Args:
        app: the Flask application.
        home: its HomeWithLogin.
    """
    app.login_manager = LoginManager()
    app.login_manager.user_loader(home.load)
