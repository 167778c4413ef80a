"""Errors with an HTTP status, and the handler that turns every exception into JSON."""

import logging
from collections.abc import Mapping

from blinker import Namespace
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from project.database.availability import explain_unavailable
from project.web.error_codes import ErrorCode, code_of_status
from project.web.responses import PATCH_TYPES, json_response

# The value of the Retry-After header of a 503, in seconds.
RETRY_AFTER = 2
INTERNAL_ERROR = "Something went wrong on our side."

log = logging.getLogger(__name__)

# Sent with `error` when a request fails because the database is unavailable.
database_failed = Namespace().signal("database-failed")


class ApiError(Exception):
    """The base class of errors with a response of their own.

    Args:
        errors: the reason for each invalid field or parameter, by its name.

    Attributes:
        code: set by each subclass.
    """

    status = 400
    code: ErrorCode
    message = ""
    headers: Mapping[str, str] | None = None

    def __init__(self, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(self.message)
        self.errors = errors


class InvalidPayload(ApiError):
    """The request body is not valid."""

    code = ErrorCode.INVALID_PAYLOAD
    message = "Invalid payload."


class InvalidQuery(ApiError):
    """A query parameter is unknown, repeated or out of range."""

    code = ErrorCode.INVALID_QUERY
    message = "Invalid query."


class NotJson(ApiError):
    """The request body has another content type than JSON."""

    status = 415
    code = ErrorCode.NOT_JSON
    message = "Send JSON, with Content-Type: application/json."


class NotMergePatch(ApiError):
    """The body of a PATCH request has a content type other than PATCH_TYPES."""

    status = 415
    code = ErrorCode.NOT_JSON
    message = f"Send JSON, with Content-Type: {' or '.join(PATCH_TYPES)}."
    headers = {"Accept-Patch": ", ".join(PATCH_TYPES)}


class DatabaseUnavailable(ApiError):
    """The database cannot be used now; see `explain_unavailable`."""

    status = 503
    code = ErrorCode.UNAVAILABLE
    message = "The database is not available: try again later."
    headers = {"Retry-After": str(RETRY_AFTER)}


def init_app(app: Flask) -> None:
    """Answer every exception of the application with JSON."""
    app.register_error_handler(Exception, handle_exception)


def error_response(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    code: ErrorCode | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    """Return the response to an error.

    Args:
        code: by default, the one of the status.
        errors: see `ApiError`.
    """
    members: dict[str, object] = {"code": code or code_of_status(status)}
    if errors is not None:
        members["errors"] = errors
    return json_response(status, message, headers, **members)


def respond(error: ApiError) -> Response:
    """Return the response to an error of the API."""
    return error_response(
        error.status, error.message, error.headers, error.code, error.errors
    )


def handle_exception(error: Exception) -> Response:
    """Return the response to an exception. It never contains internal details."""
    if isinstance(error, ApiError):
        return respond(error)
    if isinstance(error, HTTPException):
        return handle_http_exception(error)
    explanation = explain_unavailable(error)
    if explanation:
        log.error(explanation)
        database_failed.send(current_app, error=error)
        return respond(DatabaseUnavailable())
    if debugger_is_available():
        raise error
    log.exception("unexpected error")
    return error_response(500, INTERNAL_ERROR)


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
    return error_response(error.code, error.description or "", headers)
