"""The admin site's login and logout. Loaded only under production settings."""

import logging
from math import ceil

from flask import flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_wtf import FlaskForm
from gevent import get_hub
from gevent.lock import BoundedSemaphore
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import TooManyRequests
from werkzeug.security import check_password_hash
from wtforms import PasswordField, StringField

from project.admin import operators, passwords, rate_limits, sessions
from project.admin.home import HomeView
from project.admin.security import SESSION_TOKEN, is_admin_url

log = logging.getLogger(__name__)

# A hash takes up to 100 ms of CPU time, and a burst of logins must leave time for the
# other requests.
MAX_CONCURRENT_CHECKS = 1
concurrent_checks = BoundedSemaphore(MAX_CONCURRENT_CHECKS)

# Checked if the username is wrong, so that the time of the response does not reveal
# which usernames exist. No password has this hash.
UNKNOWN_HASH = f"scrypt:32768:8:1${'0' * 16}${'0' * 128}"


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


def start_session(username: str, password: str) -> str | None:
    """Start a session and return its token, or None if the credentials are wrong."""
    operator = operators.get(username)
    password_hash = operator.password_hash if operator else UNKNOWN_HASH
    # No valid password is longer, and hashing a long text takes long.
    if not check_password(password_hash, password[: passwords.MAX_LENGTH]):
        return None
    return sessions.start(username, password_hash)


# The prefix of the names of the fields in the form of the login that belong to another
# form, which the operator submitted after the session had ended.
KEPT = "kept-"


class LoginForm(FlaskForm):
    """The form of the login page."""

    username = StringField("Username")
    password = PasswordField("Password")


def authenticate(form: LoginForm) -> bool:
    """Start a session if the form's credentials are correct.

    Raises:
        TooManyRequests: the client, or all clients together, have exceeded a limit.
    """
    address = request.remote_addr or ""
    if seconds := rate_limits.count_attempt(address):
        log.warning("%s exceeded the rate limit of the login", address)
        raise TooManyRequests(
            f"Too many login attempts: wait {ceil(seconds / 60)} minute(s), then try"
            " again.",
            retry_after=seconds,
        )
    username = form.username.data or ""
    token = start_session(username, form.password.data or "")
    if token is None:
        log.warning("%s failed to log in", address)
        if not operators.list_all():
            log.warning(
                "there is no operator: add one with `python manage.py set_operator"
                " USERNAME --role editor`"
            )
        flash("The username or the password is wrong.", "error")
        return False
    # Protects against session fixation.
    session.clear()
    # Flask-WTF would use the CSRF token of the old session until the request ends.
    g.pop("csrf_token", None)
    session.permanent = True
    session[SESSION_TOKEN] = token
    log.info("%s logged in from %s", username, address)
    return True


class HomeViewWithLogin(HomeView):
    """The home page with the views for login and logout."""

    @expose("/login", methods=("GET", "POST"))
    def login(self) -> ResponseReturnValue:
        """Show the login form, or log in and go on to the page in `next`."""
        target = request.args.get("next", "")
        if not is_admin_url(target):
            target = url_for("admin.index")
        kept = [
            (name.removeprefix(KEPT), value)
            for name, value in request.form.items(multi=True)
            if name.startswith(KEPT)
        ]
        form = LoginForm()
        if not (form.validate_on_submit() and authenticate(form)):
            page: str = self.render(
                "admin_site/login.html", form=form, target=target, kept=kept
            )
            return page
        if not kept:
            return redirect(target)
        page = self.render("admin_site/continue.html", target=target, kept=kept)
        return page

    def render_login(self, target: str, submitted: MultiDict[str, str]) -> str:
        """Return the login page, which keeps a form that was submitted meanwhile.

        Args:
            target: the URL of the form.
        """
        kept = [item for item in submitted.items(multi=True) if item[0] != "csrf_token"]
        # `formdata=None`: the submitted form is not that of the login.
        page: str = self.render(
            "admin_site/login.html",
            form=LoginForm(formdata=None),
            target=target,
            kept=kept,
        )
        return page

    @expose("/logout", methods=("POST",))
    def logout(self) -> ResponseReturnValue:
        """End the session."""
        sessions.end(session[SESSION_TOKEN])
        session.clear()
        log.info("%s logged out", g.operator.username)
        return redirect(url_for("admin.login"))

    @expose("/logout-everywhere", methods=("POST",))
    def logout_everywhere(self) -> ResponseReturnValue:
        """End all sessions of the operator."""
        sessions.end_all(g.operator.username)
        session.clear()
        log.info("%s logged out everywhere", g.operator.username)
        return redirect(url_for("admin.login"))
