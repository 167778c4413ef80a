"""Operations on several processes."""

import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress

import psutil


def process_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants.

    Raises:
        NoSuchProcess: it has ended.
    """
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def send_signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes, and wait until they have ended."""
    send_signal(processes, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)
