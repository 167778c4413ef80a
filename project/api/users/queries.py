"""One SQL statement for each operation on a user; `pages` has those of `GET /users`.

SQLAlchemy builds each statement once and manages the connections. The statements run
on the driver's cursor, which takes half the time, in AUTOCOMMIT: a single statement
is atomic without a transaction. The version of a user is PostgreSQL's `xmin`, which
changes with every write to the row.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

import psycopg2
import sqlalchemy as sa
from flask import current_app
from flask.sansio.app import App
from psycopg2.errors import UniqueViolation
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from project import db
from project.api.users import history
from project.api.users.errors import EmailTaken, StaleVersion, UserNotFound
from project.api.users.mailbox import mailbox
from project.api.users.models import User
from project.api.users.schemas import FIELDS, WRITABLE_FIELDS
from project.database.data_loader import DataLoader
from project.database.engines import AUTOCOMMIT, STANDBYS, discard_dead_connections
from project.database.pool import FifoPool

if TYPE_CHECKING:
    from project.database.standbys import StandbyRouter

Result = TypeVar("Result")
Row: TypeAlias = tuple[Any, ...]
# The values of `schemas.FIELDS`.
UserData: TypeAlias = dict[str, Any]

# The key of the data loaders in `app.extensions`.
LOADERS = "user_loaders"

DIALECT = PGDialect_psycopg2()  # type: ignore[no-untyped-call]

users = cast(sa.Table, User.__table__)
columns = [users.c[name] for name in FIELDS]
has_id = users.c.id == sa.bindparam("user_id")
# psycopg2 returns the type `xid` as text.
version = sa.literal_column("users.xmin", sa.Text).label("version")


class VersionedUser(NamedTuple):
    """A user, and the version that its ETag contains."""

    data: UserData
    version: str


def to_sql(statement: sa.ClauseElement) -> str:
    """Compile a statement to SQL with named parameters."""
    return str(statement.compile(dialect=DIALECT))


SELECT = to_sql(
    sa.select(*columns, version).where(
        users.c.id
        == sa.any_(sa.bindparam("ids", type_=postgresql.ARRAY(sa.BigInteger)))
    )
)
COUNT = to_sql(sa.select(sa.func.count()).select_from(users))
INSERT = to_sql(
    postgresql.insert(users)
    .values({name: sa.bindparam(name) for name in WRITABLE_FIELDS})
    .on_conflict_do_nothing(index_elements=[mailbox(users.c.email)])
    .returning(*columns, version)
)


@cache
def update_fields(fields: tuple[str, ...], if_match: bool) -> str:
    """Return the UPDATE of some fields of one user.

    Args:
        if_match: whether the statement checks the version.
    """
    statement = (
        sa.update(users)
        .where(has_id)
        .values({name: sa.bindparam(f"new_{name}") for name in fields})
        .returning(*columns, version)
    )
    return to_sql(with_version_check(statement) if if_match else statement)


@cache
def delete_user(if_match: bool) -> str:
    """Return the DELETE of one user.

    Args:
        if_match: whether the statement checks the version.
    """
    statement = sa.delete(users).where(has_id).returning(users.c.id, users.c.email)
    return to_sql(with_version_check(statement) if if_match else statement)


def with_version_check(
    write: ReturningUpdate[Any] | ReturningDelete[Any],
) -> sa.Select[Any]:
    """Return an UPDATE or DELETE that only writes the accepted versions of the user.

    The result is the row that the write returns, a row of NULLs if the version is
    not accepted, and no row if the user does not exist.
    """
    accepted = sa.any_(sa.bindparam("versions", type_=postgresql.ARRAY(sa.Text)))
    written = write.where(sa.literal_column("users.xmin::text") == accepted).cte("done")
    row = users.outerjoin(written, written.c.id == users.c.id)
    return sa.select(*written.c).select_from(row).where(has_id)


def read_on_standby(fetch: Callable[[str], Result]) -> Result:
    """Read on a standby, if there are any and the request allows it.

    Args:
        fetch: reads from the engine of a bind.
    """
    standbys: StandbyRouter | None = current_app.extensions.get(STANDBYS)
    return standbys.read(fetch) if standbys else fetch(AUTOCOMMIT)


def fetch_all(
    statement: str, parameters: Mapping[str, Any], bind: str = AUTOCOMMIT
) -> Sequence[Row]:
    """Execute a statement on a connection of the API's pool and return its rows."""
    engine = db.engines[bind]
    connection = engine.raw_connection()
    try:
        # psycopg2 reads the result into memory, so the cursor needs no close.
        cursor = connection.cursor()
        cursor.execute(statement, parameters)
        return cursor.fetchall()
    except psycopg2.Error as error:
        discard_dead_connections(engine, connection, error)
        raise
    finally:
        connection.close()


