"""Many requests at once delay a running request by short rounds only."""

import time

import gevent

from project.server.request_queue import SLICE, RequestQueue


def test_requests_start_in_the_order_of_their_calls() -> None:
    queue = RequestQueue()
    started: list[int] = []

    def start(number: int) -> None:
        queue.wait()
        started.append(number)

    gevent.joinall([gevent.spawn(start, number) for number in range(100)])
    assert started == list(range(100))


def test_running_request_continues_between_new_requests() -> None:
    """It waits for the event loop five times, as for five responses of a database."""
    queue = RequestQueue()
    events: list[str] = []

    def run_short_request() -> None:
        queue.wait()
        for _ in range(5):
            gevent.sleep(0.000_001)
        events.append("short")

    def run_long_request() -> None:
        queue.wait()
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
            queue.wait()
        return 1000

    greenlets = [gevent.spawn(run) for _ in range(3)]
    gevent.joinall(greenlets, raise_error=True)
    assert [greenlet.value for greenlet in greenlets] == [1000] * 3
