"""What every page of the admin has: a lock, a token in each form, headers, an error."""

from flask import current_app, redirect, request, url_for
from flask_login import current_user
from flask_wtf.csrf import validate_csrf
from werkzeug.exceptions import BadRequest, Unauthorized
from wtforms import ValidationError

from project import errors

# Everything comes from the service itself, and no script or style from a page's text.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # Bootstrap's style sheet holds its small pictures itself.
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# What somebody who is not logged in may ask for.
OPEN_ENDPOINTS = ("admin.static", "admin.login")


class Guarded:
    """Mix-in for a view of the admin; requests of the API do not pass here."""

    def create_blueprint(self, admin):
        """Return Flask-Admin's blueprint, with the guards around its pages."""
        blueprint = super().create_blueprint(admin)
        blueprint.before_request(check_login)
        blueprint.before_request(check_token)
        blueprint.after_request(add_headers)
        blueprint.register_error_handler(Exception, answer_error)
        return blueprint

    def is_visible(self):
        """Return whether the menu shows the view: to whoever may open it."""
        return may_enter()


def may_enter():
    """Return whether the request comes from somebody who may be here."""
    return not current_app.config["ADMIN_LOGIN"] or current_user.is_authenticated


def operator_name():
    """Return who is at work here, for the log."""
    return current_user.username if current_app.config["ADMIN_LOGIN"] else "anybody"


def check_login():
    """Send whoever has to log in to the page for it.

    Raises:
        Unauthorized: the request is no visit to a page, which could follow.
    """
    if request.endpoint in OPEN_ENDPOINTS or may_enter():
        return None
    if request.method != "GET" or is_script():
        raise Unauthorized("You are logged out: log in and try again.")
    return redirect(url_for("admin.login", next=request.full_path))


def check_token():
    """Let a POST pass only from a form of these pages.

    Raises:
        BadRequest: its token is missing, or of another session.
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


def add_headers(response):
    """Return the response, with the rules that browsers enforce."""
    if request.endpoint != "admin.static":
        response.headers.update(HEADERS)
    return response


def is_script():
    """Return whether a script of the page asks, which shows a refusal as it is."""
    return request.headers.get("X-Requested-With") == "XMLHttpRequest"


def answer_error(error):
    """Return the answer of the API to an exception, for people.

    Args:
        error: whatever a page raised.
    """
    answer = errors.answer_error(error)
    message = answer.json["message"]
    home = current_app.extensions["admin"][0].index_view
    answer.mimetype = "text/plain" if is_script() else "text/html"
    answer.set_data(
        message if is_script() else home.render("users_admin/error.html", error=message)
    )
    return answer
