"""The errors of the operations on users."""

from project.web.errors import ApiError


class EmailTaken(ApiError):
    """Another user has the e-mail address, in this or another spelling."""

    message = "Sorry. That email already exists."


class UserNotFound(ApiError):
    """No user has the id."""

    status = 404
    message = "User does not exist"


class StaleVersion(ApiError):
    """The user has changed since the version in `If-Match`."""

    status = 412
    message = "The user has changed since that version: read it again."


class QueryTooSlow(ApiError):
    """A page or a count exceeds DATABASE_STATEMENT_TIMEOUT.

    It is the client's error, because repeating the request would not help.
    """

    code = "query_too_slow"
    message = (
        "The query takes too long: search for longer words, add filters, or use"
        " count=estimated."
    )
