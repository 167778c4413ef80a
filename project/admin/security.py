"""What every page of the admin site shares: login, CSRF protection, headers, errors."""

from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    request,
    url_for,
)
from flask_login import current_user
from flask_wtf.csrf import validate_csrf
from werkzeug.exceptions import BadRequest, Unauthorized
from werkzeug.wrappers import Response as WerkzeugResponse
from wtforms import ValidationError

from project.web.errors import handle_exception

# Only files of this service; no inline scripts and styles.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # Bootstrap's style sheet contains images as data URLs.
        "img-src 'self' data:",
        "font-src 'self'",
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
# Endpoints that need no login.
PUBLIC_ENDPOINTS = ("admin.static", "admin.login")
# The maximum size of their request bodies in bytes. Parsing a form of 64 KiB with
# thousands of fields would take as long as a hundred other requests.
MAX_PUBLIC_BODY = 4 * 1024
# The operator's name in the audit log if the admin site has no login.
ANONYMOUS_OPERATOR = "anybody"


class AdminSecurityMixin:
    """Protects a view of the admin site. It must come before Flask-Admin's class."""

    def create_blueprint(self, admin: Any) -> Blueprint:
        """Return the view's blueprint with the checks of this module."""
        blueprint: Blueprint = super().create_blueprint(admin)  # type: ignore[misc]
        blueprint.before_request(check_login)
        blueprint.before_request(check_csrf)
        blueprint.after_request(add_headers)
        blueprint.register_error_handler(Exception, handle_admin_exception)
        return blueprint

    def is_visible(self) -> bool:
        """Return whether the menu shows the view."""
        return is_authorized()


def is_authorized() -> bool:
    """Return whether the request may use the admin site."""
    if not current_app.config["ADMIN_REQUIRES_LOGIN"]:
        return True
    authenticated: bool = current_user.is_authenticated
    return authenticated


def operator_name() -> str:
    """Return the name of the operator for the audit log."""
    if not current_app.config["ADMIN_REQUIRES_LOGIN"]:
        return ANONYMOUS_OPERATOR
    username: str = current_user.username
    return username


def check_login() -> WerkzeugResponse | None:
    """Redirect anonymous GET requests to the login page; reject others with 401."""
    if request.endpoint in PUBLIC_ENDPOINTS:
        request.max_content_length = MAX_PUBLIC_BODY
        return None
    if is_authorized():
        return None
    if request.method != "GET" or is_ajax():
        raise Unauthorized("You are logged out: log in and try again.")
    return redirect(url_for("admin.login", next=request.full_path))


def check_csrf() -> None:
    """Check the CSRF token of a POST.

    Raises:
        BadRequest: the token is missing, or belongs to another session.
    """
    if request.method != "POST":
        return
    try:
        validate_csrf(request.form.get("csrf_token"))
    except ValidationError:
        raise BadRequest(
            "This form is no longer valid: reload its page and try again, over HTTPS"
            " where there is a login."
        ) from None


def add_headers(response: Response) -> Response:
    """Add the security headers to a page; static files need none."""
    if request.endpoint != "admin.static":
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
    else:
        home = current_app.extensions["admin"][0].index_view
        response.mimetype = "text/html"
        response.set_data(home.render("admin_site/error.html", error=message))
    return response
