"""A load generator that records the result of every request."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from uuid import uuid4

RequestKind = Literal["ping", "health", "read", "write"]

# Seconds that a client waits for a response. It exceeds every timeout of the service,
# so that a late response is recorded as late and not as missing.
CLIENT_TIMEOUT = 60
# Seconds that a client of the load generator pauses after each request.
PAUSE = 0.01


@dataclass(frozen=True)
class RequestResult:
    """The result of a request.

    Attributes:
        started_at: in seconds of the monotonic clock.
        seconds: the time until the response was read or the connection failed.
        status: the HTTP status, or None if the connection failed.
        retry_after: the `Retry-After` header.
    """

    kind: RequestKind
    started_at: float
    seconds: float
    status: int | None
    retry_after: str | None

    @property
    def ended_at(self) -> float:
        return self.started_at + self.seconds

    @property
    def succeeded(self) -> bool:
        return self.status in (200, 201)

    def is_allowed(self, max_seconds: float) -> bool:
        """Return whether the service may respond so while a dependency fails.

        It has to respond in time, with success or with 503 and `Retry-After`. `/ping`
        has to succeed.
        """
        if self.seconds > max_seconds:
            return False
        if self.kind != "ping" and self.status == 503:
            return self.retry_after is not None
        return self.succeeded


def connect(url: str) -> http.client.HTTPConnection:
    """Return an HTTP connection, which is opened by its first request."""
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=CLIENT_TIMEOUT)


def send_request(
    connection: http.client.HTTPConnection,
    kind: RequestKind,
    method: str,
    path: str,
    payload: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[RequestResult, Any]:
    """Send a request and return its result and the decoded response.

    A failure closes the connection; the next request opens it again.
    """
    started_at = time.monotonic()
    status, retry_after, document = None, None, None
    try:
        connection.request(
            method,
            path,
            json.dumps(payload) if payload else None,
            ({"Content-Type": "application/json"} if payload else {}) | (headers or {}),
        )
        response = connection.getresponse()
        document = json.loads(response.read())
        status, retry_after = response.status, response.getheader("Retry-After")
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()
    seconds = time.monotonic() - started_at
    return RequestResult(kind, started_at, seconds, status, retry_after), document


def request_page(url: str) -> RequestResult:
    """Request a page of one user on a new connection."""
    with closing(connect(url)) as connection:
        return send_request(connection, "read", "GET", "/users?limit=1")[0]


class LoadClient(threading.Thread):
    """A client that sends one request after the other.

    Args:
        keep_alive: whether all requests use the same connection.

    Attributes:
        added_emails: the addresses of the users whose POST succeeded.
        user_id: the first of these users, which this client renames.
        last_rename: the number in the last username whose PATCH succeeded.
        stale_reads: how many reads that must see it returned an older username.
    """

    def __init__(self, url: str, stop: threading.Event, keep_alive: bool) -> None:
        # The name makes the addresses of this client unique.
        super().__init__(daemon=True, name=uuid4().hex)
        self.connection = connect(url)
        self.keep_alive = keep_alive
        self.stop = stop
        self.results: list[RequestResult] = []
        self.added_emails: set[str] = set()
        self.user_id: int | None = None
        self.last_rename = 0
        self.stale_reads = 0

    def run(self) -> None:
        """Send each kind of request in turn until `stop` is set."""
        for number in count(1):
            for step in (
                partial(self.send, "ping", "GET", "/ping"),
                partial(self.send, "read", "GET", "/users?limit=5"),
                partial(self.add_user, number),
                partial(self.rename_user, number),
                self.read_user,
                partial(self.send, "health", "GET", "/health"),
            ):
                if self.stop.is_set():
                    return
                step()
                time.sleep(PAUSE)

    def send(
        self,
        kind: RequestKind,
        method: str,
        path: str,
        payload: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int | None, Any]:
        """Send and record a request; return the status and the decoded response."""
        result, document = send_request(
            self.connection, kind, method, path, payload, headers
        )
        self.results.append(result)
        if not self.keep_alive:
            self.connection.close()
        return result.status, document

    def add_user(self, number: int) -> None:
        email = f"{self.name}-{number}@example.com"
        payload = {"username": "0", "email": email}
        status, document = self.send("write", "POST", "/users", payload)
        if status == 201:
            self.added_emails.add(email)
            self.user_id = self.user_id or document["data"]["id"]

    def rename_user(self, number: int) -> None:
        """Set the username of this client's user to a number."""
        if self.user_id:
            path, payload = f"/users/{self.user_id}", {"username": str(number)}
            status, _ = self.send("write", "PATCH", path, payload)
            if status == 200:
                self.last_rename = number

    def read_user(self) -> None:
        """Read this client's user. The response must not be older than its writes."""
        if self.user_id:
            headers = {"Read-Consistency": "strong"}
            path = f"/users/{self.user_id}"
            status, document = self.send("read", "GET", path, headers=headers)
            if status == 200:
                username = int(document["data"]["username"])
                self.stale_reads += username < self.last_rename


class LoadGenerator:
    """Several clients that send requests while the context is active.

    Every third of them opens a connection for each request.
    """

    def __init__(self, url: str, clients: int = 12) -> None:
        self.stop = threading.Event()
        self.clients = [
            LoadClient(url, self.stop, keep_alive=number % 3 > 0)
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        for client in self.clients:
            client.join(CLIENT_TIMEOUT + 10)

    @property
    def results(self) -> list[RequestResult]:
        return [result for client in self.clients for result in client.results]

    def count_stale_reads(self) -> int:
        """Return how many reads returned less than their client had written."""
        return sum(client.stale_reads for client in self.clients)

    def count_lost_writes(self, execute: Callable[[str], list[tuple[Any, ...]]]) -> int:
        """Return how many successful writes are missing in the database.

        Args:
            execute: executes a statement and returns its rows.
        """
        rows = execute(
            "SELECT id, email, username FROM users WHERE email NOT LIKE 'filler%'"
        )
        emails = {email for _, email, _ in rows}
        numbers = {user_id: int(username) for user_id, _, username in rows}
        lost_users = sum(len(client.added_emails - emails) for client in self.clients)
        lost_renames = sum(
            numbers.get(client.user_id, -1) < client.last_rename
            for client in self.clients
            if client.user_id
        )
        return lost_users + lost_renames
