"""Connecting to the primary when DATABASE_URL names several servers."""

import random
import time
from math import inf
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection

# A server that is up accepts or refuses a session sooner. One that is down does not
# respond at all.
SLOW_SECONDS = 1
# Between two attempts to connect to a server that is down.
RETRY_SECONDS = 2


def split_hosts(arguments: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the hosts in psycopg2's arguments, each with its port.

    An empty port is libpq's default.
    """
    hosts = arguments.get("host", "").split(",")
    # SQLAlchemy returns the port of a single host as a number.
    ports = str(arguments.get("port", "," * (len(hosts) - 1))).split(",")
    return list(zip(hosts, ports, strict=True))


class Server:
    """One of several servers.

    Attributes:
        next_attempt: if the server is down, when to try it again, in seconds of the
            monotonic clock.
    """

    def __init__(self, host: str, port: str) -> None:
        self.host = host
        self.port = port
        self.next_attempt: float | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host

    def connect(self, arguments: dict[str, Any]) -> PsycopgConnection:
        """Return a new connection.

        Args:
            arguments: those of `psycopg2.connect`.

        Raises:
            OperationalError: the server refused the session, or it is down.
        """
        started_at = time.monotonic()
        if self.next_attempt is not None:
            if started_at < self.next_attempt:
                raise psycopg2.OperationalError("did not respond a moment ago")
            # Until this session has succeeded or failed, it alone waits for the server.
            self.next_attempt = inf
        address = {"host": self.host, "port": self.port}
        try:
            connection: PsycopgConnection = psycopg2.connect(**arguments | address)
        except BaseException:
            # A greenlet that is killed, too, must let the others try again.
            ended_at = time.monotonic()
            is_down = ended_at - started_at > SLOW_SECONDS
            self.next_attempt = ended_at + RETRY_SECONDS if is_down else None
            raise
        self.next_attempt = None
        return connection


class MultihostConnector:
    """Connects to the first of several servers that accepts the session.

    libpq has this function, too. But while psycopg2 waits cooperatively, libpq does not
    apply its timeout to each server, so a server that does not respond would hide the
    ones after it.

    Args:
        arguments: those of `psycopg2.connect`. The host that accepted the last session
            is tried first; with `load_balance_hosts=random`, any of them.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.servers = [Server(host, port) for host, port in split_hosts(arguments)]

    def __call__(self) -> PsycopgConnection:
        """Return a new connection.

        Raises:
            OperationalError: no server accepts the session; the message contains the
                reason of each.
        """
        servers = list(self.servers)
        if self.arguments.get("load_balance_hosts") == "random":
            random.shuffle(servers)
        reasons = []
        for server in servers:
            try:
                connection = server.connect(self.arguments)
            except psycopg2.OperationalError as error:
                reason = str(error).split("\n")[0]
                reasons.append(f"{server}: {reason}")
            else:
                # The others keep their order.
                self.servers = sorted(servers, key=lambda other: other is not server)
                return connection
        raise psycopg2.OperationalError("; ".join(reasons))
