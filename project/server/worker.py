"""gunicorn's gevent worker with a graceful stop, limits and JSON error responses."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import chain
from socket import SHUT_WR, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from ssl import SSLError
from time import monotonic
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import socket
from gunicorn.http import errors
from gunicorn.http.message import Request
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from project.config import Settings
from project.server.connection import BODY_BLOCK, Awaited, ClientSocket
from project.server.refusals import RefusalLog
from project.server.request_queue import RequestQueue
from project.web.error_codes import ErrorCode
from project.web.errors import INTERNAL_ERROR, RETRY_AFTER, error_response

# Seconds that idle connections stay open after SIGTERM. A client that uses its
# connection in this time is answered with `Connection: close`.
DRAIN_SECONDS = 2
# The interval at which the deadlines of the clients are checked.
CHECK_SECONDS = 0.5
# New connections per round of the event loop: few, so that the workers share the queue
# of new clients, but not one, so that the queue does not last as many rounds.
MAX_ACCEPT = 4
# The size of the kernel's buffers for a connection in bytes; Linux doubles it. By
# default they grow to several megabytes if a client does not read its responses.
BUFFER_SIZE = 128 * 1024

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
CLIENT_ERRORS = (errors.ParseException, SSLError, HTTPException)
# Subclasses of ParseException that are the application's fault.
RESPONSE_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


def describe_refusal(error: Exception) -> tuple[int, str]:
    """Return the status and the message for one of CLIENT_ERRORS."""
    if isinstance(error, HTTPException):
        return error.code or 400, error.description or ""
    statuses = (ERROR_STATUS[c] for c in ERROR_STATUS if isinstance(error, c))
    return next(statuses, 400), str(error)


class DrainingServer(StreamServer):
    """Drains the accept queue before it closes the listening socket."""

    def close(self) -> None:
        """Handle the connections of the accept queue, then close the socket.

        Closing alone would reset them, although their requests may have been sent.
        """
        if not self.closed:
            # OSError: there are too many open files.
            with suppress(OSError):
                while connection := self.do_read():
                    self.do_handle(*connection)
            # Without delay, before more connections are queued.
            self.socket.close()
        super().close()


class DrainingWorker(GeventWorker):
    """Serves each connection in a greenlet; closes idle ones soon after SIGTERM.

    gunicorn's own worker waits for the idle connections of a proxy until
    `graceful_timeout`, and then aborts the requests that they carry. It has no
    deadlines and limits for clients; see `project.server.connection`.

    Attributes:
        settings: set by `ServerHooks.post_fork`.
    """

    settings: Settings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusals = RefusalLog()
        # The connections of each client, by its IP address.
        self.clients: defaultdict[str, set[ClientSocket]] = defaultdict(set)

    def run(self) -> None:
        """Serve until the worker is stopped."""
        self.queue = RequestQueue()
        gevent.spawn(self.check_deadlines)
        super().run()

    def server_class(self, listener: socket, spawn: Pool, **_: Any) -> StreamServer:
        """Create the server of a listening socket; called by `run`."""
        for option in (SO_RCVBUF, SO_SNDBUF):
            # The sockets of the clients inherit the size.
            listener.setsockopt(SOL_SOCKET, option, BUFFER_SIZE)
        server = DrainingServer(listener, partial(self.handle, listener), spawn=spawn)
        server.max_accept = MAX_ACCEPT
        return server

    @property
    def idle_timeout(self) -> float:
        """How long a connection waits for its next request, in seconds."""
        return self.cfg.keepalive if self.alive else DRAIN_SECONDS

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Set no timeout around the parser: `ClientSocket` has the deadlines."""
        return nullcontext()

    def handle(self, listener: socket, accepted: socket, address: Any) -> None:
        """Serve a connection.

        The base class calls `listener.getsockname()`. While the worker drains, the
        listener is closed, so the client's socket is passed instead.
        """
        ip = address[0] if address else ""
        timeout = self.settings.CLIENT_TIMEOUT
        client = ClientSocket(accepted, timeout, self.idle_timeout, self.queue)
        if self.is_full(ip):
            self.refuse(client, ip)
            return
        self.clients[ip].add(client)
        try:
            super().handle(client, client, address)
        finally:
            self.clients[ip].remove(client)
            if not self.clients[ip]:
                del self.clients[ip]
        self.log_failure(client, ip)

    def log_failure(self, client: ClientSocket, ip: str) -> None:
        """Log why a client was disconnected, if it was."""
        if client.failure:
            self.refusals.add(client.failure, ip)
            client.failure = None

    def is_full(self, ip: str) -> bool:
        """Return whether a client has as many connections as it may have.

        The limit does not apply to proxies and to Unix sockets, whose connections
        belong to many clients.
        """
        if not ip or self.settings.TRUSTED_PROXIES:
            return False
        connections = len(self.clients.get(ip, ()))
        return connections >= self.settings.MAX_CONNECTIONS_PER_ADDRESS

    def refuse(self, client: ClientSocket, ip: str) -> None:
        """Answer a connection that exceeds the client's limit, and close it."""
        limit = self.settings.MAX_CONNECTIONS_PER_ADDRESS
        reason = f"has {limit} connections already: see MAX_CONNECTIONS_PER_ADDRESS"
        self.refusals.add(reason, ip)
        self.respond(
            client,
            503,
            "Too many connections from your address: close some, then try again.",
            {"Retry-After": str(RETRY_AFTER)},
            ErrorCode.TOO_MANY_CONNECTIONS,
        )
        with suppress(OSError):
            client.shutdown(SHUT_WR)
            # Unread data would destroy the response; see MAX_BODY_BYTES.
            if client.pending_bytes():
                client.recv(BODY_BLOCK)
        client.close()

    def handle_request(
        self, listener_name: Any, req: Request, sock: ClientSocket, addr: Any
    ) -> None:
        """Serve a request, then discard what remains of its body.

        Raises:
            RequestEntityTooLarge: see `check_expectation`.
            StopIteration: the connection has to be closed.
        """
        sock.start_request(req)
        self.check_expectation(req)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            with suppress(OSError):
                sock.flush()
                sock.shutdown(SHUT_WR)
            sock.discard_body(req)
            raise
        sock.flush()
        if not sock.discard_body(req):
            sock.linger()
            raise StopIteration
        sock.wait_for(Awaited.REQUEST, self.idle_timeout)

    def check_expectation(self, req: Request) -> None:
        """Check the size of a body that the client sends after `100 Continue` only.

        gunicorn sends `100 Continue` before it calls the application.

        Raises:
            RequestEntityTooLarge: the application will refuse the body.
        """
        headers = dict(req.headers)
        if "EXPECT" in headers:
            limit = self.wsgi.config["MAX_CONTENT_LENGTH"]
            if int(headers.get("CONTENT-LENGTH", 0)) > limit:
                raise RequestEntityTooLarge()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Start the graceful stop on SIGTERM."""
        super().handle_exit(sig, frame)
        gevent.spawn(self.close_busy_connections)
        gevent.spawn_later(DRAIN_SECONDS, self.close_idle_connections)

    def close_busy_connections(self) -> None:
        """Add `Connection: close` to the responses that have not begun."""
        for client in self.iter_clients():
            if client.expects_head:
                client.close_after_response()

    def close_idle_connections(self) -> None:
        """End the connections that wait for a request."""
        for client in self.iter_clients():
            client.end_keepalive()

    def check_deadlines(self) -> None:
        """Time out the clients whose deadlines have passed, until the process ends."""
        loop = gevent.get_hub().loop
        while True:
            gevent.sleep(CHECK_SECONDS)
            now = monotonic()
            for client in self.iter_clients():
                if client.waits_until < now:
                    loop.run_callback(client.time_out)

    def iter_clients(self) -> Iterator[ClientSocket]:
        """Iterate over all connections."""
        return chain.from_iterable(self.clients.values())

    def handle_error(
        self, req: Any, client: ClientSocket, addr: Any, exc: BaseException
    ) -> None:
        """Answer a request that gunicorn rejects in the API's JSON shape.

        gunicorn's own response is an HTML page, and no setting replaces it. The log
        does not quote the request, which may contain a token or personal data.
        """
        if isinstance(exc, CLIENT_ERRORS) and not isinstance(exc, RESPONSE_ERRORS):
            status, message = describe_refusal(exc)
            reason = f"sent an invalid request: {type(exc).__name__}"
            client.failure = client.failure or reason
            self.log_failure(client, addr[0] if addr else "")
        else:
            status, message = 500, INTERNAL_ERROR
            self.log.error("Error handling request", exc_info=exc)
        self.respond(client, status, message)
        client.linger()

    def respond(
        self,
        client: ClientSocket,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        code: ErrorCode | None = None,
    ) -> None:
        """Send an error in the API's JSON shape before the connection is closed."""
        headers = {"Connection": "close", **(headers or {})}
        response = error_response(status, message, headers, code)
        head = f"HTTP/1.1 {response.status}\r\n{response.headers}"
        # For example, the client may have closed the connection.
        with suppress(Exception):
            client.sendall(head.encode("latin1") + response.data)
            client.flush()
