"""The socket of a client, with deadlines and limits."""

import errno
import sys
from contextlib import suppress
from enum import Enum, auto
from fcntl import ioctl
from math import inf
from socket import SHUT_WR
from termios import FIONREAD
from time import monotonic

import gevent
from gevent.socket import socket
from greenlet import greenlet
from gunicorn.http.errors import LimitRequestHeaders, ParseException
from gunicorn.http.message import Request
from werkzeug.exceptions import (
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
)

from project.server.request_queue import RequestQueue

# The maximum size of the request line and all headers in bytes, as in nginx.
MAX_HEAD_BYTES = 32 * 1024
# Bytes per second. The time for a body is CLIENT_TIMEOUT, and one more second for each
# such number of received bytes. Even slow mobile networks are faster.
MIN_RATE = 4 * 1024
# The maximum number of bytes of a body with its framing. It is larger than the maximum
# that is accepted, because a refused body is received and discarded: closing a socket
# with unread data can destroy the response before the client reads it.
MAX_BODY_BYTES = 1024 * 1024
# The maximum number of bytes that are received at once: of a body with a known size, or
# else of a head or of chunks. gunicorn's time for small chunks is quadratic in it.
BODY_BLOCK = 64 * 1024
CHUNK_BLOCK = 2 * 1024
# gunicorn passes it to `recv` if it does not know the size.
UNKNOWN_SIZE = 8192
# A part of a request that arrives in more packets of less than CHUNK_BLOCK bytes is
# read at intervals, in seconds, and the packets of an interval are processed together.
# Single bytes would otherwise use much CPU time: the parser starts anew with each.
MAX_SMALL_PACKETS = 16
SMALL_PACKET_INTERVAL = 0.05
# Seconds for which the data after an invalid request is discarded.
LINGER_SECONDS = 2


class Awaited(Enum):
    """What the server receives next."""

    REQUEST = auto()
    HEAD = auto()
    BODY = auto()
    NOTHING = auto()


