"""Access tokens of an OpenID Connect provider, which the tests run on a port."""

import base64
import json
import logging
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import TestResponse

from devtools.identity_provider import (
    AUDIENCE,
    DISCOVERY_PATH,
    KEYS_PATH,
    SUBJECT,
    IdentityProvider,
    PrivateKey,
    create_key,
    public_jwk,
    write_certificate,
)
from devtools.servers import ROOT, clean_environment, start_gunicorn
from project import create_app
from project.config import ConfigError, ProductionConfig
from project.tests.http_client import send
from project.tests.types import CreateProductionApp
from project.tests.users import ADA
from project.tests.waiting import wait_until
from project.web.oidc import keys
from project.web.oidc import provider as provider_module
from project.web.oidc import tokens

OIDC_LIBRARIES = {"jwt", "cryptography", "project.web.oidc"}
API_TOKEN = "a-token-of-this-service"
INVALID = "The token is not valid."
EXPIRED = "The token has expired."
UNAVAILABLE = "The identity provider is not available: try again later."


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """A running provider with the key `first`."""
    with IdentityProvider() as running:
        yield running


@pytest.fixture
def https_provider(tmp_path: Path) -> Iterator[IdentityProvider]:
    """A running provider with HTTPS, whose certificate nobody trusts."""
    write_certificate(tmp_path / "certificate.pem")
    with IdentityProvider(tmp_path / "certificate.pem") as running:
        yield running


@pytest.fixture
def app(
    create_production_app: CreateProductionApp,
    database_url: str,
    empty_database: SQLAlchemy,
    provider: IdentityProvider,
) -> Flask:
    """The application that accepts the provider's tokens, and one of its own."""
    return create_production_app(
        DATABASE_URL=database_url,
        API_TOKENS=API_TOKEN,
        OIDC_ISSUER=provider.issuer,
        OIDC_AUDIENCE=AUDIENCE,
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the application; the users table is empty."""
    return app.test_client()


class Clock:
    """The monotonic clock of the package, which tests can set forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (keys, provider_module, tokens):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


def get(client: FlaskClient, token: str) -> TestResponse:
    return client.get("/users", headers={"Authorization": f"Bearer {token}"})


def assert_refused(response: TestResponse, message: str = INVALID) -> None:
    assert response.status_code == 401
    body = response.get_json()
    assert (body["status"], body["message"]) == ("fail", message)
    assert body["code"] == ("token_expired" if message == EXPIRED else "token_invalid")
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def assert_unavailable(response: TestResponse) -> None:
    assert response.status_code == 503
    assert response.get_json() == {
        "status": "error",
        "message": UNAVAILABLE,
        "code": "identity_provider_unavailable",
    }
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_token_may_write_and_read(
    provider: IdentityProvider, client: FlaskClient, algorithm: str
) -> None:
    provider.add_key("other", algorithm, use="sig", alg=algorithm)
    headers = {"Authorization": f"Bearer {provider.issue('other')}"}
    assert client.post("/users", json=ADA, headers=headers).status_code == 201
    assert client.get("/users/1", headers=headers).status_code == 200
    assert client.head("/users/1", headers=headers).status_code == 200
    assert client.delete("/users/1", headers=headers).status_code == 200
    assert provider.requests == {DISCOVERY_PATH: 1, KEYS_PATH: 1}


def test_tokens_of_the_service_need_no_provider(
    provider: IdentityProvider, client: FlaskClient
) -> None:
    provider.stop()
    assert get(client, API_TOKEN).status_code == 200
    assert_refused(get(client, "another-token-of-16"))
    assert client.get("/users").status_code == 401
    assert client.options("/users").status_code == 200


def test_service_without_tokens_of_its_own_accepts_access_tokens(
    create_production_app: CreateProductionApp,
    database_url: str,
    provider: IdentityProvider,
    empty_database: SQLAlchemy,
) -> None:
    client = create_production_app(
        DATABASE_URL=database_url, OIDC_ISSUER=provider.issuer, OIDC_AUDIENCE=AUDIENCE
    ).test_client()
    assert client.get("/users").status_code == 401
    assert get(client, provider.issue()).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["https://other.example.com", AUDIENCE]},
        {"exp": 10**400},
        {"iat": None},
        {"scope": None, "scp": ["users:read"]},
        {"scope": None, "scp": "openid users:read"},
    ],
    ids=[
        "aud a list",
        "exp beyond a float",
        "iat missing",
        "scp a list",
        "scp a text",
    ],
)
def test_variants_of_a_valid_token_are_accepted(
    provider: IdentityProvider, client: FlaskClient, changes: dict[str, Any]
) -> None:
    assert get(client, provider.issue(**changes)).status_code == 200


