"""The log of clients that were refused or disconnected."""

import logging
from collections import Counter

import gevent

# Seconds. A reason is logged when it occurs, and its repetitions are counted and logged
# after this time, because there can be thousands per second.
INTERVAL = 60

log = logging.getLogger(__name__)


class RefusalLog:
    """Logs each reason at most twice per INTERVAL, whatever the clients do."""

    def __init__(self) -> None:
        self.repetitions: Counter[str] = Counter()

    def add(self, reason: str, address: str) -> None:
        """Log why a client was refused.

        Args:
            reason: follows the word "Client" and the address. There must be a limited
                number of different reasons.
        """
        if reason in self.repetitions:
            self.repetitions[reason] += 1
            return
        self.repetitions[reason] = 0
        log.warning("Client %s %s", address, reason, extra={"client": address})
        gevent.spawn_later(INTERVAL, self.log_repetitions, reason)

    def log_repetitions(self, reason: str) -> None:
        """Log how often a reason has occurred since it was logged."""
        if times := self.repetitions.pop(reason):
            log.warning("%s times more in %s s: client %s", times, INTERVAL, reason)
