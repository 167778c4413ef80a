"""The codes by which programs tell the errors of the service apart."""

from enum import StrEnum, auto


class ErrorCode(StrEnum):
    """The `code` of an error response. A code keeps its meaning in later versions."""

    # 400
    BAD_REQUEST = auto()
    EMAIL_TAKEN = auto()
    INVALID_HOST = auto()
    INVALID_PAYLOAD = auto()
    INVALID_QUERY = auto()
    QUERY_TOO_SLOW = auto()
    UNTRUSTED_HOST = auto()
    # 401
    TOKEN_EXPIRED = auto()
    TOKEN_INVALID = auto()
    TOKEN_MISSING = auto()
    UNAUTHORIZED = auto()
    # 403
    FORBIDDEN = auto()
    HTTPS_REQUIRED = auto()
    SCOPE_MISSING = auto()
    TOKEN_EXPOSED = auto()
    TOKEN_READ_ONLY = auto()
    # 404 and 405
    NOT_FOUND = auto()
    USER_NOT_FOUND = auto()
    METHOD_NOT_ALLOWED = auto()
    # 408 to 431
    REQUEST_TIMEOUT = auto()
    STALE_VERSION = auto()
    VERSION_EXCLUDED = auto()
    BODY_TOO_LARGE = auto()
    URL_TOO_LONG = auto()
    NOT_JSON = auto()
    EXPECTATION_FAILED = auto()
    TOO_MANY_REQUESTS = auto()
    HEADERS_TOO_LARGE = auto()
    # 500, 501 and 503
    INTERNAL_ERROR = auto()
    NOT_IMPLEMENTED = auto()
    IDENTITY_PROVIDER_UNAVAILABLE = auto()
    TOO_MANY_CONNECTIONS = auto()
    UNAVAILABLE = auto()


# The code of an error of Werkzeug or gunicorn, by its status.
STATUS_CODES = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    408: ErrorCode.REQUEST_TIMEOUT,
    413: ErrorCode.BODY_TOO_LARGE,
    414: ErrorCode.URL_TOO_LONG,
    417: ErrorCode.EXPECTATION_FAILED,
    429: ErrorCode.TOO_MANY_REQUESTS,
    431: ErrorCode.HEADERS_TOO_LARGE,
    501: ErrorCode.NOT_IMPLEMENTED,
}


def code_of_status(status: int) -> ErrorCode:
    """Return the code of an error that has none of its own."""
    default = ErrorCode.BAD_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    return STATUS_CODES.get(status, default)
