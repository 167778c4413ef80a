"""What every page of the admin site shares: login, roles, CSRF protection, errors."""

import re
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    redirect,
    request,
    session,
    url_for,
)
from flask_wtf.csrf import validate_csrf
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, Unauthorized
from werkzeug.wrappers import Response as WerkzeugResponse
from wtforms import ValidationError

from project.admin import sessions
from project.admin.models import EDITOR
from project.admin.sessions import CurrentOperator
from project.web.auth import SAFE_METHODS
from project.web.errors import handle_exception

# Only files of this service; no inline scripts and styles.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# The endpoint that needs no login.
LOGIN_ENDPOINT = "admin.login"
# The maximum size of its request body in bytes. Parsing a form of 64 KiB with
# thousands of fields would take as long as a hundred other requests.
MAX_PUBLIC_BODY = 4 * 1024
# The maximum size in bytes of a form that the form of the login page can contain.
MAX_KEPT_FORM = MAX_PUBLIC_BODY * 3 // 4
# Endpoints whose POST changes no user.
LOGOUT_ENDPOINTS = ("admin.logout", "admin.logout_everywhere")
# Everybody has this account if the admin site has no login.
ANYBODY = CurrentOperator("anybody", EDITOR)
# The name of the session's token in the cookie.
SESSION_TOKEN = "token"
# A path and a query string, as `url_for` returns them. Browsers read a backslash as a
# slash, and ignore some control characters and white space.
URL_PATH = re.compile(r"/[!-\[\]-~]*")


class LoggedOut(Unauthorized):
    """A form was submitted, and the session of the operator has ended."""

    description = "You are logged out: log in and try again."


class AdminSecurityMixin:
    """Protects a view of the admin site. It must come before Flask-Admin's class."""

    def create_blueprint(self, admin: Any) -> Blueprint:
        """Return the view's blueprint with the checks of this module."""
        blueprint: Blueprint = super().create_blueprint(admin)  # type: ignore[misc]
        for check in (check_login, check_role, check_csrf, check_return_url):
            blueprint.before_request(check)
        blueprint.after_request(add_headers)
        blueprint.register_error_handler(Exception, handle_admin_exception)
        return blueprint

    def is_visible(self) -> bool:
        """Return whether the menu shows the view."""
        return "operator" in g

    @property
    def can_write(self) -> bool:
        """Return whether the page offers changes. Flask-Admin reads its aliases."""
        operator: CurrentOperator = g.operator
        return operator.can_write

    can_create = can_edit = can_delete = column_display_actions = can_write


def load_operator() -> CurrentOperator | None:
    """Return the operator who has sent the request, or None if nobody is logged in."""
    if not current_app.config["ADMIN_REQUIRES_LOGIN"]:
        return ANYBODY
    token = session.get(SESSION_TOKEN)
    return sessions.load(token) if token else None


def check_login() -> WerkzeugResponse | None:
    """Redirect anonymous GET requests to the login page; reject others with 401."""
    if request.endpoint == LOGIN_ENDPOINT:
        request.max_content_length = MAX_PUBLIC_BODY
        return None
    if operator := load_operator():
        g.operator = operator
        return None
    if request.method != "GET" or is_ajax():
        raise LoggedOut()
    return redirect(url_for("admin.login", next=request.full_path))


def check_role() -> None:
    """Check that the operator may change users, if the request does.

    Raises:
        Forbidden: the operator may only read.
    """
    if request.method in SAFE_METHODS or request.endpoint in LOGOUT_ENDPOINTS:
        return
    operator: CurrentOperator | None = g.get("operator")
    if operator and not operator.can_write:
        raise Forbidden("Your account may only read: ask an editor to do this.")


def check_csrf() -> None:
    """Check the CSRF token of a request that may change something.

    Raises:
        BadRequest: the token is missing, or belongs to another session; or the body is
            not complete.
    """
    if request.method in SAFE_METHODS:
        return
    token = submitted_csrf_token()
    try:
        validate_csrf(token)
    except ValidationError:
        raise BadRequest(
            "This form is no longer valid: reload its page and try again, over HTTPS"
            " where there is a login."
        ) from None


def submitted_csrf_token() -> str | None:
    """Return the CSRF token of the submitted form.

    Raises:
        BadRequest: the body is not complete.
        RequestEntityTooLarge: it exceeds the limit.
    """
    try:
        return request.form.get("csrf_token")
    except HTTPException:
        raise
    except Exception as error:
        # Each WSGI server raises its own exceptions for a malformed body.
        raise BadRequest("The form is not complete: send it again.") from error


def check_return_url() -> None:
    """Check the parameter `url`, to which Flask-Admin redirects and links.

    Its own check accepts some URLs of other hosts, such as `https:example.com`.

    Raises:
        BadRequest: it is not a URL of the admin site.
    """
    if not all(map(is_admin_url, request.values.getlist("url"))):
        raise BadRequest("The parameter `url` must be the path of a page of the admin.")


def is_admin_url(url: str) -> bool:
    """Return whether a URL is the path of a page of the admin site."""
    return url.startswith(url_for("admin.index")) and bool(URL_PATH.fullmatch(url))


def add_headers(response: Response) -> Response:
    """Add the security headers to a page."""
    response.headers.update(HEADERS)
    return response


def is_ajax() -> bool:
    """Return whether a script of the page sent the request.

    It displays the text of an error; browsers display an HTML page.
    """
    return request.headers.get("X-Requested-With") == "XMLHttpRequest"


def handle_admin_exception(error: Exception) -> Response:
    """Return the response to an exception as text or as an HTML page.

    The status and the message are those of the API.
    """
    response = handle_exception(error)
    message = response.get_json()["message"]
    if is_ajax():
        response.mimetype = "text/plain"
        response.set_data(message)
        return response
    home = current_app.extensions["admin"][0].index_view
    response.mimetype = "text/html"
    if isinstance(error, LoggedOut) and is_own_form():
        page = home.render_login(request.full_path, request.form)
    else:
        is_refused = response.status_code < 500 or request.method in SAFE_METHODS
        page = home.render(
            "admin_site/error.html", error=message, is_refused=is_refused
        )
    response.set_data(page)
    return response


def is_own_form() -> bool:
    """Return whether a form is one of this site's, and small enough to be kept."""
    request.max_content_length = MAX_KEPT_FORM
    try:
        validate_csrf(submitted_csrf_token())
    except (HTTPException, ValidationError):
        return False
    return not request.files
