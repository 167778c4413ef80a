"""Numbers of users for the admin site, without counting a large table."""

from typing import Any

import sqlalchemy as sa

from project import db
from project.admin.formatting import Count
from project.admin.home import Counts
from project.api.users.models import User
from project.api.users.queries import DIALECT

# Larger results are estimated, since counting them would take long.
MAX_EXACT_COUNT = 10_000


def count_rows(statement: sa.Select[Any]) -> Count:
    """Count the rows of a SELECT, or estimate a large number."""
    limited = statement.limit(MAX_EXACT_COUNT + 1).subquery()
    number = db.session.scalar(sa.select(sa.func.count()).select_from(limited)) or 0
    if number <= MAX_EXACT_COUNT:
        return Count(number, is_exact=True)
    compiled = statement.compile(dialect=DIALECT)
    (plan,) = (
        db.session.connection()
        .exec_driver_sql(f"EXPLAIN (FORMAT JSON) {compiled}", compiled.params)
        .scalar_one()
    )
    return Count(plan["Plan"]["Plan Rows"], is_exact=False)


def read_counts() -> Counts:
    """Return the numbers of all users and of the active ones."""
    all_users = sa.select(User.id)
    return {
        "users": count_rows(all_users),
        "active": count_rows(all_users.where(User.active)),
    }
