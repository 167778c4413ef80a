"""Verifying access tokens."""

import logging
import threading
import time
from collections.abc import Mapping
from time import monotonic
from typing import Any

import jwt

from project.web.auth import AccessToken, TokenExpired, TokenUnknown
from project.web.oidc.keys import KeyCache
from project.web.oidc.provider import ALGORITHMS

REQUIRED_CLAIMS = ["exp", "iss", "aud", "sub"]
# Seconds by which the clocks of the provider and of this machine may differ.
LEEWAY = 60
# Bytes of a token.
MAX_TOKEN_SIZE = 8192
# Seconds for which the result of verifying a token is kept, and the number of results.
VERIFIED_SECONDS = 60
MAX_VERIFIED = 1000

log = logging.getLogger(__name__)


class TokenVerifier:
    """Verifies access tokens, and keeps the results for a while."""

    def __init__(self, issuer: str, audience: str) -> None:
        self.issuer = issuer
        self.audience = audience
        self.keys = KeyCache(issuer)
        # By the digest of the token: its claims, and the value of `monotonic` until
        # which they may be used. The oldest entry, which is the first, is replaced
        # when the cache is full.
        self.verified: dict[bytes, tuple[AccessToken, float]] = {}
        self.lock = threading.Lock()

    def verify(self, token: str, digest: bytes) -> AccessToken:
        """Return the claims of a token; see `auth.AccessTokenVerifier`."""
        found = self.verified.get(digest)
        if found is not None and monotonic() < found[1]:
            return found[0]
        # The size comes first, so that a large token is not parsed.
        if len(token) > MAX_TOKEN_SIZE:
            raise TokenUnknown()
        claims = self.decode(token)
        access_token = AccessToken(claims["sub"], read_scopes(claims))
        # A number in JSON can be too large for a float, so `min` comes before `-`.
        now = time.time()
        expires = min(int(claims["exp"]) + LEEWAY, now + VERIFIED_SECONDS)
        with self.lock:
            self.verified.pop(digest, None)
            if len(self.verified) >= MAX_VERIFIED:
                del self.verified[next(iter(self.verified))]
            self.verified[digest] = access_token, monotonic() + expires - now
        return access_token

    def decode(self, token: str) -> dict[str, Any]:
        """Return the claims of a token after checking it.

        Raises:
            TokenUnknown, TokenExpired, IdentityProviderUnavailable: it is not valid, or
                its key is not available.
        """
        try:
            header = jwt.get_unverified_header(token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            # The header also may contain a key or its address (`jwk`, `jku`, `x5c`,
            # `x5u`). They are ignored: anybody can write them.
            if not isinstance(key_id, str) or not isinstance(algorithm, str):
                raise TokenUnknown()
            if algorithm not in ALGORITHMS:
                raise TokenUnknown()
            key = self.keys.find(key_id, algorithm)
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": REQUIRED_CLAIMS},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired() from None
        except jwt.PyJWTError as error:
            # Without the message, which may quote the token.
            log.debug("access token refused: %s", type(error).__name__)
            raise TokenUnknown() from None
        if not is_valid_subject(claims["sub"]):
            raise TokenUnknown()
        return claims


def is_valid_subject(subject: str) -> bool:
    """Return whether a subject has the form that OpenID Connect requires.

    The subject is logged, so it must not contain control characters.
    """
    return 0 < len(subject) <= 255 and subject.isascii() and subject.isprintable()


def read_scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes of a token.

    They are the claim `scope`, a text separated by spaces, or in some providers `scp`,
    a list or such a text.
    """
    scopes = claims.get("scope", claims.get("scp"))
    if isinstance(scopes, str):
        scopes = scopes.split()
    if not isinstance(scopes, list):
        return frozenset()
    return frozenset(scope for scope in scopes if isinstance(scope, str))
