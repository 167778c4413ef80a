"""Many requests at once delay a running request by short rounds only."""

import time

import gevent

from project.server.request_queue import SLICE, RequestQueue


def wait_for_turn(queue: RequestQueue) -> None:
    queue.add(gevent.getcurrent())
    queue.wait()


def test_requests_start_in_the_order_of_their_calls() -> None:
    queue = RequestQueue()
    started: list[int] = []

    def start(number: int) -> None:
        wait_for_turn(queue)
        started.append(number)

    gevent.joinall([gevent.spawn(start, number) for number in range(100)])
    assert started == list(range(100))


def test_running_request_continues_between_new_requests() -> None:
    """It waits for the event loop five times, as for five responses of a database."""
    queue = RequestQueue()
    events: list[str] = []

    def run_short_request() -> None:
        wait_for_turn(queue)
        for _ in range(5):
            gevent.sleep(0.000_001)
        events.append("short")

    def run_long_request() -> None:
        wait_for_turn(queue)
        time.sleep(SLICE)
        events.append("long")

    greenlets = [gevent.spawn(run_short_request)]
    greenlets += [gevent.spawn(run_long_request) for _ in range(20)]
    gevent.joinall(greenlets)
    assert len(events) == 21
    assert events.index("short") < 10


def test_request_that_waits_again_is_served_again() -> None:
    queue = RequestQueue()

    def run() -> int:
        for _ in range(1000):
            wait_for_turn(queue)
        return 1000

    greenlets = [gevent.spawn(run) for _ in range(3)]
    gevent.joinall(greenlets, raise_error=True)
    assert [greenlet.value for greenlet in greenlets] == [1000] * 3


def test_killed_request_does_not_start() -> None:
    queue = RequestQueue()
    started: list[str] = []

    def start(name: str) -> None:
        wait_for_turn(queue)
        started.append(name)

    def kill_second() -> None:
        second.kill(block=False)

    first = gevent.spawn(start, "first")
    second = gevent.spawn(start, "second")
    # It runs after both have been added and before the first round of the queue.
    gevent.spawn(kill_second)
    third = gevent.spawn(start, "third")
    gevent.joinall([first, second, third])
    assert started == ["first", "third"]
    assert not queue.waiting
