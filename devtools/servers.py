"""Start the service, or another HTTP server, as a child process."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from project.config import Environment

ROOT = Path(__file__).parent.parent
# Seconds that a server may take to start, and to stop.
START_TIMEOUT = 20


# A server binds its port later than `free_port` returns it. So that no other process
# takes it in between, the ports are below those that the kernel assigns to clients
# (32768 on Linux), and processes with consecutive ids search in different places.
PORTS = range(20_000, 32_000)
port_numbers = itertools.count(os.getpid() * 40)


def free_port() -> int:
    """Return a TCP port of the loopback interface that is not in use."""
    while True:
        port = PORTS[next(port_numbers) % len(PORTS)]
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def clean_environment() -> dict[str, str]:
    """Return the environment variables without the service's."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in Environment.model_fields
    }


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    """Request a URL until the response has a status below 400.

    Raises:
        RuntimeError: the process exited, or START_TIMEOUT has passed.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(
                f"{process.args!r} exited with status {process.returncode}"
            )
        try:
            urllib.request.urlopen(url, timeout=START_TIMEOUT).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    raise RuntimeError(f"{url} did not respond within {START_TIMEOUT} seconds")


@contextmanager
def start_process(
    command: Sequence[str],
    cwd: Path = ROOT,
    output: int | IO[Any] = subprocess.DEVNULL,
    ready_path: str = "/ping",
    **variables: str,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start an HTTP server on a free port, and stop it with its child processes.

    Args:
        command: the program and its arguments; `{port}` is replaced.
        cwd: the working directory.
        output: receives standard output and standard error.
        ready_path: the path that is requested until the server responds.
        variables: added to the environment, which also has `PORT`.

    Yields:
        The server's URL, and its process.
    """
    port = str(free_port())
    process = subprocess.Popen(
        [part.format(port=port) for part in command],
        cwd=cwd,
        env=clean_environment() | {"PORT": port, "PYTHONUNBUFFERED": "1", **variables},
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(f"{url}{ready_path}", process)
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start_gunicorn(
    database_url: str,
    output: int | IO[Any] = subprocess.DEVNULL,
    **variables: str,
) -> AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]:
    """Start the service under gunicorn with the production settings.

    See `start_process` for the arguments and the yielded values.
    """
    return start_gunicorn_in(ROOT, database_url, output, **variables)


def start_gunicorn_in(
    folder: Path,
    database_url: str,
    output: int | IO[Any] = subprocess.DEVNULL,
    **variables: str,
) -> AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]:
    """Start a copy of the service; see `start_gunicorn`."""
    return start_process(
        [sys.executable, "-m", "gunicorn", "manage:app"],
        cwd=folder,
        output=output,
        APP_SETTINGS="project.config.ProductionConfig",
        DATABASE_URL=database_url,
        **variables,
    )
