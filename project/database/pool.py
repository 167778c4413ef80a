"""A pool of database connections whose waiters are served in order."""

from collections import deque
from threading import Lock, RLock
from typing import Any

from sqlalchemy import exc
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

# The part of the connections that can read many rows at the same time. PostgreSQL reads
# while Python processes, so two of the default size are as fast as more.
LARGE_SHARE = 0.2


class FifoSemaphore:
    """A semaphore that is acquired in the order of the calls.

    With `threading.Semaphore`, a thread can acquire it before the thread that `release`
    has woken up. Under gevent, busy connections regularly overtake others in this way.
    """

    def __init__(self, value: int) -> None:
        self.value = value
        # Reentrant, because SQLAlchemy returns an abandoned connection to the pool when
        # it is garbage collected, which can happen while this thread holds the lock.
        self.lock = RLock()
        # Each is locked until its turn.
        self.waiters: deque[Lock] = deque()

    def acquire(self, timeout: float) -> None:
        """Wait for at most `timeout` seconds.

        Raises:
            sqlalchemy.exc.TimeoutError: the time has passed.
        """
        with self.lock:
            if self.value:
                self.value -= 1
                return
        waiter = Lock()
        waiter.acquire()
        with self.lock:
            self.waiters.append(waiter)
            self.wake_up()
        acquired = False
        try:
            acquired = waiter.acquire(timeout=timeout)
        finally:
            if not acquired:
                self.stop_waiting(waiter)
        if not acquired:
            raise exc.TimeoutError(f"none became available within {timeout:g} seconds")

    def stop_waiting(self, waiter: Lock) -> None:
        """Remove a waiter, or let the next one continue if it was its turn."""
        with self.lock:
            if waiter in self.waiters:
                self.waiters.remove(waiter)
            else:
                self.release()

    def release(self) -> None:
        """Let the first waiter continue, or the next call of `acquire`."""
        with self.lock:
            self.value += 1
            self.wake_up()

    def wake_up(self) -> None:
        """Let waiters continue. The caller holds the lock."""
        while self.value and self.waiters:
            self.value -= 1
            self.waiters.popleft().release()


class FifoPool(Pool):
    """A pool of connections that are given out in the order of the requests.

    SQLAlchemy's QueuePool has no option for the order of the waiters. It defines the
    methods that each subclass of Pool defines.

    Args:
        pool_size: the maximum number of connections.
        timeout: how long a request waits for a connection, in seconds.

    Attributes:
        large_results: to be acquired before a connection that reads many rows. Other
            requests then wait for a few of these at most.
    """

    def __init__(
        self, creator: Any, pool_size: int = 5, timeout: float = 30, **options: Any
    ) -> None:
        super().__init__(creator, **options)
        self.pool_size = pool_size
        self.timeout = timeout
        self.semaphore = FifoSemaphore(pool_size)
        self.large_results = FifoSemaphore(max(1, int(pool_size * LARGE_SHARE)))
        # The last one was used last, so it is the least likely to be stale.
        self.idle: list[ConnectionPoolEntry] = []

    def recreate(self) -> "FifoPool":
        """Return a new pool with the same options; called by `Engine.dispose`."""
        return FifoPool(
            self._creator,
            self.pool_size,
            self.timeout,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            pre_ping=self._pre_ping,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """Close the idle connections; for those in use, see `Engine.dispose`."""
        while self.idle:
            self.idle.pop().close()

    def discard(self, connection: PoolProxiedConnection, error: Exception) -> None:
        """Close a connection that failed, and replace the others at their next use.

        Connections that were opened since the last failure remain. SQLAlchemy does the
        same for the statements that it executes itself.
        """
        # SQLAlchemy has no public method for it. `Engine.dispose` would also close the
        # connections that were opened since.
        self._invalidate(connection, error)

    def status(self) -> str:
        """Describe the pool in the messages of SQLAlchemy."""
        return f"{self.checkedout()} of {self.pool_size} connections in use"

    def checkedout(self) -> int:
        """Return the number of connections in use."""
        return self.pool_size - self.semaphore.value

    def _do_get(self) -> ConnectionPoolEntry:
        self.semaphore.acquire(self.timeout)
        try:
            return self.idle.pop()
        except IndexError:
            pass
        try:
            return self._create_connection()
        except BaseException:
            self.semaphore.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self.idle.append(record)
        self.semaphore.release()
