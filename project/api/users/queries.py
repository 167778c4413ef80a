"""One SQL statement for each operation of the API, built once.

Each runs on the engine in AUTOCOMMIT: a single statement is atomic by itself, and
costs one round trip instead of three. SQLAlchemy builds the statements and keeps the
connections; the rows come straight from the driver, in half the time. A row that is
read becomes a User of the schemas; its version is PostgreSQL's `xmin`, which changes
with every write to the row, whoever makes it.
"""

import psycopg2
import sqlalchemy as sa
from psycopg2.errors import UniqueViolation
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg2 import dialect

from project import database, db
from project.api.users import schemas
from project.api.users.models import User
from project.errors import EmailTaken, StaleVersion, UserNotFound

users = User.__table__
by_id = users.c.id == sa.bindparam("key")
columns = [users.c[name] for name in schemas.FIELDS]
# The driver gives it as text, like every type that it does not know.
version = sa.literal_column("users.xmin", sa.Text).label("version")


def build_page(email, active):
    """Return the statement that reads a page.

    Args:
        email: whether the page is filtered by e-mail.
        active: whether it is filtered by `active`.
    """
    statement = sa.select(*columns).where(users.c.id > sa.bindparam("after"))
    if email:
        address = sa.func.lower(sa.bindparam("email", type_=sa.Text))
        statement = statement.where(sa.func.lower(users.c.email) == address)
    if active:
        statement = statement.where(users.c.active == sa.bindparam("active"))
    return statement.order_by(users.c.id).limit(sa.bindparam("limit"))


def build_guarded(write):
    """Return a write as a statement that only touches the version the client knows.

    It gives the user's row as it is after the write, an empty one where the version
    is another, and none where there is no such user.

    Args:
        write: an UPDATE or DELETE of one user, with what it returns.
    """
    known = sa.any_(sa.bindparam("versions", type_=postgresql.ARRAY(sa.Text)))
    done = write.where(sa.literal_column("users.xmin::text") == known).cte("done")
    row = users.outerjoin(done, done.c.id == users.c.id)
    return sa.select(*done.c).select_from(row).where(by_id)


def to_sql(statement):
    """Return a statement as the text that the driver takes, with named parameters."""
    return str(statement.compile(dialect=dialect()))


SELECT = to_sql(sa.select(*columns, version).where(by_id))
PAGES = {
    (email, active): to_sql(build_page(email, active))
    for email in (False, True)
    for active in (False, True)
}
INSERT = to_sql(
    postgresql.insert(users)
    .values({name: sa.bindparam(name) for name in schemas.NewUser.model_fields})
    .on_conflict_do_nothing(index_elements=[sa.func.lower(users.c.email)])
    .returning(*columns, version)
)
# What is left out comes as NULL and keeps its value.
update_user = (
    sa.update(users)
    .where(by_id)
    .values(
        {
            name: sa.func.coalesce(sa.bindparam(f"new_{name}"), users.c[name])
            for name in schemas.UserChange.model_fields
        }
    )
    .returning(*columns, version)
)
delete_user = sa.delete(users).where(by_id).returning(users.c.id, users.c.email)
UPDATE, DELETE = to_sql(update_user), to_sql(delete_user)
GUARDED = {
    UPDATE: to_sql(build_guarded(update_user)),
    DELETE: to_sql(build_guarded(delete_user)),
}


def run(statement, parameters):
    """Run a statement on a connection of the API's pool and return its rows."""
    engine = db.engines[database.AUTOCOMMIT]
    connection = engine.raw_connection()
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()
    except psycopg2.Error as error:
        database.let_go(engine, connection, error)
        raise
    finally:
        connection.close()


def write(statement, parameters, versions):
    """Run an UPDATE or DELETE of one user and return the row that it gives.

    Args:
        statement: one of the keys of GUARDED.
        parameters: its parameters; `key` is the user's id.
        versions: the versions that the client accepts, or None for any.

    Raises:
        UserNotFound: no user has the id.
        StaleVersion: the user's version is none of these.
    """
    if versions is not None:
        statement = GUARDED[statement]
        parameters = parameters | {"versions": versions}
    rows = run(statement, parameters)
    if not rows:
        raise UserNotFound()
    if rows[0][0] is None:
        raise StaleVersion()
    return rows[0]


def to_user(row):
    """Return a row as a user, and its version where the row has one."""
    return dict(zip(schemas.FIELDS, row))


def get(id):
    """Return the user with the id, and the version.

    Raises:
        UserNotFound: no user has the id.
    """
    rows = run(SELECT, {"key": id})
    if not rows:
        raise UserNotFound()
    return to_user(rows[0]), rows[0][-1]


def page(limit, after, email, active):
    """Return the users with an id above `after`, in the order of their ids.

    Args:
        limit: how many at most.
        after: an id, or 0.
        email: only the user with this address, in any letter case; None for any.
        active: only the active (True) or inactive (False); None for both.

    Returns:
        The users, and whether there are more after them.
    """
    statement = PAGES[email is not None, active is not None]
    parameters = {"limit": limit + 1, "after": after, "email": email, "active": active}
    rows = run(statement, parameters)
    return [to_user(row) for row in rows[:limit]], len(rows) > limit


def insert(username, email, active):
    """Add a user and return it, and the version.

    Raises:
        EmailTaken: another user has the address.
    """
    rows = run(INSERT, {"username": username, "email": email, "active": active})
    if not rows:
        raise EmailTaken()
    return to_user(rows[0]), rows[0][-1]


def update(id, changes, versions):
    """Change a user and return it as it is then, and the version.

    Args:
        id: whom to change.
        changes: `{field: value}` for each field; one that is None keeps its value.
        versions: the versions that may be changed, or None for any.

    Raises:
        UserNotFound: no user has the id.
        StaleVersion: the user's version is none of these.
        EmailTaken: another user has the address.
    """
    parameters = {f"new_{field}": value for field, value in changes.items()}
    try:
        row = write(UPDATE, parameters | {"key": id}, versions)
    except UniqueViolation:
        raise EmailTaken() from None
    return to_user(row), row[-1]


def delete(id, versions):
    """Remove a user and return the e-mail address that it had.

    Args:
        id: whom to remove.
        versions: the versions that may be removed, or None for any.

    Raises:
        UserNotFound: no user has the id.
        StaleVersion: the user's version is none of these.
    """
    _, email = write(DELETE, {"key": id}, versions)
    return email
