"""The password of the admin site's operator. Only its hash is stored."""

from gevent import get_hub
from gevent.lock import BoundedSemaphore
from werkzeug.security import check_password_hash, generate_password_hash

MIN_LENGTH = 12
# Hashing a longer text would let a client consume CPU time.
MAX_LENGTH = 1024
# A hash takes up to 100 ms of CPU time, and a burst of logins must leave time for the
# other requests.
MAX_CONCURRENT_CHECKS = 1
concurrent_checks = BoundedSemaphore(MAX_CONCURRENT_CHECKS)


def hash_password(password: str) -> str:
    """Return a salted scrypt hash, in the format that ADMIN_PASSWORD takes.

    Raises:
        ValueError: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(
            f"choose a password of {MIN_LENGTH} to {MAX_LENGTH} characters"
        )
    return generate_password_hash(password, method="scrypt")


def check_password(password_hash: str, password: str) -> bool:
    """Return whether a password has the hash.

    The password is hashed in a thread, so that the event loop of a gunicorn worker can
    serve other requests meanwhile.
    """
    with concurrent_checks:
        matches: bool = get_hub().threadpool.apply(
            check_password_hash, (password_hash, password)
        )
    return matches
