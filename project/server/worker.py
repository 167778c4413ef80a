"""gunicorn's gevent worker with a graceful stop and JSON error responses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from functools import partial
from ssl import SSLError
from termios import FIONREAD
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import socket
from greenlet import greenlet
from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from project.web.responses import json_response

# Seconds that idle connections stay open after SIGTERM. A client that uses its
# connection in this time is answered with `Connection: close`.
DRAIN_SECONDS = 2

# The status of requests that gunicorn rejects; every other ParseException is 400.
ERROR_STATUS: dict[type[Exception], int] = {
    errors.ForbiddenProxyRequest: 403,
    SSLError: 403,
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.ConfigurationProblem: 500,
    errors.UnsupportedTransferCoding: 501,
}
# Subclasses of ParseException that are the application's fault.
RESPONSE_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


def pending_bytes(client: socket) -> int:
    """Return the number of received bytes that have not been read yet."""
    return int.from_bytes(ioctl(client.fileno(), FIONREAD, bytes(4)), sys.byteorder)


class DrainingServer(StreamServer):
    """Drains the accept queue before it closes the listening socket."""

    def close(self) -> None:
        """Handle the connections of the accept queue, then close the socket.

        Closing alone would reset them, although their requests may have been sent.
        """
        if not self.closed:
            while connection := self.do_read():
                self.do_handle(*connection)
            # Without delay, before more connections are queued.
            self.socket.close()
        super().close()


class DrainingWorker(GeventWorker):
    """Serves each connection in a greenlet; closes idle ones soon after SIGTERM.

    gunicorn's own worker waits for the idle connections of a proxy until
    `graceful_timeout`, and then aborts the requests that they carry.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clients: dict[greenlet, socket] = {}
        self.idle: dict[gevent.Timeout, greenlet] = {}

    def server_class(self, listener: socket, spawn: Pool, **_: Any) -> StreamServer:
        """Create the server of a listening socket; called by `run`."""
        server = DrainingServer(listener, partial(self.handle, listener), spawn=spawn)
        # Accept one connection at a time, so that the workers share the queue.
        server.max_accept = 1
        return server

    def handle(self, listener: socket, client: socket, address: Any) -> None:
        """Serve a connection.

        The base class calls `listener.getsockname()`. While the worker drains, the
        listener is closed, so the client's socket is passed instead.
        """
        current = gevent.getcurrent()
        self.clients[current] = client
        try:
            super().handle(client, client, address)
        finally:
            del self.clients[current]

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Limit the time that a connection waits for its next request."""
        seconds = self.cfg.keepalive if self.alive else DRAIN_SECONDS
        # False: the timeout ends the block without an exception.
        with gevent.Timeout(seconds, False) as timeout:  # type: ignore[arg-type]
            self.idle[timeout] = gevent.getcurrent()
            try:
                yield
            finally:
                del self.idle[timeout]

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Start the graceful stop on SIGTERM."""
        super().handle_exit(sig, frame)
        gevent.spawn_later(DRAIN_SECONDS, self.close_idle_connections)

    def close_idle_connections(self) -> None:
        """End the keep-alive time of every idle connection."""
        for timeout in list(self.idle):
            gevent.get_hub().loop.run_callback(self.end_keepalive, timeout)

    def end_keepalive(self, timeout: gevent.Timeout) -> None:
        """Raise a connection's keep-alive timeout unless a request has arrived."""
        waiting = self.idle.get(timeout)
        if waiting and not pending_bytes(self.clients[waiting]):
            waiting.throw(timeout)

    def handle_error(
        self, req: Any, client: socket, addr: Any, exc: BaseException
    ) -> None:
        """Answer a request that gunicorn rejects in the API's JSON shape.

        gunicorn's own response is an HTML page, and no setting replaces it. The log
        does not quote the request, which may contain a token or personal data.
        """
        client_errors = (errors.ParseException, SSLError)
        if isinstance(exc, client_errors) and not isinstance(exc, RESPONSE_ERRORS):
            statuses = (ERROR_STATUS[c] for c in ERROR_STATUS if isinstance(exc, c))
            status, message = next(statuses, 400), str(exc)
            ip = addr[0] if addr else ""
            self.log.warning("Invalid request from ip=%s: %s", ip, type(exc).__name__)
        else:
            status, message = 500, "Something went wrong on our side."
            self.log.error("Error handling request", exc_info=exc)
        response = json_response(status, message, {"Connection": "close"})
        head = f"HTTP/1.1 {response.status}\r\n{response.headers}"
        try:
            util.write_nonblock(client, head.encode("latin1") + response.data)
        except Exception:  # for example, the client has closed the connection
            self.log.debug("Failed to send the error response", exc_info=True)
