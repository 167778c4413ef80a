"""A server that is down, but whose address still accepts connections."""

import socket
from contextlib import ExitStack, suppress
from typing import Self


class SilentServer:
    """A context manager: accepts TCP connections on the loopback interface only.

    It never responds and closes no connection until its end.
    """

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.listener.setblocking(False)
        self.port = str(self.listener.getsockname()[1])
        self.connections = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def count_connections(self) -> int:
        """Return how many connections have been opened so far."""
        with suppress(BlockingIOError):
            while True:
                self.stack.enter_context(self.listener.accept()[0])
                self.connections += 1
        return self.connections
