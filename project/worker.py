"""gunicorn's gevent worker, with a stop that loses no request."""

import sys
from contextlib import contextmanager
from fcntl import ioctl
from functools import partial
from termios import FIONREAD

import gevent
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

# Seconds that an idle connection stays open after the worker was told to stop: a
# client that uses it meanwhile is answered, and told to close it.
DRAIN = 2


def unread(client):
    """Return how many bytes of a connection wait to be read."""
    return int.from_bytes(ioctl(client.fileno(), FIONREAD, bytes(4)), sys.byteorder)


class Listener(StreamServer):
    """A listening socket that leaves nobody in its queue."""

    def close(self):
        """Take what the kernel has accepted, then stop listening.

        Closing alone would reset these connections, their requests sent already.
        """
        if not self.closed:
            while connection := self.do_read():
                self.do_handle(*connection)
            # At once, before others knock.
            self.socket.close()
        super().close()


class Worker(GeventWorker):
    """A greenlet a connection; SIGTERM ends those that wait for a next request.

    gunicorn's own would let a proxy's idle connections hold it until
    `graceful_timeout`, and then break off whatever they carry.
    """

    def __init__(self, *args, **kwargs):
        """Make a worker without clients yet."""
        super().__init__(*args, **kwargs)
        self.clients = {}
        self.waiting = {}

    def server_class(self, listener, spawn, **_):
        """Return the server of a listening socket, for `run`.

        Args:
            listener: the socket.
            spawn: the pool of its greenlets.
        """
        server = Listener(listener, partial(self.handle, listener), spawn=spawn)
        # The other workers take their share of the queue.
        server.max_accept = 1
        return server

    def handle(self, listener, client, address):
        """Serve a connection.

        Args:
            listener: where it came in; closed, perhaps, once the worker stops, so
                that the connection itself is asked for its address here.
            client: the connection.
            address: the other side's.
        """
        greenlet = gevent.getcurrent()
        self.clients[greenlet] = client
        try:
            super().handle(client, client, address)
        finally:
            del self.clients[greenlet]

    @contextmanager
    def timeout_ctx(self):
        """Bound the wait for a connection's next request."""
        seconds = self.cfg.keepalive if self.alive else DRAIN
        with gevent.Timeout(seconds, False) as timeout:
            self.waiting[timeout] = gevent.getcurrent()
            try:
                yield
            finally:
                del self.waiting[timeout]

    def handle_exit(self, sig, frame):
        """Stop, on SIGTERM."""
        super().handle_exit(sig, frame)
        gevent.spawn_later(DRAIN, self.hang_up)

    def hang_up(self):
        """End the waits that are left, as if their time had run out."""
        for timeout in list(self.waiting):
            gevent.get_hub().loop.run_callback(self.end_wait, timeout)

    def end_wait(self, timeout):
        """End a wait, unless the request has come meanwhile, read or not.

        Args:
            timeout: the wait's, which ends it.
        """
        greenlet = self.waiting.get(timeout)
        if greenlet and not unread(self.clients[greenlet]):
            greenlet.throw(timeout)
