"""The sessions of operators, in PostgreSQL.

The cookie contains a random token, and the table its hash. Deleting the row ends the
session, also for a copy of the cookie.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

import sqlalchemy as sa

from project import db
from project.admin.models import EDITOR, AdminSession, Operator

# A session ends after this time, however active it is.
MAX_AGE = timedelta(hours=12)
# It also ends after this time without a request.
MAX_IDLE = timedelta(hours=1)


class CurrentOperator(NamedTuple):
    """The operator who has sent a request."""

    username: str
    role: str

    @property
    def can_write(self) -> bool:
        """Return whether the operator may change users."""
        return self.role == EDITOR


def digest(token: str) -> bytes:
    """Return the hash of a token that the table contains."""
    return sha256(token.encode()).digest()


def is_alive() -> sa.ColumnElement[bool]:
    """Return the SQL condition for a session that has not expired."""
    now = sa.func.now()
    return sa.and_(
        AdminSession.created_at > now - MAX_AGE, AdminSession.seen_at > now - MAX_IDLE
    )


def start(username: str, password_hash: str) -> str | None:
    """Start a session, and return its token. Expired sessions are deleted.

    Returns:
        None if the operator has been removed or has another password by now.
    """
    token = secrets.token_urlsafe()
    # The lock makes `operators.save` wait, which then deletes this session.
    operator = (
        sa.select(sa.literal(digest(token)), Operator.username)
        .where(Operator.username == username, Operator.password_hash == password_hash)
        .with_for_update(read=True)
    )
    columns = [AdminSession.token_digest, AdminSession.username]
    with db.engine.begin() as connection:
        # The operator's row is locked before rows of sessions, as `operators` does. In
        # the other order, the two could deadlock.
        result = connection.execute(
            sa.insert(AdminSession).from_select(columns, operator)
        )
        connection.execute(sa.delete(AdminSession).where(~is_alive()))
    return token if result.rowcount else None


def load(token: str) -> CurrentOperator | None:
    """Return the operator of a session, or None if it has ended.

    The request counts as activity.
    """
    statement = (
        sa.update(AdminSession)
        .where(AdminSession.token_digest == digest(token), is_alive())
        .where(AdminSession.username == Operator.username)
        .values(seen_at=sa.func.now())
        .returning(Operator.username, Operator.role)
    )
    with db.engine.begin() as connection:
        row = connection.execute(statement).one_or_none()
    return CurrentOperator(*row) if row else None


def end(token: str) -> None:
    """End a session."""
    statement = sa.delete(AdminSession).where(
        AdminSession.token_digest == digest(token)
    )
    with db.engine.begin() as connection:
        connection.execute(statement)


def end_all(username: str) -> None:
    """End all sessions of an operator."""
    statement = sa.delete(AdminSession).where(AdminSession.username == username)
    with db.engine.begin() as connection:
        connection.execute(statement)