def test_clocks_may_differ_by_less_than_a_minute(
    provider: IdentityProvider, client: FlaskClient
) -> None:
    assert get(client, provider.issue(exp=in_seconds(-30))).status_code == 200
    assert get(client, provider.issue(nbf=in_seconds(30))).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": None},
        {"scope": ""},
        {"scope": "users:reader"},
        {"scope": 1},
        {"scope": {"users:read": True}},
        {"scope": None, "scp": [["users:read"]]},
        # The second claim does not extend the first.
        {"scope": "openid", "scp": ["users:read", "users:write"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_token_without_the_scope_returns_403(
    provider: IdentityProvider,
    client: FlaskClient,
    claims: dict[str, Any],
    method: str,
) -> None:
    headers = {"Authorization": f"Bearer {provider.issue(**claims)}"}
    response = client.open("/users", method=method, json=ADA, headers=headers)
    scope = "users:read" if method == "GET" else "users:write"
    assert response.status_code == 403
    assert response.get_json() == {
        "status": "fail",
        "message": f"The token needs the scope {scope}.",
        "code": "scope_missing",
    }
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer realm="users", error="insufficient_scope", scope="{scope}"'
    )


@pytest.mark.parametrize(
    "scope, get_status, delete_status",
    [("users:read", 200, 403), ("users:write", 403, 404)],
)
def test_scopes_are_independent(
    provider: IdentityProvider,
    client: FlaskClient,
    scope: str,
    get_status: int,
    delete_status: int,
) -> None:
    headers = {"Authorization": f"Bearer {provider.issue(scope=scope)}"}
    assert client.get("/users", headers=headers).status_code == get_status
    assert client.delete("/users/1", headers=headers).status_code == delete_status


def test_subject_is_in_the_audit_log(
    provider: IdentityProvider, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "project.audit")
    headers = {"Authorization": f"Bearer {provider.issue()}"}
    client.post("/users", json=ADA, headers=headers)
    (record,) = (r for r in caplog.records if r.name == "project.audit")
    assert vars(record)["who"] == SUBJECT
    assert record.getMessage() == f"user 1 added by {SUBJECT}"


# The forgeries: a function for each, which returns a token that must be refused.


def encode_part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: bytes = b"") -> str:
    return ".".join(map(encode_part, (header, claims, signature)))


def hmac_signed(provider: IdentityProvider, key: bytes, key_id: str) -> str:
    """Sign with HMAC: PyJWT refuses to use a public key as the secret."""
    header = {"alg": "HS256", "kid": key_id}
    text = f"{encode_part(header)}.{encode_part(provider.claims())}"
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{text}.{encode_part(algorithm.sign(text.encode(), key))}"


