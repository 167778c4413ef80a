"""How the bulk commands report their progress."""

import os
import subprocess
import termios

import pytest
from flask_sqlalchemy import SQLAlchemy

from project.api.users.bulk import commands
from project.tests.functional.cli.helpers import start_manage
from project.tests.types import RunCommand


@pytest.mark.subprocess
def test_progress_on_a_terminal_is_a_bar(empty_database: SQLAlchemy) -> None:
    terminal, child_end = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    process = start_manage(
        "seed_db", "--count", "30000", stdout=subprocess.DEVNULL, stderr=child_end
    )
    os.close(child_end)
    output = b""
    try:
        while block := os.read(terminal, 2**16):
            output += block
    except OSError:
        pass  # the child closed its end of the terminal
    os.close(terminal)
    assert process.wait(20) == 0
    assert b"written: 100%" in output and b" users/s" in output


def test_progress_without_a_terminal_is_lines(
    run_command: RunCommand, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "REPORT_SECONDS", 0)
    result = run_command("seed_db", "--count", "4")
    assert result.stderr.splitlines() == [
        "checked: 2 users",
        "checked: 4 users",
        "written: 2 users",
        "written: 4 users",
    ]
