"""The service and its database as processes of their own, for the functional tests."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from project.config import Environment

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 20


def free_port():
    """Return a TCP port of the loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def outside():
    """Return the environment without the service's settings and the coverage's."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in Environment.model_fields and not name.startswith("COVERAGE_")
    }


def wait_until_up(url, process):
    """Wait until the service answers.

    Raises:
        AssertionError: it ended, or did not answer in time.
    """
    for _ in range(PATIENCE * 20):
        assert process.poll() is None, f"it ended with {process.returncode}"
        try:
            urllib.request.urlopen(f"{url}/ping", timeout=PATIENCE)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


@contextmanager
def started(command, cwd=ROOT, output=subprocess.DEVNULL, **variables):
    """Start a command that serves on `$PORT`, and end it with what it started.

    Args:
        command: the program and its arguments; `{port}` is the port.
        cwd: the folder that it starts in.
        output: where its output goes.
        variables: environment variables to add.

    Yields:
        Its URL, and the process.
    """
    port = str(free_port())
    process = subprocess.Popen(
        [part.format(port=port) for part in command],
        cwd=cwd,
        env=outside() | {"PORT": port, "PYTHONUNBUFFERED": "1", **variables},
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(url, process)
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def gunicorn(database_url, **variables):
    """Start the service as production runs it; see `started` for the rest."""
    return started(
        [sys.executable, "-m", "gunicorn", "manage:app"],
        APP_SETTINGS="project.config.ProductionConfig",
        DATABASE_URL=database_url,
        **variables,
    )
