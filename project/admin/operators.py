"""The operators' accounts: added, changed and removed on the command line."""

import re
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from project import db
from project.admin.models import AdminSession, Operator

# The length is that of the column.
VALID_USERNAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")


def get(username: str) -> sa.Row[str, str] | None:
    """Return the password hash and the role of an operator, if it exists."""
    # PostgreSQL rejects some other texts.
    if not VALID_USERNAME.fullmatch(username):
        return None
    statement = sa.select(Operator.password_hash, Operator.role).where(
        Operator.username == username
    )
    with db.engine.connect() as connection:
        return connection.execute(statement).one_or_none()


def list_all() -> Sequence[sa.Row[str, str]]:
    """Return the usernames and roles of all operators."""
    statement = sa.select(Operator.username, Operator.role).order_by(Operator.username)
    with db.engine.connect() as connection:
        return connection.execute(statement).all()


def save(username: str, password_hash: str, role: str) -> None:
    """Add an operator, or change one and end the sessions that it has."""
    values = {"password_hash": password_hash, "role": role}
    statement = (
        postgresql.insert(Operator)
        .values(username=username, **values)
        .on_conflict_do_update(index_elements=[Operator.username], set_=values)
    )
    with db.engine.begin() as connection:
        connection.execute(statement)
        connection.execute(
            sa.delete(AdminSession).where(AdminSession.username == username)
        )


def remove(username: str) -> bool:
    """Remove an operator with its sessions; return False if it does not exist."""
    statement = sa.delete(Operator).where(Operator.username == username)
    with db.engine.begin() as connection:
        return connection.execute(statement).rowcount == 1
