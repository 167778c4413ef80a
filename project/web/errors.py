"""Errors with an HTTP status, and the handler that turns every exception into JSON."""

import logging
from collections.abc import Mapping

from blinker import Namespace
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from project.database.availability import explain_unavailable
from project.web.responses import json_response

# The value of the Retry-After header of a 503, in seconds.
RETRY_AFTER = 2
UNAVAILABLE = "The database is not available: try again later."

log = logging.getLogger(__name__)

# Sent with `error` when a request fails because the database is unavailable.
database_failed = Namespace().signal("database-failed")


class ApiError(Exception):
    """The base class of errors with a response of their own.

    Args:
        errors: the reason for each invalid field or parameter, by its name.

    Attributes:
        code: identifies the error for programs, if it is set.
    """

    status = 400
    code: str | None = None
    message = ""
    headers: Mapping[str, str] | None = None

    def __init__(self, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(self.message)
        self.errors = errors


class InvalidPayload(ApiError):
    """The request body is not valid."""

    message = "Invalid payload."


class InvalidQuery(ApiError):
    """A query parameter is unknown, repeated or out of range."""

    message = "Invalid query."


class NotJson(ApiError):
    """The request body has another content type than JSON."""

    status = 415
    message = "Send JSON, with Content-Type: application/json."


def init_app(app: Flask) -> None:
    """Answer every exception of the application with JSON."""
    app.register_error_handler(Exception, handle_exception)


def handle_exception(error: Exception) -> Response:
    """Return the response to an exception. It never contains internal details."""
    if isinstance(error, ApiError):
        details: dict[str, object] = {}
        if error.code is not None:
            details["code"] = error.code
        if error.errors is not None:
            details["errors"] = error.errors
        return json_response(error.status, error.message, error.headers, **details)
    if isinstance(error, HTTPException):
        return handle_http_exception(error)
    explanation = explain_unavailable(error)
    if explanation:
        log.error(explanation)
        database_failed.send(current_app, error=error)
        return json_response(503, UNAVAILABLE, {"Retry-After": str(RETRY_AFTER)})
    if debugger_is_available():
        raise error
    log.exception("unexpected error")
    return json_response(500, "Something went wrong on our side.")


def debugger_is_available() -> bool:
    """Return whether Werkzeug's debugger can show an exception to the client.

    The debugger of the development server sets the variable. It answers with HTML, so
    clients other than browsers receive JSON as in production.
    """
    accepted = request.accept_mimetypes
    return (
        "werkzeug.debug.preserve_context" in request.environ
        and accepted.best_match(["application/json", "text/html"]) == "text/html"
    )


def handle_http_exception(error: HTTPException) -> Response:
    """Return the JSON response to one of Werkzeug's exceptions.

    Redirects, which Werkzeug also raises, are returned unchanged.
    """
    if error.code is None or error.code < 400:
        return current_app.make_response(error.get_response())
    # `Allow` and similar headers stay. The content type is that of the HTML page.
    headers = {
        name: value for name, value in error.get_headers() if name != "Content-Type"
    }
    return json_response(error.code, error.description, headers)
