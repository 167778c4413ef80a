"""Concurrent reads share statements."""

import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from project.database.data_loader import MAX_STATEMENTS, DataLoader
from project.tests.waiting import TIMEOUT, wait_until


class Reads:
    """A function `read` whose calls wait until the test lets them return.

    Attributes:
        calls: the keys of each call, and what lets it return or fail.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], Future[None]]] = []

    def read(self, keys: list[int]) -> dict[int, str]:
        allowed: Future[None] = Future()
        self.calls.append((keys, allowed))
        allowed.result(TIMEOUT)
        return {key: f"value {key}" for key in keys if key > 0}

    def wait_for(self, number: int) -> None:
        """Wait until `number` calls have begun."""
        wait_until(lambda: len(self.calls) >= number)

    def finish(self, number: int, error: Exception | None = None) -> None:
        """Let a call return, or raise an error."""
        if error:
            self.calls[number][1].set_exception(error)
        else:
            self.calls[number][1].set_result(None)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(50) as pool:
        yield pool


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
def loader(reads: Reads) -> DataLoader[int, str]:
    return DataLoader(reads.read)


def fill_slots(
    loader: DataLoader[int, str], reads: Reads, threads: ThreadPoolExecutor
) -> list[Future[str | None]]:
    """Start as many reads as may run, each of its own number."""
    calls = []
    for number in range(1, MAX_STATEMENTS + 1):
        calls.append(threads.submit(loader.load, number))
        reads.wait_for(number)
    return calls


def join(
    loader: DataLoader[int, str], threads: ThreadPoolExecutor, keys: list[int]
) -> list[Future[str | None]]:
    """Start calls that wait for their turn."""
    calls = [threads.submit(loader.load, key) for key in keys]

    def all_have_joined() -> bool:
        batch = loader.open_batch
        return batch is not None and sorted(batch.keys) == sorted(keys)

    wait_until(all_have_joined)
    return calls


def test_single_call_reads_only_its_key() -> None:
    calls = []

    def read(keys: list[int]) -> dict[int, str]:
        calls.append(keys)
        return {1: "one"}

    loader = DataLoader(read)
    assert loader.load(1) == "one"
    assert loader.load(2) is None
    assert calls == [[1], [2]]


def test_calls_that_wait_share_the_next_statement(
    loader: DataLoader[int, str], reads: Reads, threads: ThreadPoolExecutor
) -> None:
    running = fill_slots(loader, reads, threads)
    waiting = join(loader, threads, list(range(10, 50)))
    assert len(reads.calls) == MAX_STATEMENTS
    reads.finish(0)
    reads.wait_for(MAX_STATEMENTS + 1)
    for number in range(1, MAX_STATEMENTS + 1):
        reads.finish(number)
    assert [call.result(TIMEOUT) for call in running] == [
        f"value {number}" for number in range(1, MAX_STATEMENTS + 1)
    ]
    assert [call.result(TIMEOUT) for call in waiting] == [
        f"value {number}" for number in range(10, 50)
    ]
    assert len(reads.calls) == MAX_STATEMENTS + 1


def test_call_does_not_join_a_statement_that_runs(
    loader: DataLoader[int, str], reads: Reads, threads: ThreadPoolExecutor
) -> None:
    """It would not see what was committed since the statement began."""
    first = threads.submit(loader.load, 1)
    reads.wait_for(1)
    second = threads.submit(loader.load, 1)
    reads.wait_for(2)
    reads.finish(1)
    assert second.result(TIMEOUT) == "value 1"
    assert not first.done()
    reads.finish(0)
    assert first.result(TIMEOUT) == "value 1"


def test_missing_keys_are_none_for_their_calls_only(
    loader: DataLoader[int, str], reads: Reads, threads: ThreadPoolExecutor
) -> None:
    fill_slots(loader, reads, threads)
    missing, found = join(loader, threads, [-1, 7])
    reads.finish(0)
    reads.wait_for(MAX_STATEMENTS + 1)
    for number in range(1, MAX_STATEMENTS + 1):
        reads.finish(number)
    assert missing.result(TIMEOUT) is None
    assert found.result(TIMEOUT) == "value 7"


def test_error_reaches_all_calls_of_its_batch_and_no_others(
    loader: DataLoader[int, str], reads: Reads, threads: ThreadPoolExecutor
) -> None:
    running = fill_slots(loader, reads, threads)
    failing = join(loader, threads, [10, 11, 12])
    reads.finish(0)
    reads.wait_for(MAX_STATEMENTS + 1)
    later = join(loader, threads, [20, 21])
    reads.finish(MAX_STATEMENTS, OSError("the connection is closed"))
    for call in failing:
        with pytest.raises(OSError, match="the connection is closed"):
            call.result(TIMEOUT)
    reads.wait_for(MAX_STATEMENTS + 2)
    for number in (*range(1, MAX_STATEMENTS), MAX_STATEMENTS + 1):
        reads.finish(number)
    assert [call.result(TIMEOUT) for call in (*running, *later)] == [
        *(f"value {number}" for number in range(1, MAX_STATEMENTS + 1)),
        "value 20",
        "value 21",
    ]


def test_traceback_of_an_error_does_not_contain_other_calls(
    loader: DataLoader[int, str], reads: Reads, threads: ThreadPoolExecutor
) -> None:
    running = fill_slots(loader, reads, threads)
    failing = join(loader, threads, list(range(10, 20)))
    reads.finish(0)
    reads.wait_for(MAX_STATEMENTS + 1)
    reads.finish(MAX_STATEMENTS, OSError("the connection is closed"))
    error = failing[0].exception(TIMEOUT)
    for call in failing:
        assert call.exception(TIMEOUT) is error
    loads = [
        frame
        for frame in traceback.extract_tb(error.__traceback__ if error else None)
        if frame.name == "load"
    ]
    # Threads that raise it at the same moment can add to each other's traceback.
    assert len(loads) < len(failing) / 2
    for number in range(1, MAX_STATEMENTS):
        reads.finish(number)
    for call in running:
        call.result(TIMEOUT)


def test_each_of_many_threads_gets_its_value() -> None:
    number_of_threads, loads = 8, 500
    mistakes = []

    def read(keys: list[int]) -> dict[int, int]:
        return {key: -key for key in keys}

    loader = DataLoader(read)

    def load(first: int) -> None:
        for key in range(first, first + loads):
            if loader.load(key) != -key:
                mistakes.append(key)

    threads = [
        threading.Thread(target=load, args=(number * loads + 1,))
        for number in range(number_of_threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    assert mistakes == []
