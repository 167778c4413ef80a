"""Bearer tokens: who may use the API, and who may change something with it.

Only the tokens' hashes are kept, so that no log and no error page can show a token.
"""

import hmac
import re
from hashlib import sha256

from flask import current_app, request

from project.errors import Refusal

READING = {"GET", "HEAD"}
READ_ONLY = "read:"
# What a header may carry (RFC 6750), and too long to be guessed.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")


class TokenMissing(Refusal):
    """The request carries no token."""

    status = 401
    message = "Send a token, with Authorization: Bearer <token>."
    headers = {"WWW-Authenticate": 'Bearer realm="users"'}


class TokenUnknown(Refusal):
    """The request's token is none of ours, or no longer."""

    status = 401
    message = "The token is not valid."
    headers = {"WWW-Authenticate": 'Bearer realm="users", error="invalid_token"'}


class TokenReadOnly(Refusal):
    """The request would change something, and its token may only read."""

    status = 403
    message = "The token is limited to reading."
    headers = {"WWW-Authenticate": 'Bearer realm="users", error="insufficient_scope"'}


def parse_tokens(text):
    """Return what each token may do, as `{its hash: whether it may write}`.

    Args:
        text: the tokens, separated by commas or spaces; `read:` before one limits it
            to reading.

    Raises:
        ValueError: one of them is no token; the message does not quote it.
    """
    tokens = {}
    for number, item in enumerate(re.split(r"[\s,]+", text.strip(" \t\n,")), 1):
        token = item.removeprefix(READ_ONLY)
        if not TOKEN.fullmatch(token):
            raise ValueError(
                f"number {number} is not a token of 16 or more letters, digits and"
                " ._~+/- (make one with `python -c 'import secrets;"
                " print(secrets.token_urlsafe())'`)"
            )
        digest = sha256(token.encode()).digest()
        if digest in tokens:
            raise ValueError(f"number {number} is there twice")
        tokens[digest] = not item.startswith(READ_ONLY)
    return tokens


def register_tokens(app):
    """Ask for a token where the application's settings name some.

    Args:
        app: the application; `API_TOKENS` is what parse_tokens returns.
    """
    if app.config["API_TOKENS"]:
        app.before_request(check_token)


def check_token():
    """Let a request to the users pass if its token allows it.

    Raises:
        TokenMissing, TokenUnknown, TokenReadOnly: it does not.
    """
    # A browser asks with OPTIONS, and without a token, what another origin may do.
    if request.blueprint != "users" or request.method == "OPTIONS":
        return
    sent = request.authorization
    if sent is None or sent.type != "bearer" or not sent.token:
        raise TokenMissing()
    digest = sha256(sent.token.encode()).digest()
    # Every hash is compared, in constant time: how long it takes tells nothing.
    allowed = [
        may_write
        for known, may_write in current_app.config["API_TOKENS"].items()
        if hmac.compare_digest(known, digest)
    ]
    if not allowed:
        raise TokenUnknown()
    if request.method not in READING and not allowed[0]:
        raise TokenReadOnly()