def public_pem(provider: IdentityProvider) -> bytes:
    return (
        provider.keys["rsa"][0]
        .public_key()
        .public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def public_key_as_jwk(provider: IdentityProvider) -> bytes:
    return json.dumps(provider.published[1]).encode()


def signed_by_attacker(
    provider: IdentityProvider, headers: Mapping[str, object], algorithm: str = "ES256"
) -> str:
    key = create_key(algorithm)
    if "jwk" in headers:
        headers = {**headers, "jwk": public_jwk(key, algorithm)}
    return jwt.encode(provider.claims(), key, algorithm, headers=dict(headers))


def with_signature_as_der(provider: IdentityProvider) -> str:
    """Return an ES256 token whose signature has the format of X.509."""
    text, _, _ = provider.issue().rpartition(".")
    key = provider.keys["first"][0]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return f"{text}.{encode_part(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))}"


def signed_by_pss(provider: IdentityProvider) -> str:
    """Return a token that says RS256 and has a signature of PS256."""
    header = {"alg": "RS256", "kid": "rsa"}
    text = f"{encode_part(header)}.{encode_part(provider.claims())}"
    key = provider.keys["rsa"][0]
    assert isinstance(key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return f"{text}.{encode_part(key.sign(text.encode(), pss, hashes.SHA256()))}"


def signed_unencoded(provider: IdentityProvider) -> str:
    """Return a token with `b64: false` (RFC 7797), whose payload is detached."""
    key, algorithm = provider.keys["first"]
    return jwt.api_jws.encode(
        json.dumps(provider.claims()).encode(),
        key,
        algorithm,
        headers={"kid": "first", "b64": False},
    )


def change_header(token: str, **members: object) -> str:
    """Return the token with members added to its header; the signature is old."""
    header, _, rest = token.partition(".")
    padded = header + "=" * (-len(header) % 4)
    return (
        f"{encode_part(json.loads(base64.urlsafe_b64decode(padded)) | members)}.{rest}"
    )


def change_claims(token: str, claims: object) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{encode_part(claims)}.{signature}"


def in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


Forge = Callable[[IdentityProvider], str]
ATTACKER = "http://127.0.0.1:9/keys"
FORGERIES: dict[str, Forge] = {
    "alg none, no signature": lambda p: unsigned(
        {"alg": "none", "kid": "first"}, p.claims()
    ),
    "alg None, with the old signature": lambda p: change_header(p.issue(), alg="None"),
    "alg missing": lambda p: unsigned({"kid": "first"}, p.claims(), b"x" * 64),
    "alg a list": lambda p: unsigned(
        {"alg": ["ES256"], "kid": "first"}, p.claims(), b"x" * 64
    ),
    "alg HS256, the public key as PEM": lambda p: hmac_signed(p, public_pem(p), "rsa"),
    "alg HS256, the public key as JWK": lambda p: hmac_signed(
        p, public_key_as_jwk(p), "rsa"
    ),
    "alg HS256, empty secret": lambda p: hmac_signed(p, b"", "first"),
    "alg ES256 with the id of an RSA key": lambda p: signed_by_attacker(
        p, {"kid": "rsa"}
    ),
    "alg RS256 with the id of an EC key": lambda p: signed_by_attacker(
        p, {"kid": "first"}, "RS256"
    ),
    "alg RS512 of the provider's RSA key": lambda p: jwt.encode(
        p.claims(), p.keys["rsa"][0], "RS512", headers={"kid": "rsa"}
    ),
    "signature of PS256 as RS256": signed_by_pss,
    "signature of another key": lambda p: signed_by_attacker(p, {"kid": "first"}),
    "signature of another token": lambda p: change_claims(
        p.issue(), p.claims(sub="admin")
    ),
    "signature empty": lambda p: p.issue().rpartition(".")[0] + ".",
    "signature missing": lambda p: p.issue().rpartition(".")[0],
    "signature all zero": lambda p: unsigned(
        {"alg": "ES256", "kid": "first"}, p.claims(), bytes(64)
    ),
    "signature truncated": lambda p: p.issue()[:-10],
    "signature in DER": with_signature_as_der,
    "dots doubled": lambda p: p.issue().replace(".", ".."),
    "dot at the end": lambda p: p.issue() + ".",
    "five parts, as if encrypted": lambda p: p.issue() + ".e30.e30",
    "header not JSON": lambda p: "e30x." + p.issue().partition(".")[2],
    "header a list": lambda p: unsigned([], p.claims(), b"x" * 64),
    "header nested deeply": lambda p: unsigned(b"[" * 3000, {}, b"x" * 64),
    "kid missing": lambda p: signed_by_attacker(p, {}),
    "kid missing, signed by the provider": lambda p: jwt.encode(
        p.claims(), p.keys["first"][0], "ES256"
    ),
    "kid unknown": lambda p: signed_by_attacker(p, {"kid": "unknown"}),
    "kid a path": lambda p: signed_by_attacker(p, {"kid": "../../../../dev/null"}),
    "kid a number": lambda p: unsigned(
        {"alg": "ES256", "kid": 1}, p.claims(), b"x" * 64
    ),
    "kid of a key for encryption": lambda p: p.issue("encryption"),
    "kid of a key for another algorithm": lambda p: p.issue("for-ps256"),
    "kid of a key that must not verify": lambda p: p.issue("for-signing"),
    "kid of an RSA key of 1024 bits": lambda p: p.issue("short"),
    "kid of an RSA key with a huge exponent": lambda p: p.issue("huge-exponent"),
    "kid of a symmetric key": lambda p: hmac_signed(p, b"s" * 32, "symmetric"),
    "jwk of the attacker": lambda p: signed_by_attacker(
        p, {"kid": "first", "jwk": None}
    ),
    "jku of the attacker": lambda p: signed_by_attacker(
        p, {"kid": "attacker", "jku": ATTACKER}
    ),
    "x5u of the attacker": lambda p: signed_by_attacker(
        p, {"kid": "attacker", "x5u": ATTACKER}
    ),
    "crit with an unknown extension": lambda p: p.issue(
        headers={"crit": ["exp2"], "exp2": 1}
    ),
    "crit empty": lambda p: change_header(p.issue(), crit=[]),
    "b64 false, payload detached": signed_unencoded,
    "b64 false, payload included": lambda p: change_header(
        p.issue(), b64=False, crit=["b64"]
    ),
    "aud of another API": lambda p: p.issue(aud="https://other.example.com"),
    "aud that begins with ours": lambda p: p.issue(aud=f"{AUDIENCE}/"),
    "aud list without ours": lambda p: p.issue(aud=["https://other.example.com"]),
    "aud an object": lambda p: p.issue(aud={AUDIENCE: True}),
    "aud missing": lambda p: p.issue(aud=None),
    "iss of another provider": lambda p: p.issue(iss="https://evil.example.com"),
    "iss with a slash at the end": lambda p: p.issue(iss=f"{p.issuer}/"),
    "iss missing": lambda p: p.issue(iss=None),
    "sub missing": lambda p: p.issue(sub=None),
    "sub empty": lambda p: p.issue(sub=""),
    "sub of 256 characters": lambda p: p.issue(sub="a" * 256),
    "sub with a line break": lambda p: p.issue(sub="a\nb"),
    "sub with a lone surrogate": lambda p: p.issue(sub="\ud800"),
    "sub a number": lambda p: jwt.encode(
        p.claims(sub=1), p.keys["first"][0], "ES256", headers={"kid": "first"}
    ),
    "exp in the past": lambda p: p.issue(exp=in_seconds(-61)),
    "exp missing": lambda p: p.issue(exp=None),
    "exp infinite": lambda p: p.issue(exp=float("inf")),
    "exp not a number": lambda p: p.issue(exp=float("nan")),
    "exp a list": lambda p: p.issue(exp=[in_seconds(600)]),
    "nbf in the future": lambda p: p.issue(nbf=in_seconds(90)),
    "claims not an object": lambda p: jwt.api_jws.encode(
        b"[]", p.keys["first"][0], "ES256", headers={"kid": "first"}
    ),
    "claims nested deeply": lambda p: jwt.api_jws.encode(
        b'{"a":' * 900 + b"1" + b"}" * 900,
        p.keys["first"][0],
        "ES256",
        headers={"kid": "first"},
    ),
    "more than 8 KiB": lambda p: p.issue(padding="x" * 8192),
}


def with_huge_exponent(key: PrivateKey) -> rsa.RSAPrivateKey:
    """Return an RSA key with the same primes and a public exponent of 521 bits."""
    assert isinstance(key, rsa.RSAPrivateKey)
    p, q = key.private_numbers().p, key.private_numbers().q
    # A prime, which hardly divides p - 1 or q - 1.
    e = 2**521 - 1
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    )
    return numbers.private_key()


@pytest.fixture(scope="module")
def attacked_provider() -> Iterator[IdentityProvider]:
    """A provider whose key set also contains keys that the service must not use."""
    with IdentityProvider() as running:
        running.add_key("rsa", "RS256")
        running.add_key("encryption", use="enc")
        running.add_key("for-ps256", "RS256", alg="PS256")
        running.add_key("for-signing", key_ops=["sign"])
        running.add_key("short", "RS256")
        key = rsa.generate_private_key(65537, 1024)
        running.keys["short"] = key, "RS256"
        running.published[-1] = public_jwk(key, "RS256", kid="short")
        running.add_key("huge-exponent", "RS256")
        key = with_huge_exponent(running.keys["huge-exponent"][0])
        running.keys["huge-exponent"] = key, "RS256"
        running.published[-1] = public_jwk(key, "RS256", kid="huge-exponent")
        running.published += [
            {"kty": "oct", "kid": "symmetric", "k": encode_part(b"s" * 32)},
            {"kty": "RSA", "kid": "no-modulus", "e": "AQAB"},
            {"kty": "EC", "crv": ["P-256"], "kid": "a-list", "x": "", "y": ""},
            {"kty": "EC", "crv": "P-256", "kid": "not-a-point", "x": "AA", "y": "AA"},
        ]
        running.documents[KEYS_PATH] = {"keys": [*running.published, "no object", None]}
        yield running


@pytest.fixture(scope="module")
def attacked_client(
    create_production_app: CreateProductionApp,
    database_url: str,
    test_database: SQLAlchemy,
    attacked_provider: IdentityProvider,
) -> FlaskClient:
    """A client of one application for all forgeries, so that its caches are used."""
    app = create_production_app(
        DATABASE_URL=database_url,
        OIDC_ISSUER=attacked_provider.issuer,
        OIDC_AUDIENCE=AUDIENCE,
    )
    client = app.test_client()
    for key_id in ("first", "rsa"):
        assert get(client, attacked_provider.issue(key_id)).status_code == 200
    return client


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_token_is_refused(
    attacked_provider: IdentityProvider, attacked_client: FlaskClient, name: str
) -> None:
    """`pytest -s -p no:randomly -k forged` prints the responses as a table."""
    with warnings.catch_warnings():
        # Some forgeries are signed with short keys.
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        token = FORGERIES[name](attacked_provider)
    fetches = attacked_provider.requests.copy()
    for _ in range(2):
        response = get(attacked_client, token)
    print(f"\n| {name} | {response.status_code} | {response.get_json()['message']} |")
    assert_refused(response, EXPIRED if name == "exp in the past" else INVALID)
    assert attacked_provider.requests == fetches


def test_every_changed_byte_of_a_token_is_refused(
    provider: IdentityProvider, client: FlaskClient
) -> None:
    token = provider.issue()
    assert get(client, token).status_code == 200
    for place in range(0, len(token), 5):
        for replacement in {"A", ".", "=", "é"} - {token[place]}:
            changed = token[:place] + replacement + token[place + 1 :]
            assert_refused(get(client, changed))


def test_new_key_is_fetched_and_a_removed_key_stops_working(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.add_key("second", "RS256")
    provider.remove_key("first")
    # A key is looked up at the provider at most once a minute.
    assert_refused(get(client, provider.issue("second")))
    clock.seconds += 61
    assert get(client, provider.issue("second")).status_code == 200
    assert_refused(get(client, provider.issue("first")))
    assert provider.requests[KEYS_PATH] == 2


def test_keys_are_refreshed_every_hour_without_delaying_requests(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.add_key("second")
    provider.remove_key("first")
    provider.answers.clear()
    clock.seconds += 3601
    assert get(client, provider.issue()).status_code == 200
    provider.answers.set()
    wait_until(lambda: get(client, provider.issue()).status_code == 401, timeout=5)
    assert get(client, provider.issue("second")).status_code == 200
    assert provider.requests[KEYS_PATH] == 2


def test_keys_that_nobody_used_for_hours_are_refreshed_first(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.add_key("second")
    provider.remove_key("first")
    clock.seconds += 7201
    assert_refused(get(client, provider.issue()))


def test_cached_keys_work_while_the_provider_is_down(
    provider: IdentityProvider,
    client: FlaskClient,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.stop()
    provider.add_key("second")
    clock.seconds += 7201
    for _ in range(20):
        assert get(client, provider.issue()).status_code == 200
        # The provider may have a key that this service does not know yet.
        assert_unavailable(get(client, provider.issue("second")))
    (record,) = (r for r in caplog.records if r.name == "project.web.oidc.keys")
    assert "check the setting, and that this machine can reach" in record.getMessage()
    assert "remain valid" in record.getMessage()
    provider.start()
    clock.seconds += 61
    assert get(client, provider.issue("second")).status_code == 200


def test_without_keys_tokens_are_answered_with_503_until_the_provider_answers(
    provider: IdentityProvider,
    client: FlaskClient,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.stop()
    for _ in range(20):
        assert_unavailable(get(client, provider.issue()))
    assert get(client, API_TOKEN).status_code == 200
    assert_refused(get(client, "not-an-access-token"))
    (record,) = (r for r in caplog.records if r.name == "project.web.oidc.keys")
    assert "are answered with 503" in record.getMessage()
    provider.start()
    assert_unavailable(get(client, provider.issue()))
    clock.seconds += 6
    assert get(client, provider.issue()).status_code == 200


@pytest.mark.parametrize(
    "path, document, reason",
    [
        (DISCOVERY_PATH, {"issuer": "https://evil.example.com"}, "the issuer in"),
        (DISCOVERY_PATH, [], "is not a JSON object"),
        (DISCOVERY_PATH, b"<html>", "JSONDecodeError"),
        (DISCOVERY_PATH, b"[" * 100_000, "RecursionError"),
        (DISCOVERY_PATH, b"\xff\xfe", "Error"),
        (DISCOVERY_PATH, None, "404"),
        (KEYS_PATH, None, "404"),
        (KEYS_PATH, {"keys": {}}, "contains no list of keys"),
        (KEYS_PATH, {}, "contains no list of keys"),
        (KEYS_PATH, {"keys": []}, "publishes no key for ES256, EdDSA, RS256"),
        (KEYS_PATH, b" " * 300_000, "exceeds 262144 bytes"),
    ],
    ids=str,
)
def test_invalid_answer_of_the_provider_returns_503(
    provider: IdentityProvider,
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    document: object,
    reason: str,
) -> None:
    provider.documents[path] = document
    assert_unavailable(get(client, provider.issue()))
    (record,) = (r for r in caplog.records if r.name == "project.web.oidc.keys")
    assert reason in record.getMessage()


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "http://192.0.2.1/keys", "ftp://127.0.0.1/keys", "keys", 1],
)
def test_keys_are_fetched_by_https_only(
    provider: IdentityProvider,
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    url: object,
) -> None:
    provider.documents[DISCOVERY_PATH] = {"issuer": provider.issuer, "jwks_uri": url}
    assert_unavailable(get(client, provider.issue()))
    assert "is not an HTTPS URL" in caplog.text


@pytest.mark.parametrize(
    "target", ["https://127.0.0.1:9/", "http://192.0.2.1/keys", "file:///etc/passwd"]
)
def test_redirect_to_another_scheme_is_not_followed(
    provider: IdentityProvider,
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    target: str,
) -> None:
    provider.redirects[KEYS_PATH] = target
    assert_unavailable(get(client, provider.issue()))
    # urllib itself refuses `file:`.
    assert re.search("redirects to another scheme|Redirection to url", caplog.text)


@pytest.mark.parametrize("trusted, status", [(True, 200), (False, 503)])
def test_certificate_of_the_provider_is_verified(
    create_production_app: CreateProductionApp,
    database_url: str,
    empty_database: SQLAlchemy,
    https_provider: IdentityProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trusted: bool,
    status: int,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(https_provider.certificate))
    client = create_production_app(
        DATABASE_URL=database_url,
        OIDC_ISSUER=https_provider.issuer,
        OIDC_AUDIENCE=AUDIENCE,
    ).test_client()
    assert get(client, https_provider.issue()).status_code == status
    assert ("CERTIFICATE_VERIFY_FAILED" in caplog.text) is not trusted


def test_redirect_to_the_same_scheme_is_followed(
    provider: IdentityProvider, client: FlaskClient
) -> None:
    provider.redirects[KEYS_PATH] = f"{provider.issuer}/moved"
    provider.documents["/moved"] = provider.document(KEYS_PATH)
    assert get(client, provider.issue()).status_code == 200


def test_invalid_answer_keeps_the_cached_keys(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.documents[KEYS_PATH] = b"<html>"
    clock.seconds += 7201
    assert get(client, provider.issue()).status_code == 200
    assert provider.requests[KEYS_PATH] == 2


def test_provider_that_removes_all_keys_locks_everybody_out(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.remove_key("first")
    clock.seconds += 7201
    assert_unavailable(get(client, provider.issue()))


def test_random_key_ids_cause_at_most_one_fetch_a_minute(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    clock.seconds += 61

    def attack(_: int) -> int:
        token = signed_by_attacker(provider, {"kid": str(uuid4())})
        return get(client, token).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(attack, range(50))) == {401}
    assert provider.requests == {DISCOVERY_PATH: 2, KEYS_PATH: 2}


def test_token_of_another_algorithm_causes_no_fetch(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    clock.seconds += 61
    for header in ({"alg": "none", "kid": "x"}, {"alg": "HS256", "kid": "x"}):
        assert_refused(get(client, unsigned(header, provider.claims(), b"x" * 32)))
    assert provider.requests[DISCOVERY_PATH] == 1


def test_concurrent_first_requests_cause_one_fetch(
    provider: IdentityProvider, client: FlaskClient
) -> None:
    provider.delay = 0.2
    token = provider.issue()
    with ThreadPoolExecutor(8) as pool:
        responses = pool.map(lambda _: get(client, token).status_code, range(16))
        assert set(responses) == {200}
    assert provider.requests == {DISCOVERY_PATH: 1, KEYS_PATH: 1}


def test_known_key_does_not_wait_for_an_unknown_one(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    assert get(client, provider.issue()).status_code == 200
    provider.answers.clear()
    clock.seconds += 61
    unknown = signed_by_attacker(provider, {"kid": "unknown"})
    thread = threading.Thread(target=get, args=[client, unknown])
    thread.start()
    wait_until(lambda: provider.requests[DISCOVERY_PATH] == 2, timeout=5)
    assert get(client, provider.issue()).status_code == 200
    assert thread.is_alive()
    provider.answers.set()
    thread.join()


def set_timeouts(monkeypatch: pytest.MonkeyPatch, fetch: float, wait: float) -> None:
    monkeypatch.setattr(provider_module, "FETCH_TIMEOUT", fetch)
    monkeypatch.setattr(keys, "WAIT_TIMEOUT", wait)


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    set_timeouts(monkeypatch, 0.2, 0.3)


def test_request_does_not_wait_for_a_provider_that_does_not_answer(
    provider: IdentityProvider, client: FlaskClient, short_timeouts: None
) -> None:
    provider.answers.clear()
    for _ in range(2):
        assert_unavailable(get(client, provider.issue()))
    assert provider.requests == {DISCOVERY_PATH: 1}
    provider.answers.set()


def test_request_does_not_wait_for_a_slow_body(
    provider: IdentityProvider, client: FlaskClient, short_timeouts: None
) -> None:
    provider.byte_delay = 0.1
    assert_unavailable(get(client, provider.issue()))


def test_response_whose_head_does_not_end_counts_as_a_failure(
    provider: IdentityProvider,
    client: FlaskClient,
    clock: Clock,
    short_timeouts: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.head_byte_delay = 0.1
    assert_unavailable(get(client, provider.issue()))
    clock.seconds += 1
    for _ in range(3):
        assert_unavailable(get(client, provider.issue()))
    assert "no answer within 0.6 seconds" in caplog.text
    provider.head_byte_delay = 0
    clock.seconds += 6
    # On a busy machine the response may take longer than the short time-outs.
    set_timeouts(monkeypatch, 20, 20)
    assert get(client, provider.issue()).status_code == 200


def test_verified_token_is_cached_for_at_most_a_minute(
    provider: IdentityProvider,
    client: FlaskClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = provider.issue()
    assert get(client, token).status_code == 200

    def fail(token: str) -> None:
        raise AssertionError("verified again")

    with monkeypatch.context() as patch:
        patch.setattr(jwt, "decode", fail)
        assert get(client, token).status_code == 200
    provider.add_key("second")
    provider.remove_key("first")
    clock.seconds += 59
    assert get(client, token).status_code == 200
    clock.seconds += 2 + 7200
    assert_refused(get(client, token))


@pytest.mark.waiting
def test_verified_token_is_not_cached_beyond_its_expiry(
    provider: IdentityProvider, client: FlaskClient, clock: Clock
) -> None:
    token = provider.issue(exp=in_seconds(-57))
    assert get(client, token).status_code == 200
    wait_until(lambda: get(client, token).status_code == 401, timeout=5)
    assert_refused(get(client, token), EXPIRED)


def test_cache_of_verified_tokens_is_bounded(
    provider: IdentityProvider,
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "MAX_VERIFIED", 3)
    issued = [provider.issue(jti=str(number)) for number in range(5)]
    for token in issued * 2:
        assert get(client, token).status_code == 200
    verifier = app.extensions["access_token_verifier"]
    assert len(verifier.verified) == 3


def test_tokens_are_not_logged(
    provider: IdentityProvider, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [provider.issue(), provider.issue(aud="other"), provider.issue() + "A"]
    for token in tokens:
        get(client, token)
    assert "InvalidAudienceError" in caplog.text
    assert not any(part in caplog.text for t in tokens for part in t.split("."))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"OIDC_ISSUER": "https://a.example.com"}, "set both"),
        ({"OIDC_AUDIENCE": "users"}, "set both"),
        ({"OIDC_ISSUER": "http://a.example.com", "OIDC_AUDIENCE": "users"}, "http://"),
        ({"OIDC_ISSUER": "a.example.com", "OIDC_AUDIENCE": "users"}, "such as https"),
        (
            {
                "OIDC_ISSUER": f"https://a.example.com{DISCOVERY_PATH}",
                "OIDC_AUDIENCE": "users",
            },
            "without /.well-known/",
        ),
        (
            {"OIDC_ISSUER": "https://a.example.com", "OIDC_AUDIENCE": "a b"},
            "one identifier",
        ),
        (
            {"OIDC_ISSUER": "https://a.example.com/?a=b", "OIDC_AUDIENCE": "users"},
            "and a query",
        ),
    ],
)
def test_invalid_settings_stop_the_start_with_the_remedy(
    settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        create_app(type("Settings", (ProductionConfig,), settings))


@pytest.mark.subprocess
def test_service_without_a_provider_loads_no_library_for_it() -> None:
    check = f"import manage, sys; assert not {OIDC_LIBRARIES}.intersection(sys.modules)"
    variables = {
        "APP_SETTINGS": "project.config.ProductionConfig",
        "API_TOKENS": API_TOKEN,
    }
    subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env=clean_environment() | variables,
        check=True,
    )


def test_document_describes_scopes_if_a_provider_is_configured(
    client: FlaskClient, provider: IdentityProvider
) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    headers = {"Authorization": f"Bearer {provider.issue(scope='')}"}
    for method, path in (("get", "/users"), ("get", "/users/{user_id}")) + (
        ("post", "/users"),
        ("delete", "/users/{user_id}"),
    ):
        responses = paths[path][method]["responses"]
        examples = responses["403"]["content"]["application/json"]["examples"]
        response = client.open(path.format(user_id=1), method=method, headers=headers)
        assert response.status_code == 403
        assert response.get_json() == examples["scope"]["value"]


def start_one_worker(
    database_url: str, provider: IdentityProvider
) -> AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]:
    """Start gunicorn with one worker, because each worker fetches the keys."""
    return start_gunicorn(
        database_url,
        WEB_CONCURRENCY="1",
        OIDC_ISSUER=provider.issuer,
        OIDC_AUDIENCE=AUDIENCE,
        SSL_CERT_FILE=str(provider.certificate),
    )


@pytest.mark.server
def test_gunicorn_follows_rotation_and_survives_the_loss_of_the_provider(
    https_provider: IdentityProvider, database_url: str, empty_database: SQLAlchemy
) -> None:
    provider = https_provider

    def status(url: str, token: str) -> int:
        return send(f"{url}/users", Authorization=f"Bearer {token}").status

    with start_one_worker(database_url, provider) as (url, _):
        assert status(url, provider.issue()) == 200
        assert provider.requests == {DISCOVERY_PATH: 1, KEYS_PATH: 1}
        forged = [
            signed_by_attacker(provider, {"kid": str(number)}) for number in range(50)
        ]
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda token: status(url, token), forged)) == {401}
        assert provider.requests == {DISCOVERY_PATH: 1, KEYS_PATH: 1}
        provider.stop()
        assert status(url, provider.issue(jti="new")) == 200
        provider.start()
        provider.add_key("second", "RS256")
    with start_one_worker(database_url, provider) as (url, _):
        provider.delay = 1
        with ThreadPoolExecutor(8) as pool:
            ids = ["first", "second"] * 4
            tokens = [provider.issue(key_id) for key_id in ids]
            assert set(pool.map(lambda token: status(url, token), tokens)) == {200}
        # All requests waited for one fetch of two documents.
        assert provider.requests == {DISCOVERY_PATH: 2, KEYS_PATH: 2}
    provider.stop()
    with start_one_worker(database_url, provider) as (url, _):
        response = send(f"{url}/users", Authorization=f"Bearer {provider.issue()}")
        assert response.status == 503
        assert response.body["code"] == "identity_provider_unavailable"
