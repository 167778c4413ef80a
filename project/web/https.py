"""HTTPS for all requests except probes (`REQUIRE_HTTPS`)."""

from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from project.web.error_codes import ErrorCode
from project.web.errors import ApiError
from project.web.hosts import PROBE_PATHS

# A browser that has received this header uses HTTPS for a year.
HSTS = "max-age=31536000"


class HttpsRequired(ApiError):
    """The request was sent over plain HTTP."""

    status = 403
    code = ErrorCode.HTTPS_REQUIRED
    message = "Send this request to the same URL with https://."


class TokenExposed(ApiError):
    """The request has credentials, which plain HTTP has exposed."""

    status = 403
    code = ErrorCode.TOKEN_EXPOSED
    message = (
        "The token was sent without encryption, so others may have read it: replace it,"
        " and use https://."
    )


def init_app(app: Flask) -> None:
    """Require HTTPS if the configuration says so."""
    if app.config["REQUIRE_HTTPS"]:
        app.before_request(check_scheme)
        app.after_request(add_hsts)


def check_scheme() -> WerkzeugResponse | None:
    """Redirect a GET request over plain HTTP, and refuse other requests.

    Raises:
        TokenExposed: the request has credentials. A redirect would hide the mistake,
            and the client would repeat it.
        HttpsRequired: the method may have a body, which must not be sent twice.
    """
    if request.is_secure or request.path in PROBE_PATHS:
        return None
    if "Authorization" in request.headers:
        raise TokenExposed()
    if request.method not in ("GET", "HEAD"):
        raise HttpsRequired()
    return redirect(request.url.replace("http://", "https://", 1), 308)


def add_hsts(response: Response) -> Response:
    """Tell browsers to use HTTPS. They ignore the header over plain HTTP."""
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
    return response
