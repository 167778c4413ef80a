"""Bearer tokens for the API (`API_TOKENS`)."""

import hmac
from hashlib import sha256

from flask import Flask, current_app, request
from werkzeug.exceptions import MethodNotAllowed

from project.config import ApiToken
from project.web.errors import ApiError

SAFE_METHODS = {"GET", "HEAD"}
# The URLs that need a token: this one and everything below it.
PROTECTED_PATH = "/users"


class TokenMissing(ApiError):
    """The request has no bearer token."""

    status = 401
    message = "Send a token, with Authorization: Bearer <token>."
    headers = {"WWW-Authenticate": 'Bearer realm="users"'}


class TokenUnknown(ApiError):
    """The token is not one of API_TOKENS."""

    status = 401
    message = "The token is not valid."
    headers = {"WWW-Authenticate": 'Bearer realm="users", error="invalid_token"'}


class TokenReadOnly(ApiError):
    """The method needs a token that may write."""

    status = 403
    message = "The token is limited to reading."
    headers = {"WWW-Authenticate": 'Bearer realm="users", error="insufficient_scope"'}


def init_app(app: Flask) -> None:
    """Require tokens if the configuration has any."""
    if app.config["API_TOKENS"]:
        app.before_request(check_token)


def check_token() -> None:
    """Check the token of a request to a protected URL.

    Raises:
        TokenMissing, TokenUnknown, TokenReadOnly: the request is not allowed.
    """
    # Browsers send a CORS preflight (OPTIONS) without the token. A method that the URL
    # does not support is answered with 405, with or without a token.
    if request.method == "OPTIONS" or not is_protected(request.path):
        return
    if isinstance(request.routing_exception, MethodNotAllowed):
        return
    authorization = request.authorization
    if (
        authorization is None
        or authorization.type != "bearer"
        or not authorization.token
    ):
        raise TokenMissing()
    token = find_token(authorization.token)
    if token is None:
        raise TokenUnknown()
    if request.method not in SAFE_METHODS and not token.can_write:
        raise TokenReadOnly()


def is_protected(path: str) -> bool:
    """Return whether a URL path needs a token, even if no view exists for it."""
    return path == PROTECTED_PATH or path.startswith(f"{PROTECTED_PATH}/")


def find_token(sent: str) -> ApiToken | None:
    """Return the token of the configuration that equals the one that was sent."""
    digest = sha256(sent.encode()).digest()
    tokens: tuple[ApiToken, ...] = current_app.config["API_TOKENS"]
    # The loop has no early exit, so that its time does not depend on the match.
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found
