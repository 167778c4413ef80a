"""A data loader: concurrent reads by key share a statement."""

import time
from collections.abc import Callable, Mapping
from threading import Event, Lock, Semaphore
from types import TracebackType
from typing import Generic, TypeVar

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
        self.traceback: TracebackType | None = None


class DataLoader(Generic[Key, Value]):
    """Loads values by key, those of concurrent calls in batches.

    A batch begins with a call, and is read as soon as fewer than MAX_STATEMENTS run.
    The calls before that join it, so each reads what was committed before the call.

    Args:
        read: returns the values of the keys that exist. It must end in a limited time,
            because the next batch waits for it.
    """

    def __init__(self, read: Callable[[list[Key]], Mapping[Key, Value]]) -> None:
        self.read = read
        self.running = Semaphore(MAX_STATEMENTS)
        self.lock = Lock()
        self.open_batch: Batch[Key, Value] | None = None

    def load(self, key: Key) -> Value | None:
        """Return the value, or None; raise the error of the batch if it failed."""
        with self.lock:
            is_first = self.open_batch is None
            batch = self.open_batch = self.open_batch or Batch()
            batch.keys.append(key)
        if is_first:
            self.run(batch)
        batch.done.wait()
        if batch.error:
            # Otherwise each call would add its own stack to that of the others.
            raise batch.error.with_traceback(batch.traceback)
        return batch.values.get(key)

    def run(self, batch: Batch[Key, Value]) -> None:
        try:
            with self.running:
                # Lets all greenlets whose requests have arrived call `load` first.
                time.sleep(0)
                self.close(batch)
                batch.values = self.read(batch.keys)
        except BaseException as error:
            self.close(batch)
            batch.error, batch.traceback = error, error.__traceback__
        batch.done.set()

    def close(self, batch: Batch[Key, Value]) -> None:
        with self.lock:
            if self.open_batch is batch:
                self.open_batch = None
