"""The order in which a worker starts requests."""

from collections import deque
from contextlib import suppress
from time import monotonic

import gevent
from greenlet import greenlet

# Seconds for which new requests are started before those that run continue. Several
# short requests fit in it.
SLICE = 0.005


class RequestQueue:
    """Starts requests in the order of their arrival, a few at a time.

    An event loop continues every greenlet whose data has arrived, in rounds. A running
    request needs several rounds, one for each response of the database, and each round
    lasts as long as the requests that start in it. This limits the rounds to about
    SLICE, however many clients send requests.
    """

    def __init__(self) -> None:
        self.hub = gevent.get_hub()
        self.waiting: deque[greenlet] = deque()
        self.next_round = self.hub.loop.timer(0)

    def add(self, request: greenlet) -> None:
        """Let a greenlet start its request after those that were added before."""
        if not self.waiting:
            self.next_round.start(self.start_requests)
        self.waiting.append(request)

    def wait(self) -> None:
        """Wait until `add` was called for the current greenlet and it is its turn."""
        try:
            self.hub.switch()
        except BaseException:
            with suppress(ValueError):
                self.waiting.remove(gevent.getcurrent())
            raise

    def start_requests(self) -> None:
        """Start the requests of a round; called by the event loop."""
        end = monotonic() + SLICE
        while self.waiting:
            self.waiting.popleft().switch()
            if monotonic() >= end:
                break
        if self.waiting:
            self.next_round.start(self.start_requests)
