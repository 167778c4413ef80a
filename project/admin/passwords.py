"""Hashing the passwords of operators."""

from werkzeug.security import generate_password_hash

MIN_LENGTH = 12
# Hashing a longer text would let a client consume CPU time.
MAX_LENGTH = 1024


def hash_password(password: str) -> str:
    """Return a salted scrypt hash, in Werkzeug's format.

    Raises:
        ValueError: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(
            f"choose a password of {MIN_LENGTH} to {MAX_LENGTH} characters"
        )
    return generate_password_hash(password, method="scrypt")
