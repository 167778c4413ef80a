"""The table `user_history`, and the triggers that write it.

The triggers are a part of the statement that writes the users, so that both are stored
or none, and no statement can be forgotten. They read the name of who writes from
PostgreSQL's parameter `users.who`, and do nothing if it is not set: if HISTORY_DAYS is
0, and in psql.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import event

from project import db
from project.api.users.models import User

# Who writes without an access token, if the API requires none.
ANONYMOUS = "anonymous"
# The number of entries of a user that are shown.
MAX_SHOWN = 100

entries = sa.Table(
    "user_history",
    db.metadata,
    # No foreign key: the entries remain when the user is removed.
    sa.Column("user_id", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column(
        "written_at",
        sa.DateTime(timezone=True),
        nullable=False,
        server_default=sa.func.now(),
    ),
)

# Transition tables make the cost of a bulk statement that of one INSERT.
CREATE_TRIGGERS = """
CREATE OR REPLACE FUNCTION users_record_history() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_history (user_id, action, who)
    SELECT id, TG_ARGV[0], current_setting('users.who') FROM written;
    RETURN NULL;
END;
$$;
CREATE TRIGGER users_history_insert AFTER INSERT ON users
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    WHEN (current_setting('users.who', true) <> '')
    EXECUTE FUNCTION users_record_history('added');
CREATE TRIGGER users_history_update AFTER UPDATE ON users
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    WHEN (current_setting('users.who', true) <> '')
    EXECUTE FUNCTION users_record_history('updated');
CREATE TRIGGER users_history_delete AFTER DELETE ON users
    REFERENCING OLD TABLE AS written FOR EACH STATEMENT
    WHEN (current_setting('users.who', true) <> '')
    EXECUTE FUNCTION users_record_history('removed');
"""
# `true` limits the value to the transaction.
SET_WHO = "SELECT set_config('users.who', %(who)s, true)"


@event.listens_for(User.__table__, "after_create")
def create_triggers(
    table: sa.Table, connection: sa.Connection, **options: object
) -> None:
    """Create the triggers, for `db.create_all()`."""
    connection.exec_driver_sql(CREATE_TRIGGERS)


class Entry(NamedTuple):
    """An entry.

    Attributes:
        action: `added`, `updated` or `removed`.
        who: the operator, the client of the API, or the user of the operating system.
    """

    action: str
    who: str
    written_at: datetime


def is_enabled() -> bool:
    """Return whether this process records the history."""
    return bool(current_app.config["HISTORY_DAYS"])


def record_as(
    who: str | None, statement: str, parameters: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """Return a statement that also records its writes, and its parameters.

    PostgreSQL executes both parts in one transaction, and psycopg2 sends them together
    and returns the result of the second one.
    """
    return f"{SET_WHO}; {statement}", {**parameters, "who": who or ANONYMOUS}


def record_transaction_as(who: str, connection: sa.Connection) -> None:
    """Record the following writes of the connection's transaction, if enabled."""
    if is_enabled():
        connection.exec_driver_sql(SET_WHO, {"who": who})


def read(user_id: int) -> Sequence[Entry]:
    """Return the last MAX_SHOWN entries of a user, newest first."""
    statement = (
        sa.select(entries.c.action, entries.c.who, entries.c.written_at)
        .where(entries.c.user_id == user_id)
        .order_by(entries.c.id.desc())
        .limit(MAX_SHOWN)
    )
    with db.engine.connect() as connection:
        return [Entry(*row) for row in connection.execute(statement)]


def purge(days: int) -> int:
    """Delete the entries that are older, and return their number."""
    return delete(
        entries.c.written_at < sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    )


def erase_user(user_id: int) -> int:
    """Delete the entries of a user, and return their number."""
    return delete(entries.c.user_id == user_id)


def erase_who(who: str) -> int:
    """Delete the entries of the writes of somebody, and return their number."""
    return delete(entries.c.who == who)


def delete(condition: sa.ColumnElement[bool]) -> int:
    """Delete entries, and return their number. It may take longer than a request."""
    with db.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        return connection.execute(sa.delete(entries).where(condition)).rowcount
