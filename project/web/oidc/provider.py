"""Fetching the keys of an OpenID Connect provider."""

import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPMessage
from time import monotonic
from typing import IO, Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from project.config import is_secure_url

DISCOVERY_PATH = "/.well-known/openid-configuration"

# The algorithm of each type of key, and the members of a JSON Web Key that it needs.
# A key is never used with another algorithm.
KEY_TYPES = {
    ("RSA", None): ("RS256", ("n", "e")),
    ("EC", "P-256"): ("ES256", ("crv", "x", "y")),
    ("OKP", "Ed25519"): ("EdDSA", ("crv", "x")),
}
ALGORITHMS = {algorithm for algorithm, _ in KEY_TYPES.values()}
# Bits. Shorter RSA keys are not safe, and longer ones are slow.
RSA_KEY_SIZES = range(2048, 8193)
# Verifying a signature takes time in proportion to the length of the exponent.
MAX_RSA_EXPONENT = 2**32

# Bytes of each document.
MAX_DOCUMENT_SIZE = 256 * 1024
# Seconds for both documents.
FETCH_TIMEOUT = 4

# By their id and their algorithm.
Keys: TypeAlias = Mapping[tuple[str, str], jwt.PyJWK]


class ProviderError(Exception):
    """An answer of the provider is not what OpenID Connect Discovery requires."""


class SecureRedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the same scheme, and HTTP only on this machine."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request."""
        if not is_secure_url(newurl) or not newurl.startswith(f"{req.type}:"):
            raise ProviderError("it redirects to another scheme")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_json(url: str, deadline: float) -> dict[str, Any]:
    """Return the JSON object at a URL.

    Args:
        deadline: the value of `monotonic` until which the body may arrive.

    Raises:
        OSError, HTTPException, ValueError, RecursionError, ProviderError: there is
            none.
    """
    opener = urllib.request.build_opener(SecureRedirectHandler)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    body = b""
    # The timeout is for each operation of the socket. A server could send a byte at a
    # time, and so occupy the only fetch.
    with opener.open(request, timeout=max(0.1, deadline - monotonic())) as response:
        while chunk := response.read1(2**16):
            body += chunk
            if len(body) > MAX_DOCUMENT_SIZE:
                raise ProviderError(f"{url} exceeds {MAX_DOCUMENT_SIZE} bytes")
            if monotonic() > deadline:
                raise TimeoutError(f"{url} did not arrive within {FETCH_TIMEOUT} s")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ProviderError(f"{url} is not a JSON object")
    return document


def fetch_keys(issuer: str) -> Keys:
    """Return the keys in the provider's JSON Web Key Set that can verify tokens.

    Raises:
        OSError, HTTPException, ValueError, RecursionError, ProviderError: the documents
            cannot be fetched, or they are invalid.
    """
    deadline = monotonic() + FETCH_TIMEOUT
    url = issuer.rstrip("/") + DISCOVERY_PATH
    discovery = fetch_json(url, deadline)
    if discovery.get("issuer") != issuer:
        raise ProviderError(f"the issuer in {url} is {discovery.get('issuer')!r:.200}")
    keys_url = discovery.get("jwks_uri")
    if not isinstance(keys_url, str) or not is_secure_url(keys_url):
        raise ProviderError(f"the jwks_uri in {url} is not an HTTPS URL")
    members = fetch_json(keys_url, deadline).get("keys")
    if not isinstance(members, list):
        raise ProviderError(f"{keys_url} contains no list of keys")
    keys: dict[tuple[str, str], jwt.PyJWK] = {}
    for member in members:
        key = load_key(member)
        if key is not None and key.key_id is not None:
            keys.setdefault((key.key_id, key.algorithm_name), key)
    return keys


def load_key(member: object) -> jwt.PyJWK | None:
    """Load a member of a JSON Web Key Set.

    Returns:
        None if the key does not verify signatures, has no id, has another type than
        those of KEY_TYPES, or is invalid. A provider may have such keys, too.
    """
    if not isinstance(member, dict) or not isinstance(member.get("kid"), str):
        return None
    try:
        algorithm, names = KEY_TYPES[member["kty"], member.get("crv")]
        if member.get("use", "sig") != "sig":
            return None
        if member.get("alg", algorithm) != algorithm:
            return None
        if "verify" not in member.get("key_ops", ["verify"]):
            return None
        # Without the private members, if the provider publishes them by mistake.
        public = {name: member[name] for name in ("kid", "kty", *names)}
        key = jwt.PyJWK(public, algorithm)
    except (KeyError, TypeError, ValueError, AttributeError, jwt.PyJWTError):
        return None
    if isinstance(key.key, RSAPublicKey):
        exponent = key.key.public_numbers().e
        if key.key.key_size not in RSA_KEY_SIZES or exponent > MAX_RSA_EXPONENT:
            return None
    return key
