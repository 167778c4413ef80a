"""Refusals and failures, each with its status and message, and their one answer."""

import logging

from blinker import Namespace
from flask import current_app
from werkzeug.exceptions import HTTPException

from project import database
from project.jsend import answer

# How soon a client should ask again while the database is away, in seconds.
RETRY_AFTER = 2
UNAVAILABLE = "The database is not available: try again later."

log = logging.getLogger(__name__)

# Sent with the error when the database is not available.
database_failed = Namespace().signal("database-failed")


class Refusal(Exception):
    """A request that is refused: the client's mistake.

    Args:
        errors: what is wrong with each field or parameter, as `{name: reason}`.
    """

    status = 400
    message = ""
    headers = None

    def __init__(self, errors=None):
        super().__init__(self.message)
        self.errors = errors


class InvalidPayload(Refusal):
    """The body is not what the operation takes."""

    message = "Invalid payload."


class InvalidQuery(Refusal):
    """A parameter of the query string is out of range or not understood."""

    message = "Invalid query."


class NotJson(Refusal):
    """The body is of another type than JSON."""

    status = 415
    message = "Send JSON, with Content-Type: application/json."


class EmailTaken(Refusal):
    """Another user has the e-mail address, in this or another letter case."""

    message = "Sorry. That email already exists."


class UserNotFound(Refusal):
    """No user has the id."""

    status = 404
    message = "User does not exist"


class StaleVersion(Refusal):
    """The user has changed since the version that `If-Match` names."""

    status = 412
    message = "The user has changed since that version: read it again."


def answer_error(error):
    """Return the JSON answer to an exception; nothing of a failure's inside is told.

    Args:
        error: whatever a view, an extension or Flask itself raised.
    """
    if isinstance(error, Refusal):
        details = {} if error.errors is None else {"errors": error.errors}
        return answer(error.status, error.message, error.headers, **details)
    if isinstance(error, HTTPException):
        return answer_http(error)
    remedy = database.remedy(error)
    if remedy:
        log.error(remedy)
        database_failed.send(current_app, error=error)
        return answer(503, UNAVAILABLE, {"Retry-After": str(RETRY_AFTER)})
    log.exception("unexpected error")
    return answer(500, "Something went wrong on our side.")


def answer_http(error):
    """Return the JSON answer to one of Werkzeug's HTTP exceptions.

    Args:
        error: the exception; a redirect is returned as it is.
    """
    if error.code < 400:
        return error.get_response()
    # `Allow` and the like stay; the type and length are those of an HTML page.
    headers = {k: v for k, v in error.get_headers() if k != "Content-Type"}
    return answer(error.code, error.description, headers)
