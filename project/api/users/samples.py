"""Sample users for a first try."""

from project.api.users import queries
from project.errors import EmailTaken

SAMPLES = [
    {"username": "ada", "email": "ada@example.com"},
    {"username": "grace", "email": "grace@example.com"},
]


def seed():
    """Add the sample users that are not there yet.

    Returns:
        For each sample its e-mail address, and whether it was added now.
    """
    return {user["email"]: add(user) for user in SAMPLES}


def add(user):
    """Add a sample user and return whether it was not there yet.

    Args:
        user: the username and the e-mail address, as a mapping.
    """
    try:
        queries.insert(active=True, **user)
    except EmailTaken:
        return False
    return True
