"""A data loader: concurrent reads by key share a statement."""

import time
from collections.abc import Callable, Mapping
from threading import Event, Lock
from typing import Generic, TypeVar

from project.database.pool import FifoSemaphore

# With two, a batch does not wait for one that takes long.
MAX_STATEMENTS = 2

Key = TypeVar("Key")
Value = TypeVar("Value")


class Batch(Generic[Key, Value]):
    """Keys that are read together, and the result: `values` or `error`."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.done = Event()
        self.values: Mapping[Key, Value] = {}
        self.error: BaseException | None = None


class DataLoader(Generic[Key, Value]):
    """Loads values by key, those of concurrent calls in batches.

    A batch begins with a call, and is read as soon as fewer than MAX_STATEMENTS run.
    The calls before that join it, so each reads what was committed before the call.

    Args:
        read: returns the values of the keys that exist.
        timeout: how long a batch waits for others, in seconds.
    """

    def __init__(
        self, read: Callable[[list[Key]], Mapping[Key, Value]], timeout: float
    ) -> None:
        self.read = read
        self.timeout = timeout
        self.running = FifoSemaphore(MAX_STATEMENTS)
        self.lock = Lock()
        self.open_batch: Batch[Key, Value] | None = None

    def load(self, key: Key) -> Value | None:
        """Return the value, or None; raise the error of the batch if it failed."""
        with self.lock:
            batch = self.open_batch
            is_first = batch is None
            batch = self.open_batch = batch or Batch()
            batch.keys.append(key)
        if is_first:
            self.run(batch)
        batch.done.wait()
        if batch.error:
            raise batch.error
        return batch.values.get(key)

    def run(self, batch: Batch[Key, Value]) -> None:
        try:
            self.running.acquire(self.timeout)
            try:
                # Lets all greenlets whose requests have arrived call `load` first.
                time.sleep(0)
                self.close(batch)
                batch.values = self.read(batch.keys)
            finally:
                self.running.release()
        except BaseException as error:
            self.close(batch)
            batch.error = error
        batch.done.set()

    def close(self, batch: Batch[Key, Value]) -> None:
        with self.lock:
            if self.open_batch is batch:
                self.open_batch = None
