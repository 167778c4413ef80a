"""Programs that run in the background and can be killed and frozen."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from devtools.processes import kill, process_tree, send_signal
from devtools.servers import clean_environment

STOP_TIMEOUT = 40


class Program:
    """A program with its child processes.

    Args:
        command: the program and its arguments.
        log: receives standard output and standard error.
        variables: added to the environment.
        folder: the working directory. PostgreSQL's user may have no access to the
            current one.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        variables: Mapping[str, str] | None = None,
        folder: Path = Path("/"),
    ) -> None:
        self.command = command
        self.log = log
        self.variables = variables or {}
        self.folder = folder
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**clean_environment(), **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.child

    def processes(self) -> list[psutil.Process]:
        """Return the process and its descendants, or nothing if it has ended."""
        if self.child is None or self.child.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            return process_tree(self.child.pid)
        return []

    def freeze(self) -> None:
        send_signal(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        send_signal(self.processes(), signal.SIGCONT)

    def kill(self) -> None:
        kill(self.processes())

    def stop(self) -> None:
        """Terminate the program, and wait until it has ended."""
        if self.child is not None:
            self.child.terminate()
            self.child.wait(STOP_TIMEOUT)