class ClientSocket(socket):
    """The socket of a client, on which gunicorn calls `recv` and `sendall`.

    Both set `waits_until`. The worker regularly compares it with the clock and calls
    `time_out`, which costs less than a timer for each call.

    Args:
        accepted: the socket as the server accepted it; it is detached.
        timeout: see CLIENT_TIMEOUT.
        idle_timeout: how long to wait for the first request, in seconds.
        queue: where the requests wait before they start.

    Attributes:
        awaited: what `recv` receives next.
        deadline: the end of the time for it, in seconds of the monotonic clock.
        received_bytes: how much of it was received.
        small_packets: in how many packets of less than CHUNK_BLOCK it arrived.
        expects_head: whether `sendall` gets the head of a response next.
        head: the head of a response that was not sent yet.
        waits_until: when the current call times out, on the monotonic clock.
        failure: why the client was disconnected, for the log.
    """

    def __init__(
        self,
        accepted: socket,
        timeout: float,
        idle_timeout: float,
        queue: RequestQueue,
    ) -> None:
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, protocol, fileno=accepted.detach())
        self.client_timeout = timeout
        self.queue = queue
        self.greenlet: greenlet = gevent.getcurrent()
        self.readable = gevent.get_hub().loop.io(self.fileno(), 1)
        self.request: Request | None = None
        self.expects_head = False
        self.head = b""
        self.failure: str | None = None
        self.waits_until = inf
        self.wait_for(Awaited.REQUEST, idle_timeout)

    def close(self) -> None:
        """Close the socket."""
        self.readable.close()
        super().close()

    def wait_for(self, awaited: Awaited, seconds: float) -> None:
        """Set what is received next, and the time for it."""
        self.awaited = awaited
        self.deadline = monotonic() + seconds
        self.received_bytes = 0
        self.small_packets = 0

    def start_request(self, request: Request) -> None:
        """Prepare for the body and the response of a request after its head."""
        if self.awaited is Awaited.REQUEST:
            # The head arrived together with the previous request.
            self.queue.add(self.greenlet)
            self.queue.wait()
        self.request = request
        self.expects_head = True
        self.wait_for(Awaited.BODY, self.client_timeout)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive data, after the other clients that have sent data were served.

        Returns:
            Empty bytes if the client has closed the connection, has not sent the next
            request in time, or has sent data without end after an invalid request.

        Raises:
            LimitRequestHeaders: the head is larger than MAX_HEAD_BYTES.
            RequestEntityTooLarge: the body is larger than MAX_BODY_BYTES.
            RequestTimeout: the head or the body has not arrived in time.
        """
        self.check_size()
        size = min(size, BODY_BLOCK) if size > UNKNOWN_SIZE else CHUNK_BLOCK
        self.waits_until = self.deadline
        try:
            if self.small_packets > MAX_SMALL_PACKETS:
                gevent.sleep(SMALL_PACKET_INTERVAL)
            self.readable.start(self.join_queue)
            self.queue.wait()
            data = super().recv(size, flags)
        except TimeoutError:
            return self.end_wait()
        finally:
            self.readable.stop()
            self.waits_until = inf
        if self.awaited is Awaited.REQUEST:
            self.wait_for(Awaited.HEAD, self.client_timeout)
        elif self.awaited is Awaited.BODY:
            self.deadline += len(data) / MIN_RATE
        self.received_bytes += len(data)
        self.small_packets += len(data) < CHUNK_BLOCK
        return data

    def join_queue(self) -> None:
        """Let the greenlet continue in its turn; called when the socket is readable.

        The time that it waits in the queue does not count.
        """
        self.readable.stop()
        self.waits_until = inf
        self.queue.add(self.greenlet)

    def check_size(self) -> None:
        """Raise the errors of `recv` for parts of a request that are too large."""
        if self.awaited is Awaited.HEAD and self.received_bytes >= MAX_HEAD_BYTES:
            raise LimitRequestHeaders(
                f"The head of the request exceeds {MAX_HEAD_BYTES} bytes."
            )
        if self.awaited is Awaited.BODY and self.received_bytes >= MAX_BODY_BYTES:
            self.failure = f"sent a body of more than {MAX_BODY_BYTES} bytes"
            self.close_after_response()
            raise RequestEntityTooLarge()

    def close_after_response(self) -> None:
        """Let gunicorn add `Connection: close` to a response that has not begun."""
        if self.request:
            self.request.force_close()

    def end_wait(self) -> bytes:
        """Handle a passed deadline as `recv` documents it."""
        if self.awaited in (Awaited.REQUEST, Awaited.NOTHING):
            return b""
        part = self.awaited.name.lower()
        self.failure = self.failure or f"did not send the {part} of a request in time"
        self.close_after_response()
        raise RequestTimeout(
            f"The {part} of the request did not arrive in time: send it within"
            f" {self.client_timeout:g} seconds."
        )

    def end_keepalive(self) -> None:
        """Let the wait for the next request time out."""
        if self.awaited is Awaited.REQUEST and self.waits_until < inf:
            self.waits_until = 0

    def time_out(self) -> None:
        """Raise TimeoutError in the greenlet if its deadline has passed.

        The event loop calls this while no greenlet runs. If the data of a request waits
        in the socket, the request is served.
        """
        if monotonic() < self.waits_until:
            return
        if self.awaited is not Awaited.REQUEST or not self.pending_bytes():
            self.greenlet.throw(TimeoutError())

    def pending_bytes(self) -> int:
        """Return the number of received bytes that have not been read yet."""
        return int.from_bytes(ioctl(self.fileno(), FIONREAD, bytes(4)), sys.byteorder)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Send data, except the head of a response: its body or `flush` sends it.

        gunicorn passes the head and the body separately. Sending them together saves a
        system call and a packet. See `send` for the errors.
        """
        if self.expects_head:
            self.expects_head = False
            self.head = data
            return
        if self.head:
            data = self.head + data
            self.head = b""
        unsent = memoryview(data)
        while unsent:
            unsent = unsent[self.send(unsent, flags) :]

    def send(  # type: ignore[override]
        self, data: bytes | memoryview, flags: int = 0
    ) -> int:
        """Send some of the data, and return how many bytes were sent.

        If the client does not read, the kernel accepts more when a third of its buffer
        is free.

        Raises:
            ConnectionResetError: the client has not read enough in CLIENT_TIMEOUT.
        """
        self.waits_until = monotonic() + self.client_timeout
        try:
            return super().send(data, flags)
        except TimeoutError as error:
            self.failure = "did not read a response in time"
            raise ConnectionResetError(errno.ECONNRESET, self.failure) from error
        finally:
            self.waits_until = inf

    def flush(self) -> None:
        """Send the head of a response that has no body."""
        self.expects_head = False
        if self.head:
            self.sendall(b"")

    def discard_body(self, request: Request) -> bool:
        """Receive what the application has not read of a request body.

        Returns:
            Whether that was the rest, so that the next request can follow.
        """
        if self.fileno() < 0:
            # The response failed, and gunicorn has closed the socket.
            return False
        self.wait_for(Awaited.BODY, self.client_timeout)
        with suppress(ParseException, HTTPException, OSError):
            while request.body.read(BODY_BLOCK):
                pass
            return not request.body.failed
        return False

    def linger(self) -> None:
        """Discard what the client sends until it closes the connection."""
        self.wait_for(Awaited.NOTHING, LINGER_SECONDS)
        with suppress(OSError):
            self.shutdown(SHUT_WR)
            while self.received_bytes < MAX_BODY_BYTES and self.recv(BODY_BLOCK):
                pass
