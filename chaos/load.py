"""Clients that keep asking while something breaks, and remember every answer."""

import http.client
import json
import threading
import time
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit
from uuid import uuid4


@dataclass
class Answer:
    """What became of a request.

    Attributes:
        kind: `ping`, `health`, `read` or `write`.
        began: when it was sent, in seconds of the monotonic clock.
        seconds: how long it took.
        status: the status, or None where the connection broke.
        retry_after: the header, or None.
    """

    kind: str
    began: float
    seconds: float
    status: int | None
    retry_after: str | None

    def promised(self, limit):
        """Tell whether the service may answer so.

        Args:
            limit: the seconds that an answer may take.
        """
        if self.seconds > limit:
            return False
        if self.kind == "ping" or self.status != 503:
            return self.status in (200, 201)
        return self.retry_after is not None


class Client(threading.Thread):
    """One keep-alive connection: pings, reads, adds users and changes its own.

    Args:
        url: the service's URL.
        stop: an Event that ends it.
        pause: seconds to wait after each request.
    """

    def __init__(self, url, stop, pause=0.01):
        # The addresses of its users begin with its name.
        super().__init__(daemon=True, name=uuid4().hex)
        self.address = urlsplit(url).netloc
        self.stop = stop
        self.pause = pause
        self.answers = []
        self.added = set()
        self.connection = None
        # Its own user, and the last change of it that was answered 200.
        self.user_id, self.changed = None, 0

    def run(self):
        """Ask in turn for everything, until it is told to stop."""
        for turn in count(1):
            for step in (self.ping, self.read, self.add, self.change, self.health):
                if self.stop.is_set():
                    return
                step(turn)
                time.sleep(self.pause)

    def ask(self, kind, method, path, body=None):
        """Make a request and remember its answer; return the status and the JSON."""
        began = time.monotonic()
        status, retry_after, data = None, None, {}
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.address, timeout=60)
            self.connection.request(
                method,
                path,
                json.dumps(body) if body else None,
                {"Content-Type": "application/json"} if body else {},
            )
            answer = self.connection.getresponse()
            data = json.loads(answer.read())
            status, retry_after = answer.status, answer.getheader("Retry-After")
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()
            self.connection = None
        seconds = time.monotonic() - began
        self.answers.append(Answer(kind, began, seconds, status, retry_after))
        return status, data

    def ping(self, turn):
        """Ask for a sign of life."""
        self.ask("ping", "GET", "/ping")

    def health(self, turn):
        """Ask how the service is."""
        self.ask("health", "GET", "/health")

    def read(self, turn):
        """Read a page."""
        self.ask("read", "GET", "/users?limit=5")

    def add(self, turn):
        """Add a user."""
        email = f"{self.name}-{turn}@example.com"
        body = {"username": "0", "email": email}
        status, data = self.ask("write", "POST", "/users", body)
        if status == 201:
            self.added.add(email)
            self.user_id = self.user_id or data["data"]["id"]

    def change(self, turn):
        """Number its own user's name."""
        if self.user_id:
            path, body = f"/users/{self.user_id}", {"username": str(turn)}
            if self.ask("write", "PATCH", path, body)[0] == 200:
                self.changed = turn


class Load:
    """Several clients at once, as a context manager.

    Args:
        url: the service's URL.
        clients: how many.
        pause: seconds that each waits after a request.
    """

    def __init__(self, url, clients=12, pause=0.01):
        self.stop = threading.Event()
        self.clients = [Client(url, self.stop, pause) for _ in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for client in self.clients:
            client.join(70)

    @property
    def answers(self):
        """Every answer so far, in the order of their requests."""
        every = [answer for client in self.clients for answer in client.answers]
        return sorted(every, key=lambda answer: answer.began)

    def lost(self, server):
        """Return how many writes were answered with success and are not there.

        Args:
            server: the Postgres that holds the data now.
        """
        rows = server.execute("SELECT id, email, username FROM users")
        there = {email for _, email, _ in rows}
        names = {id: int(name) for id, _, name in rows}
        lost = sum(len(client.added - there) for client in self.clients)
        return lost + sum(
            names.get(client.user_id, -1) < client.changed
            for client in self.clients
            if client.user_id
        )
