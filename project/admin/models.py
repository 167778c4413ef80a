"""The tables of the admin site: operators, their sessions, login attempts."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, LargeBinary, String, func
from sqlalchemy.orm import Mapped, mapped_column

from project import db

READER = "reader"
EDITOR = "editor"
ROLES = (READER, EDITOR)


class Operator(db.Model):
    """Somebody who can log in to the admin site."""

    __tablename__ = "admin_operators"

    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    # In the format of werkzeug.security.generate_password_hash.
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    __table_args__ = (
        CheckConstraint(role.in_(ROLES), name="admin_operators_role_check"),
    )


class AdminSession(db.Model):
    """A session of an operator. It ends when its row is deleted."""

    __tablename__ = "admin_sessions"

    # The SHA-256 hash of the token in the cookie: a copy of the table gives no access.
    token_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    username: Mapped[str] = mapped_column(
        ForeignKey(Operator.username, ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    seen_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


class LoginAttempts(db.Model):
    """The number of login attempts of a client within a period."""

    __tablename__ = "admin_login_attempts"

    # See `rate_limits.client_network`.
    client: Mapped[str] = mapped_column(String(64), primary_key=True)
    # In seconds.
    period: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    attempts: Mapped[int]
