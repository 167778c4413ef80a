"""An OpenID Connect provider on a loopback port, for tests and benchmarks."""

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from devtools.servers import free_port

AUDIENCE = "https://users.example.com"
SUBJECT = "client-7"
SCOPES = "users:read users:write"
DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/keys"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def create_key(algorithm: str) -> PrivateKey:
    """Create a private key for RS256, ES256 or EdDSA."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public_jwk(key: PrivateKey, algorithm: str, **members: object) -> dict[str, Any]:
    """Return the public part of a key as a JSON Web Key with additional members."""
    text = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key())
    return {**json.loads(text), **members}


def write_certificate(path: Path) -> None:
    """Write a certificate for `localhost` that signs itself, and its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private_key = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(pem) + private_key)


def write_slowly(handler: BaseHTTPRequestHandler, data: bytes, delay: float) -> None:
    """Write a response.

    Args:
        delay: seconds before each byte; 0 to write all at once.
    """
    size = 1 if delay else len(data)
    # The client may give up.
    with suppress(OSError):
        for start in range(0, len(data), size):
            time.sleep(delay)
            handler.wfile.write(data[start : start + size])


class IdentityProvider:
    """A context manager, which serves the documents of the provider and issues tokens.

    Args:
        certificate: a file with a certificate for `localhost` and its private key, to
            serve HTTPS.

    Attributes:
        requests: the number of requests by path.
        keys: the private keys by their id; each with its algorithm.
        published: the members of the JSON Web Key Set.
        documents: replaces documents: JSON values, or the bytes of the body, by path.
        redirects: the targets of redirects by path.
        delay: seconds before each response.
        answers: responses wait until this event is set, as it is at first.
        byte_delay: seconds before each byte of a body.
        head_byte_delay: seconds before each byte of a head that does not end.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.port = free_port()
        self.certificate = certificate
        self.issuer = (
            f"https://localhost:{self.port}"
            if certificate
            else f"http://127.0.0.1:{self.port}"
        )
        self.requests: Counter[str] = Counter()
        self.keys: dict[str, tuple[PrivateKey, str]] = {}
        self.published: list[dict[str, Any]] = []
        self.documents: dict[str, object] = {}
        self.redirects: dict[str, str] = {}
        self.delay = 0.0
        self.answers = threading.Event()
        self.answers.set()
        self.byte_delay = 0.0
        self.head_byte_delay = 0.0
        self.server: ThreadingHTTPServer | None = None
        self.add_key("first")

    def add_key(self, key_id: str, algorithm: str = "ES256", **members: object) -> None:
        """Create and publish a key.

        Args:
            members: more members of the JSON Web Key, such as `use`.
        """
        key = create_key(algorithm)
        self.keys[key_id] = key, algorithm
        self.published.append(public_jwk(key, algorithm, kid=key_id, **members))

    def remove_key(self, key_id: str) -> None:
        """Stop publishing a key. Tokens can still be signed with it."""
        self.published = [key for key in self.published if key["kid"] != key_id]

    def claims(self, **changes: object) -> dict[str, Any]:
        """Return the claims of a valid token, with changes; None removes a claim."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "iat": now,
            "exp": now + 600,
            "scope": SCOPES,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def issue(
        self,
        key_id: str = "first",
        headers: Mapping[str, object] | None = None,
        **changes: Any,
    ) -> str:
        """Return a token.

        Args:
            key_id: the key that signs it.
            headers: members of the header of the token.
            changes: see `claims`.
        """
        key, algorithm = self.keys[key_id]
        return jwt.encode(
            self.claims(**changes),
            key,
            algorithm,
            headers={"kid": key_id, **(headers or {})},
        )

    def document(self, path: str) -> object:
        """Return the document at a path, or None."""
        documents = {
            DISCOVERY_PATH: {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}{KEYS_PATH}",
            },
            KEYS_PATH: {"keys": self.published},
            **self.documents,
        }
        return documents.get(path)

    def start(self) -> None:
        """Listen on the port, again after `stop`."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.respond(self)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True
            )
        self.server.daemon_threads = True
        # A slow response must not delay `stop`.
        self.server.block_on_close = False
        threading.Thread(target=self.server.serve_forever, args=[0.02]).start()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        self.requests[handler.path] += 1
        self.answers.wait()
        time.sleep(self.delay)
        if self.head_byte_delay:
            write_slowly(
                handler, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, self.head_byte_delay
            )
            return
        if target := self.redirects.get(handler.path):
            handler.send_response(302)
            handler.send_header("Location", target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        document = self.document(handler.path)
        body = (
            document if isinstance(document, bytes) else json.dumps(document).encode()
        )
        handler.send_response(404 if document is None else 200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        write_slowly(handler, body, self.byte_delay)

    def stop(self) -> None:
        """Close the port."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
