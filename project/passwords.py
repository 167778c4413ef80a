"""The operator's password: only its hash is ever kept."""

import re

from werkzeug.security import generate_password_hash

MIN_LENGTH = 12
# What is longer costs more to try than a guess is worth.
MAX_LENGTH = 1024

# As generate_password_hash writes it: method and costs, salt, hash.
FORMAT = re.compile(r"scrypt:\d+:\d+:\d+\$[A-Za-z0-9]+\$[0-9a-f]{128}")


def make_hash(password):
    """Return the hash of a password, salted and slow to try.

    Raises:
        ValueError: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"take a password of {MIN_LENGTH} to {MAX_LENGTH} characters")
    return generate_password_hash(password, method="scrypt")


def check_format(text):
    """Return the text.

    Raises:
        ValueError: it is no hash that `make_hash` makes; a password, for example.
    """
    if not FORMAT.fullmatch(text):
        raise ValueError(
            "it is not a whole hash: make one with `ADMIN_PASSWORD= python manage.py"
            " hash_password`, and put it in single quotes where a shell reads it"
        )
    return text
