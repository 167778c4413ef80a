"""The errors of the operations on users."""

from project.web.error_codes import ErrorCode
from project.web.errors import ApiError


class EmailTaken(ApiError):
    """Another user has the e-mail address, in this or another spelling."""

    code = ErrorCode.EMAIL_TAKEN
    message = "Sorry. That email already exists."


class UserNotFound(ApiError):
    """No user has the id."""

    status = 404
    code = ErrorCode.USER_NOT_FOUND
    message = "User does not exist"


class StaleVersion(ApiError):
    """The user has changed since the version in `If-Match`."""

    status = 412
    code = ErrorCode.STALE_VERSION
    message = "The user has changed since that version: read it again."


class VersionExcluded(ApiError):
    """`If-None-Match` of a write contains the user's version, or is `*`."""

    status = 412
    code = ErrorCode.VERSION_EXCLUDED
    message = (
        "If-None-Match excludes the version of the user: omit it, or send If-Match, to"
        " change the user."
    )


class QueryTooSlow(ApiError):
    """A page or a count exceeds DATABASE_STATEMENT_TIMEOUT.

    It is the client's error, because repeating the request would not help.
    """

    code = ErrorCode.QUERY_TOO_SLOW
    message = (
        "The query takes too long: search for longer words, add filters, or use"
        " count=estimated."
    )
