"""Users: bodies of requests, and rows of the table."""

from typing import Any

from project import db
from project.api.users.models import User
from project.api.users.schemas import NewUser, example
from project.tests.types import StoredUser


def user_body(**fields: Any) -> dict[str, Any]:
    """Return a valid body of `POST /users`.

    A required field that is not given has the value of its example. A test names the
    fields on which it depends.
    """
    return {**example(NewUser), **fields}


ADA = user_body(username="ada", email="ada@example.com")


def stored_users() -> list[StoredUser]:
    """Return all users, ordered by id."""
    columns = User.username, User.email, User.active
    with db.engine.connect() as connection:
        rows = connection.execute(db.select(*columns).order_by(User.id))
        return [(row.username, row.email, row.active) for row in rows]
