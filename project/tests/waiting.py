"""Wait for something that another thread or process does."""

import time
from collections.abc import Callable

# Seconds. Long enough on a busy machine.
TIMEOUT = 20


def wait_until(condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
    """Wait until a condition is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
