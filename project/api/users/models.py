"""The `users` table."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Identity,
    Index,
    String,
    Table,
    collate,
    event,
    func,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from project import db
from project.api.users import mailbox, schemas
from project.database.schema import create_extension


def lower_username(username: Any) -> ColumnElement[str]:
    """Return a username in lower case, as SQL.

    The collation makes it independent of the locale of the database.
    """
    return func.lower(collate(username, "pg_c_utf8"))


class User(db.Model):  # type: ignore[misc]  # mypy does not resolve db.Model
    """A user. `schemas.NewUser` describes the fields that clients can write."""

    __tablename__ = "users"

    # 64 bits: an INSERT that is rejected also consumes a value of the sequence.
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    username: Mapped[str] = mapped_column(String(schemas.MAX_LENGTH))
    email: Mapped[str] = mapped_column(String(schemas.MAX_LENGTH))
    active: Mapped[bool] = mapped_column(server_default=true(), default=True)
    created_date: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    __table_args__ = (
        Index("users_email_key", mailbox.mailbox(email), unique=True),
        # Pages of the active and of the inactive users. With one index on both columns
        # the planner sometimes scans the primary key, because it does not know that
        # the matching rows are far apart.
        Index("users_active_key", id, postgresql_where=active),
        Index("users_inactive_key", id, postgresql_where=~active),
        # Pages of the users with a username.
        Index("users_username_idx", lower_username(username), id),
        # Pages of the users of a period. GiST returns them in the order of the ids by
        # the operator `<->`. A B-tree index on the date would have to sort them all.
        Index(
            "users_created_idx",
            active,
            created_date,
            id,
            postgresql_using="gist",
        ),
        # The search: any part of a username or an e-mail address.
        Index(
            "users_search_idx",
            username,
            email,
            postgresql_using="gin",
            postgresql_ops={"username": "gin_trgm_ops", "email": "gin_trgm_ops"},
        ),
        # `recreate_db` does not drop a table `users` that lacks one of these columns:
        # it is another application's. New columns are not added here, because a
        # database that has not run their migration lacks them.
        {
            "info": {
                "identifying_columns": (
                    "id",
                    "username",
                    "email",
                    "active",
                    "created_date",
                )
            }
        },
    )

    def to_json(self) -> dict[str, Any]:
        """Return the user as the API shows it, with values that JSON can represent."""
        user = {name: getattr(self, name) for name in schemas.FIELDS}
        return user | {"created_date": self.created_date.isoformat()}


@event.listens_for(User.__table__, "before_create")
def create_extensions(table: Table, connection: Connection, **options: object) -> None:
    """Create the extensions that the indexes need, for `db.create_all()`."""
    for name in ("pg_trgm", "btree_gist"):
        create_extension(connection.exec_driver_sql, name)


@event.listens_for(User.__table__, "before_create")
def create_mailbox_function(
    table: Table, connection: Connection, **options: object
) -> None:
    """Create the function of `users_email_key`, for `db.create_all()`."""
    mailbox.create_function(connection)


missing_columns = set(schemas.FIELDS) - set(User.__table__.columns.keys())
if missing_columns:
    names = ", ".join(sorted(missing_columns))
    raise TypeError(
        f"schemas.NewUser has fields without a column: {names}; add them to models.User"
    )
