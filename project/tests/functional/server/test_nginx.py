"""deploy/nginx.conf in front of the service."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import ROOT, free_port, start_gunicorn
from project.tests.users import user_body

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        not shutil.which("nginx") and "CI" not in os.environ,
        reason="nginx is not installed",
    ),
]

TIMEOUT = 20


class Proxy(NamedTuple):
    """A running nginx.

    Attributes:
        context: trusts its certificate.
        service_log: the log of the service behind it.
    """

    http_port: int
    https_port: int
    context: ssl.SSLContext
    service_log: Path

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        client: str = "127.0.0.1",
    ) -> tuple[int, Any]:
        """Return the status and the document of a response, which has to be JSON.

        Args:
            client: the IP address of the client.
        """
        connection = HTTPSConnection(
            "localhost",
            self.https_port,
            timeout=TIMEOUT,
            context=self.context,
            source_address=(client, 0),
        )
        with closing(connection):
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            assert response.headers["Content-Type"] == "application/json"
            return response.status, json.load(response)


def create_certificate(folder: Path) -> ssl.SSLContext:
    """Create a certificate for localhost; return a context that trusts it."""
    folder.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return ssl.create_default_context(cafile=folder / "certificate.pem")


def wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return socket.create_connection(("localhost", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def proxy(
    test_database: SQLAlchemy,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """nginx in front of one instance, of which it knows another one that is down."""
    folder = tmp_path_factory.mktemp("nginx")
    context = create_certificate(folder / "tls")
    http_port, https_port, unused_port = free_port(), free_port(), free_port()
    with (
        open(folder / "log", "w") as log,
        start_gunicorn(database_url, log, TRUSTED_PROXIES="1", WEB_CONCURRENCY="1") as (
            url,
            _,
        ),
    ):
        instance = "server {} max_fails=1 fail_timeout=2s;"
        configuration = (ROOT / "deploy/nginx.conf").read_text()
        for value, replacement in (
            ("listen 8080;", f"listen {http_port};"),
            ("listen 8443 ssl;", f"listen {https_port} ssl;"),
            (
                instance.format("127.0.0.1:5002"),
                instance.format(f"127.0.0.1:{unused_port}")
                + instance.format(url.removeprefix("http://")),
            ),
        ):
            assert configuration.count(value) == 1
            configuration = configuration.replace(value, replacement)
        (folder / "nginx.conf").write_text(configuration)
        nginx = subprocess.Popen(
            ["nginx", "-p", folder, "-c", "nginx.conf", "-g", "daemon off;"]
        )
        try:
            wait_until_listening(https_port)
            yield Proxy(http_port, https_port, context, folder / "log")
        finally:
            nginx.terminate()
            nginx.wait(TIMEOUT)


def test_requests_reach_the_instance_that_is_up(proxy: Proxy) -> None:
    for _ in range(10):
        status, document = proxy.request("GET", "/ping")
        assert (status, document["message"]) == (200, "pong!")


def test_plain_http_is_redirected(proxy: Proxy) -> None:
    connection = HTTPConnection("localhost", proxy.http_port, timeout=TIMEOUT)
    with closing(connection):
        connection.request("GET", "/users?limit=1")
        response = connection.getresponse()
        assert response.status == 308
        assert response.headers["Location"] == "https://localhost/users?limit=1"


def test_service_sees_the_address_of_the_client(proxy: Proxy) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1"}
    status, _ = proxy.request("GET", "/users", headers=forged, client="127.0.0.9")
    assert status == 200
    log = proxy.service_log.read_text()
    assert '"client":"127.0.0.9"' in log
    assert "192.0.2.1" not in log


def test_link_of_a_page_has_the_scheme_and_the_host_of_the_client(
    proxy: Proxy, empty_database: SQLAlchemy
) -> None:
    for email in ("ada@example.com", "bob@example.com"):
        body = json.dumps(user_body(email=email)).encode()
        headers = {"Content-Type": "application/json"}
        assert proxy.request("POST", "/users", body, headers)[0] == 201
    _, document = proxy.request("GET", "/users?limit=1")
    prefix = f"https://localhost:{proxy.https_port}/users?"
    assert document["data"]["next"].startswith(prefix)


@pytest.mark.parametrize(
    "path, body, headers, status",
    [
        ("/users", b"x" * 70_000, {}, 413),
        ("/users?" + "x" * 9000, None, {}, 414),
        ("/users", None, {"X": "x" * 9000}, 400),
    ],
)
def test_errors_of_nginx_have_the_format_of_the_api(
    proxy: Proxy, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    result = proxy.request("POST", path, body, headers)
    assert result[0] == status
    assert result[1]["status"] == "fail"


def test_upload_of_the_admin_site_may_be_large(proxy: Proxy) -> None:
    """The service has no admin site here, so that its own response is 404."""
    for size, status in ((1_000_000, 404), (11_000_000, 413)):
        assert proxy.request("POST", "/admin/user/import/", b"x" * size)[0] == status


def test_connections_of_a_client_are_limited(proxy: Proxy) -> None:
    """A connection counts from the end of the head of a request to its response."""
    head = (
        b"POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )
    deadline = time.monotonic() + TIMEOUT
    with ExitStack() as stack:
        for _ in range(100):
            plain = socket.create_connection(("127.0.0.1", proxy.https_port), TIMEOUT)
            connection = proxy.context.wrap_socket(plain, server_hostname="localhost")
            stack.enter_context(connection).sendall(head)
        while proxy.request("GET", "/ping")[0] != 429:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert proxy.request("GET", "/ping", client="127.0.0.9")[0] == 200
    while proxy.request("GET", "/ping")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
