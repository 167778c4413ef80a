"""Helpers that run `python manage.py` in a child process and read the users table."""

import os
import signal
import subprocess
import sys

from click.testing import Result

from devtools.servers import ROOT, clean_environment
from project.tests.users import stored_users

# The number of the latest migration.
HEAD = max(
    path.name.split("_")[0] for path in (ROOT / "migrations/versions").glob("[0-9]*.py")
)
# The error of PostgreSQL, or of a pgbouncer in front of it, for the database `nowhere`.
MISSING_DATABASE = 'database "nowhere" does not exist|no such database: nowhere'


def environment_without_database() -> dict[str, str]:
    """Return the tests' environment without a database URL."""
    return {k: v for k, v in os.environ.items() if not k.startswith("DATABASE_")}


def run_python(
    *arguments: str, input: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in the project's folder, with environment variables added."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment_without_database() | variables,
        input=input,
        capture_output=True,
        text=True,
    )


def run_manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run_python("manage.py", *arguments, **variables)


def start_manage(
    *arguments: str,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start `python manage.py` on the test database, with unbuffered pipes."""
    variables = {
        "APP_SETTINGS": "project.config.TestingConfig",
        "DATABASE_TEST_URL": os.environ["DATABASE_TEST_URL"],
        "PYTHONUNBUFFERED": "1",
    }
    # A test run that a shell starts in the background ignores SIGINT, and a child
    # process inherits that. A handler is not inherited: the child has the default.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=clean_environment() | variables,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
        )
    finally:
        signal.signal(signal.SIGINT, previous)


def assert_one_line_error(result: Result, *parts: str) -> None:
    """Assert that a command failed with one line that contains some texts."""
    assert result.exit_code == 1
    assert result.output.startswith("Error: "), result.output
    assert len(result.output.splitlines()) == 1
    for part in parts:
        assert part in result.output


def stored_emails() -> list[str]:
    """Return the addresses of all users, ordered by id."""
    return [email for _, email, _ in stored_users()]
