"""gunicorn's log contains no personal data, at any level and for any input."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn

pytestmark = pytest.mark.server

SECRET = b"ada@example.com"
REQUESTS = [
    b"GET /users/%s HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /users?email=%s HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n",
    b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /admin/user/?search=%s HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /admin/login?next=/%s HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%s HTTP/1.1\r\nHost: a\r\nno header: %s\r\n\r\n",
    b"GET /users HTTP/1.1\r\nHost: a\r\nCookie: remember_token=\xff%s|\xff\r\n\r\n",
    b"GET /admin/ HTTP/1.1\r\nHost: a\r\nCookie: remember_token=\xff%s|\xff\r\n\r\n",
    b"GET /users HTTP/1.1\r\nHost: a\r\nAuthorization: Basic \xe9%s\r\n\r\n",
    b"POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n%s\r\n",
    b"POST /admin/login HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nusername=%s\r\n",
]


def send(url: str, request: bytes) -> int:
    """Send a request on a connection of its own, and return the status."""
    address = urlsplit(url)
    assert address.hostname and address.port
    with socket.create_connection((address.hostname, address.port), 20) as client:
        client.sendall(request.replace(b"%s", SECRET))
        return int(client.recv(1000).split()[1])


def test_no_request_appears_in_the_log_or_causes_a_traceback(
    database_url: str, test_database: SQLAlchemy, tmp_path: Path
) -> None:
    settings = {
        "LOG_LEVEL": "DEBUG",
        "SECRET_KEY": "a secret, long enough",
        "API_TOKENS": "0123456789abcdef",
        "CORS_ORIGINS": "https://a.example",
    }
    with (
        open(tmp_path / "log", "w") as output,
        start_gunicorn(database_url, output, **settings) as (url, _),
    ):
        statuses = [send(url, request) for request in REQUESTS]
    log = (tmp_path / "log").read_text()
    assert max(statuses) < 500
    assert log.count("project.access") >= len(REQUESTS) - 1
    assert SECRET.decode() not in log
    assert "Traceback" not in log
