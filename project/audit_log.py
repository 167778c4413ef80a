"""The audit log: who has written or exported which users."""

import logging
import os

log = logging.getLogger("project.audit")


def record(message: str, action: str, who: str | None, **fields: object) -> None:
    """Log an action.

    Args:
        message: the action and its object; the name in `who` is added.
        who: the operator, the client of the API, or the user of the operating system;
            None if it is not known.
        fields: more fields of the JSON format.
    """
    log.info(
        "%s by %s" if who else "%s",
        *((message, who) if who else (message,)),
        extra={"action": action, "who": who, **fields},
    )


def record_user(action: str, user_id: int, who: str | None) -> None:
    """Log that a user was written.

    Args:
        action: `added`, `updated` or `removed`.
    """
    record(f"user {user_id} {action}", action, who, user_id=user_id)


def record_bulk(action: str, who: str, **counts: int) -> None:
    """Log that many rows were written or exported.

    Args:
        counts: the numbers of rows by what happened to them.
    """
    numbers = ", ".join(f"{count} {name}" for name, count in counts.items())
    record(f"{action}: {numbers}", action, who, counts=counts)


def operating_system_user() -> str:
    """Return the name of the user who runs this process.

    `getpass.getuser` would trust environment variables.
    """
    try:
        # Windows does not have the module.
        import pwd
    except ImportError:
        return os.environ.get("USERNAME", "unknown")
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        # A container may run as a user who is not in its /etc/passwd.
        return f"uid {os.geteuid()}"
