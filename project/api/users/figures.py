"""How many users there are, without counting a large table on every call."""

import sqlalchemy as sa

from project import db
from project.api.users.models import User

# Up to here it is cheaper to count than to be inexact.
EXACT = 10_000


def count(statement):
    """Return how many rows a SELECT gives: exactly, or what PostgreSQL estimates.

    Args:
        statement: the SELECT, without parameters.

    Returns:
        The number, and whether it is exact.
    """
    some = sa.select(sa.func.count()).select_from(statement.limit(EXACT + 1).subquery())
    number = db.session.scalar(some)
    if number <= EXACT:
        return number, True
    plan = db.session.scalar(sa.text(f"EXPLAIN (FORMAT JSON) {statement}"))
    return plan[0]["Plan"]["Plan Rows"], False


def read():
    """Return how many users there are, and how many are active, as `count` does."""
    everybody = sa.select(User.id)
    return {"users": count(everybody), "active": count(everybody.where(User.active))}
