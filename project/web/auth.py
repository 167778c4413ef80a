"""Bearer tokens for the API: `API_TOKENS`, and the access tokens of a provider."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from flask import Flask
from werkzeug.exceptions import MethodNotAllowed

from project.config import ApiToken
from project.web.error_codes import ErrorCode
from project.web.errors import RETRY_AFTER, ApiError
from project.web.proxies import current_request

# Methods that change nothing.
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# The URLs that need a token: this one and everything below it.
PROTECTED_PATH = "/users"
# The key in `app.extensions` of a verifier for tokens that are not in API_TOKENS.
VERIFIER = "access_token_verifier"

READ_SCOPE = "users:read"
WRITE_SCOPE = "users:write"


class TokenMissing(ApiError):
    """The request has no bearer token."""

    status = 401
    code = ErrorCode.TOKEN_MISSING
    message = "Send a token, with Authorization: Bearer <token>."
    headers = {"WWW-Authenticate": 'Bearer realm="users"'}


class TokenUnknown(ApiError):
    """The token is not one of API_TOKENS, and no valid access token."""

    status = 401
    code = ErrorCode.TOKEN_INVALID
    message = "The token is not valid."
    headers = {"WWW-Authenticate": 'Bearer realm="users", error="invalid_token"'}


class TokenExpired(ApiError):
    """The token was valid until a date or time that has passed."""

    status = 401
    code = ErrorCode.TOKEN_EXPIRED
    message = "The token has expired."
    headers = {
        "WWW-Authenticate": 'Bearer realm="users", error="invalid_token",'
        ' error_description="The token has expired"'
    }


class TokenReadOnly(ApiError):
    """The method needs a token that may write."""

    status = 403
    code = ErrorCode.TOKEN_READ_ONLY
    message = "The token is limited to reading."
    headers = {"WWW-Authenticate": 'Bearer realm="users", error="insufficient_scope"'}


class ReadScopeMissing(ApiError):
    """The method needs an access token with the scope for reading."""

    status = 403
    code = ErrorCode.SCOPE_MISSING
    message = "The token needs the scope users:read."
    headers = {
        "WWW-Authenticate": 'Bearer realm="users", error="insufficient_scope",'
        f' scope="{READ_SCOPE}"'
    }


class WriteScopeMissing(ApiError):
    """The method needs an access token with the scope for writing."""

    status = 403
    code = ErrorCode.SCOPE_MISSING
    message = "The token needs the scope users:write."
    headers = {
        "WWW-Authenticate": 'Bearer realm="users", error="insufficient_scope",'
        f' scope="{WRITE_SCOPE}"'
    }


class IdentityProviderUnavailable(ApiError):
    """The keys of the provider are not known, or that of the token may be new.

    Args:
        retry_after: seconds until the next attempt to fetch the keys.
    """

    status = 503
    code = ErrorCode.IDENTITY_PROVIDER_UNAVAILABLE
    message = "The identity provider is not available: try again later."

    def __init__(self, retry_after: float = RETRY_AFTER) -> None:
        super().__init__()
        self.headers = {"Retry-After": str(round(max(1, retry_after)))}


@dataclass(frozen=True)
class AccessToken:
    """The claims of a valid access token that the API uses.

    Attributes:
        subject: who the token was issued to.
    """

    subject: str
    scopes: frozenset[str]


class AccessTokenVerifier(Protocol):
    """Verifies tokens that are not in API_TOKENS."""

    def verify(self, token: str, digest: bytes) -> AccessToken:
        """Return the claims of a token.

        Args:
            digest: the SHA-256 hash of the token.

        Raises:
            ApiError: the token is not valid, or cannot be verified now.
        """


def init_app(app: Flask) -> None:
    """Require tokens if the configuration has any, or names their issuer."""
    authenticator = Authenticator(
        app.config["API_TOKENS"], app.extensions.get(VERIFIER)
    )
    if authenticator.tokens or authenticator.verifier:
        app.before_request(authenticator.authenticate)


def is_protected(path: str) -> bool:
    """Return whether a URL path needs a token, even if no view exists for it."""
    return path == PROTECTED_PATH or path.startswith(f"{PROTECTED_PATH}/")


def read_bearer_token(header: str) -> str:
    """Return the token in an `Authorization` header.

    Werkzeug's `request.authorization` raises ValueError for some malformed headers.

    Raises:
        TokenMissing: the header is empty, or has another scheme.
    """
    scheme, _, token = header.strip().partition(" ")
    token = token.lstrip()
    if scheme.lower() != "bearer" or not token:
        raise TokenMissing()
    return token


class Authenticator:
    """Checks the token of each request to a protected URL.

    Args:
        tokens: those of API_TOKENS.
        verifier: for all other tokens, if they can be valid.
    """

    def __init__(
        self, tokens: tuple[ApiToken, ...], verifier: AccessTokenVerifier | None
    ) -> None:
        self.tokens = {token.digest: token for token in tokens}
        self.verifier = verifier

    def authenticate(self) -> None:
        """Check the token of the request, and set its `remote_user` to the client.

        Raises:
            ApiError: the request is not allowed.
        """
        current = current_request()
        # Browsers send a CORS preflight (OPTIONS) without the token. A method that the
        # URL does not support is answered with 405, with or without a token.
        if current.method == "OPTIONS" or not is_protected(current.path):
            return
        if isinstance(current.routing_exception, MethodNotAllowed):
            return
        writes = current.method not in SAFE_METHODS
        sent = read_bearer_token(current.environ.get("HTTP_AUTHORIZATION", ""))
        # The time of this lookup can at most reveal something about a digest, and no
        # token can be computed from its digest. So the comparison need not take
        # constant time.
        digest = sha256(sent.encode()).digest()
        token = self.tokens.get(digest)
        if token is not None:
            self.check_token(token, writes)
            client = token.name
        elif self.verifier is not None:
            access_token = self.verifier.verify(sent, digest)
            self.check_scopes(access_token, writes)
            client = access_token.subject
        else:
            raise TokenUnknown()
        if client is not None:
            current.environ["REMOTE_USER"] = client

    def check_token(self, token: ApiToken, writes: bool) -> None:
        """Check the date and the permission of a token of API_TOKENS.

        Raises:
            TokenExpired, TokenReadOnly: the request is not allowed.
        """
        if token.has_expired():
            raise TokenExpired()
        if writes and not token.can_write:
            raise TokenReadOnly()

    def check_scopes(self, token: AccessToken, writes: bool) -> None:
        """Check the scopes of an access token.

        Raises:
            ReadScopeMissing, WriteScopeMissing: the request is not allowed.
        """
        if writes and WRITE_SCOPE not in token.scopes:
            raise WriteScopeMissing()
        if not writes and READ_SCOPE not in token.scopes:
            raise ReadScopeMissing()
