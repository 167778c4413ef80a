"""Connections are given out in the order of the requests."""

import threading
from collections.abc import Iterator
from threading import Lock
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, exc, make_url

from project.database.pool import FifoPool, FifoSemaphore
from project.tests.waiting import TIMEOUT, wait_until


def wait_for_waiters(semaphore: FifoSemaphore, number: int) -> None:
    wait_until(lambda: len(semaphore.waiters) >= number)


def test_waiters_acquire_in_the_order_of_their_calls() -> None:
    semaphore = FifoSemaphore(1)
    semaphore.acquire(TIMEOUT)
    order: list[int] = []

    def acquire(number: int) -> None:
        semaphore.acquire(TIMEOUT)
        order.append(number)
        semaphore.release()

    threads = [threading.Thread(target=acquire, args=(n,)) for n in range(10)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_for_waiters(semaphore, number + 1)
    semaphore.release()
    for thread in threads:
        thread.join(TIMEOUT)
    assert order == list(range(10))
    assert semaphore.value == 1


def test_release_is_not_overtaken_by_a_later_call() -> None:
    """The thread that releases acquires again before the waiting thread runs."""
    semaphore = FifoSemaphore(1)
    semaphore.acquire(TIMEOUT)
    waiter = threading.Thread(target=semaphore.acquire, args=(TIMEOUT,))
    waiter.start()
    wait_for_waiters(semaphore, 1)
    semaphore.release()
    with pytest.raises(exc.TimeoutError):
        semaphore.acquire(0.001)
    waiter.join(TIMEOUT)


def test_timeout_leaves_no_waiter() -> None:
    semaphore = FifoSemaphore(1)
    semaphore.acquire(TIMEOUT)
    with pytest.raises(exc.TimeoutError, match="within 0.01 seconds"):
        semaphore.acquire(0.01)
    semaphore.release()
    semaphore.acquire(TIMEOUT)


def test_interrupted_waiter_passes_its_turn_on() -> None:
    semaphore = FifoSemaphore(1)
    semaphore.acquire(TIMEOUT)
    waiter = Lock()
    waiter.acquire()
    semaphore.waiters.append(waiter)
    semaphore.release()
    # The waiter was chosen, and is interrupted before it runs.
    semaphore.stop_waiting(waiter)
    semaphore.acquire(0)


def test_release_during_acquire_does_not_block() -> None:
    """A garbage collection during `acquire` can return another connection."""
    semaphore = FifoSemaphore(0)
    with semaphore.lock:
        semaphore.release()
    semaphore.acquire(0)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine with a pool of two connections."""
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    engine = create_engine(url, poolclass=FifoPool, pool_size=2, pool_timeout=0.05)
    yield engine
    engine.dispose()


def test_pool_raises_timeout_error_if_all_connections_are_in_use(
    engine: Engine,
) -> None:
    for _ in range(2):
        with engine.connect(), engine.connect():
            with pytest.raises(exc.TimeoutError):
                engine.connect()


def test_invalidated_connection_can_be_replaced(engine: Engine) -> None:
    for _ in range(5):
        with engine.connect() as connection:
            connection.invalidate()
    with engine.connect(), engine.connect():
        pass


def test_failed_connect_leaves_room_in_the_pool() -> None:
    engine = create_engine(
        "postgresql+psycopg2://users@localhost:1/users",
        poolclass=FifoPool,
        pool_size=1,
        pool_timeout=0.05,
    )
    for _ in range(3):
        with pytest.raises(exc.OperationalError, match="refused"):
            engine.connect()


def test_connection_is_reused_and_counted_while_it_is_in_use(engine: Engine) -> None:
    pool = engine.pool
    assert isinstance(pool, FifoPool)
    with engine.connect() as connection:
        first = connection.connection.dbapi_connection
        assert pool.checkedout() == 1
        assert pool.status() == "1 of 2 connections in use"
    assert pool.checkedout() == 0
    with engine.connect() as connection:
        assert connection.connection.dbapi_connection is first


def test_disposed_pool_closes_its_connections_and_is_replaced(engine: Engine) -> None:
    with engine.connect() as connection:
        dbapi_connection: Any = connection.connection.dbapi_connection
    old_pool = engine.pool
    engine.dispose()
    assert dbapi_connection.closed
    assert engine.pool is not old_pool
    with engine.connect(), engine.connect(), pytest.raises(exc.TimeoutError):
        engine.connect()
