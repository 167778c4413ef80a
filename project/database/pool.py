"""A pool of database connections whose waiters are served in order."""

from collections import deque
from threading import Lock, RLock
from typing import Any

from sqlalchemy import exc
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

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


class FifoPool(QueuePool):
    """A QueuePool that gives out connections in the order of the requests.

    It defines the methods that each subclass of Pool defines. SQLAlchemy has no option
    for the order of the waiters.

    Attributes:
        large_results: to be acquired before a connection that reads many rows. Other
            requests then wait for a few of these at most.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.semaphore = FifoSemaphore(self.size())
        self.large_results = FifoSemaphore(max(1, int(self.size() * LARGE_SHARE)))

    def _do_get(self) -> ConnectionPoolEntry:
        self.semaphore.acquire(self.timeout())
        try:
            return super()._do_get()
        except BaseException:
            self.semaphore.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            super()._do_return_conn(record)
        finally:
            self.semaphore.release()