def fetch_large(
    statement: str, parameters: Mapping[str, Any], bind: str = AUTOCOMMIT
) -> Sequence[Row]:
    """Execute a statement with many rows; see `FifoPool.large_results`."""
    pool = cast(FifoPool, db.engines[bind].pool)
    pool.large_results.acquire(pool.timeout)
    try:
        return fetch_all(statement, parameters, bind)
    finally:
        pool.large_results.release()


def write(
    statement: str, parameters: Mapping[str, Any], who: str | None
) -> Sequence[Row]:
    """Execute an INSERT, UPDATE or DELETE and return its rows.

    Args:
        who: the name for the history; see `audit_log.record`.
    """
    if history.is_enabled():
        statement, parameters = history.record_as(who, statement, parameters)
    return fetch_all(statement, parameters)


def write_existing(
    statement: str, parameters: Mapping[str, Any], who: str | None
) -> Row:
    """Execute an UPDATE or DELETE of one user and return its row.

    Raises:
        UserNotFound: no user has the id.
        StaleVersion: the user's version is not accepted.
    """
    rows = write(statement, parameters, who)
    if not rows:
        raise UserNotFound()
    if rows[0][0] is None:
        raise StaleVersion()
    return rows[0]


def to_user(row: Row) -> UserData:
    """Return a row of `columns` as a dict."""
    return dict(zip(FIELDS, row))


def to_versioned_user(row: Row) -> VersionedUser:
    """Return a row of `columns` and `version`."""
    return VersionedUser(to_user(row), row[-1])


def init_app(app: App) -> None:
    """Create the data loaders that all requests of an application share."""
    app.extensions[LOADERS] = {
        bind: DataLoader(partial(get_many, bind=bind))
        for bind in app.config["SQLALCHEMY_BINDS"]
    }


def get_many(ids: list[int], bind: str) -> dict[int, VersionedUser]:
    """Return the users that exist, by their ids."""
    rows = fetch_all(SELECT, {"ids": ids}, bind)
    return {row[0]: to_versioned_user(row) for row in rows}


def get(user_id: int, bind: str = AUTOCOMMIT) -> VersionedUser:
    """Read a user, together with those of concurrent requests on the same engine.

    Raises:
        UserNotFound: no user has the id.
    """
    loader: DataLoader[int, VersionedUser] = current_app.extensions[LOADERS][bind]
    user = loader.load(user_id)
    if user is None:
        raise UserNotFound()
    return user


def insert(fields: Mapping[str, Any], who: str | None) -> VersionedUser:
    """Add a user.

    Args:
        fields: the value of every field in `schemas.WRITABLE_FIELDS`.
        who: see `write`.

    Raises:
        EmailTaken: another user has the address.
    """
    rows = write(INSERT, fields, who)
    if not rows:
        raise EmailTaken()
    return to_versioned_user(rows[0])


def update(
    user_id: int,
    fields: Mapping[str, Any],
    versions: list[str] | None,
    who: str | None,
) -> VersionedUser:
    """Change some fields of a user.

    Args:
        fields: at least one new value; a field that is missing keeps its value.
        versions: the versions that may be changed, or None for any.
        who: see `write`.

    Raises:
        UserNotFound: no user has the id.
        StaleVersion: the user's version is not in `versions`.
        EmailTaken: another user has the address.
    """
    statement = update_fields(tuple(fields), versions is not None)
    parameters = {f"new_{name}": value for name, value in fields.items()}
    try:
        row = write_existing(
            statement, parameters | {"user_id": user_id, "versions": versions}, who
        )
    except UniqueViolation:
        raise EmailTaken() from None
    return to_versioned_user(row)


def delete(user_id: int, versions: list[str] | None, who: str | None) -> str:
    """Remove a user, and return the e-mail address that the user had.

    Args:
        versions: the versions that may be removed, or None for any.
        who: see `write`.

    Raises:
        UserNotFound: no user has the id.
        StaleVersion: the user's version is not in `versions`.
    """
    statement = delete_user(versions is not None)
    email: str
    parameters = {"user_id": user_id, "versions": versions}
    _, email = write_existing(statement, parameters, who)
    return email


def count() -> int:
    """Return the number of users."""
    number: int = fetch_all(COUNT, {})[0][0]
    return number
