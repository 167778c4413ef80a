"""Adding many users in one transaction by COPY, and reading all of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeAlias, TypedDict

import sqlalchemy as sa

from project import db
from project.api.users.history import record_transaction_as
from project.api.users.mailbox import mailbox
from project.api.users.queries import (
    DIALECT,
    UserData,
    columns,
    to_sql,
    to_user,
    users,
)
from project.api.users.schemas import DEFAULTS, OPTIONAL_FIELDS, WRITABLE_FIELDS

# The number of rows that are in memory and that one statement writes.
BATCH_SIZE = 20_000

# psycopg2's cursor. SQLAlchemy's type of it has no copy_expert.
Cursor: TypeAlias = Any


class ImportRow(NamedTuple):
    """A user to add or to update.

    Attributes:
        line: the row's line number; it rises from row to row.
        fields: valid values of all required fields and of any optional ones.
    """

    line: int
    fields: Mapping[str, Any]


class ProgressReporter(Protocol):
    """Receives the progress and the rejected lines of an import.

    Attributes:
        rejected: the number of rejected lines.
    """

    rejected: int

    def progress(self, step: str, done: int) -> None:
        """Report the number of users that a step has processed."""

    def reject(self, line: int, reason: str) -> None:
        """Report a rejected line."""


class BulkResult(TypedDict):
    """How many users were added, updated and skipped."""

    added: int
    updated: int
    skipped: int


class ImportAborted(Exception):
    """No user was added or changed; the message says why."""


quote = DIALECT.identifier_preparer.quote


def given_column(name: str) -> str:
    """Return the staging column that is false if the row omits an optional field."""
    return quote(f"_{name}_given")


def staged_value(name: str) -> str:
    """Return the SQL expression for a column in UPDATE_USERS.

    A field that the row omits keeps its value.
    """
    column = quote(name)
    if name not in OPTIONAL_FIELDS:
        return f"staged.{column}"
    given = given_column(name)
    return f"CASE WHEN staged.{given} THEN staged.{column} ELSE users.{column} END"


MAILBOX = to_sql(mailbox(sa.column("email")))
USERS_MAILBOX = to_sql(mailbox(users.c.email))
STAGING_COLUMNS = [
    "_line bigint PRIMARY KEY",
    *(
        f"{quote(name)} {users.c[name].type.compile(dialect=DIALECT)}"
        for name in WRITABLE_FIELDS
    ),
    *(f"{given_column(name)} boolean" for name in OPTIONAL_FIELDS),
    f"_mailbox text GENERATED ALWAYS AS ({MAILBOX}) STORED",
]
# Rows are staged in a temporary table until all are known to be valid. An import that
# is rejected or interrupted leaves no dead rows in the users table.
CREATE_STAGING_TABLE = f"""
    SET LOCAL statement_timeout = 0;
    CREATE TEMPORARY TABLE staged ({", ".join(STAGING_COLUMNS)}) ON COMMIT DROP
"""
COPY = "COPY staged FROM STDIN"
FIND_DUPLICATES = """
    SELECT _line FROM (
        SELECT _line,
               row_number() OVER (PARTITION BY _mailbox ORDER BY _line) AS nth
        FROM staged
    ) AS numbered WHERE nth > 1 ORDER BY _line
"""
FIND_EXISTING = f"""
    SELECT _line FROM staged JOIN users ON {USERS_MAILBOX} = _mailbox
    ORDER BY _line
"""
ASSIGNMENTS = ", ".join(
    f"{quote(name)} = {staged_value(name)}" for name in WRITABLE_FIELDS
)
UPDATE_USERS = f"""
    UPDATE users SET {ASSIGNMENTS} FROM staged
    WHERE {USERS_MAILBOX} = _mailbox AND _line BETWEEN %s AND %s
"""
COLUMNS = ", ".join(map(quote, WRITABLE_FIELDS))
INSERT_USERS = f"""
    INSERT INTO users ({COLUMNS})
    SELECT {COLUMNS} FROM staged WHERE _line BETWEEN %s AND %s ORDER BY _line
    ON CONFLICT ({MAILBOX}) DO NOTHING
"""


@dataclass(frozen=True)
class ConflictPolicy:
    """What to do with a row whose e-mail address is taken.

    Attributes:
        checks: queries that find lines to reject, by the reason.
        insert_only: whether existing users stay as they are.
    """

    checks: dict[str, str]
    insert_only: bool


DUPLICATE_CHECK = {"email: an earlier line has it": FIND_DUPLICATES}
EXISTING_CHECK = {"email: another user has it": FIND_EXISTING}
CONFLICT_POLICIES = {
    "refuse": ConflictPolicy(DUPLICATE_CHECK | EXISTING_CHECK, insert_only=True),
    "skip": ConflictPolicy({}, insert_only=True),
    "update": ConflictPolicy(DUPLICATE_CHECK, insert_only=False),
}

# Escapes of PostgreSQL's text format for COPY, in which NULL is \N.
COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
COPY_NULL = r"\N"


def bulk_insert(
    rows: Iterable[ImportRow], on_conflict: str, reporter: ProgressReporter, who: str
) -> BulkResult:
    """Add users; either all of them or none.

    Args:
        on_conflict: what to do with a row whose e-mail address an earlier row or a
            user has; a key of CONFLICT_POLICIES.
        reporter: may have rejected lines while `rows` is iterated; these count, too.
        who: the name for the history.

    Raises:
        ImportAborted: a line was rejected, or another session has inserted one of the
            addresses during the import.
    """
    policy = CONFLICT_POLICIES[on_conflict]
    with (
        db.engine.begin() as connection,
        closing(connection.connection.cursor()) as cursor,
    ):
        record_transaction_as(who, connection)
        cursor.execute(CREATE_STAGING_TABLE)
        staged, last_line = copy_rows(cursor, rows, reporter)
        for reason, query in policy.checks.items():
            cursor.execute(query)
            for (line,) in cursor.fetchall():
                reporter.reject(line, reason)
        if reporter.rejected:
            raise ImportAborted(f"{reporter.rejected:,} line(s) rejected")
        added, updated = write_rows(cursor, policy, last_line, reporter)
        skipped = staged - added - updated
        if skipped and on_conflict != "skip":
            raise ImportAborted(
                f"other sessions took {skipped:,} address(es) meanwhile: run it again"
            )
    return {"added": added, "updated": updated, "skipped": skipped}


def copy_cell(value: object) -> str:
    """Return a value in PostgreSQL's text format for COPY."""
    if value is None:
        return COPY_NULL
    text = str(value)
    # Most texts need no escaping, and this test is faster than `translate`.
    if text.isprintable() and "\\" not in text:
        return text
    return text.translate(COPY_ESCAPES)


def copy_line(row: ImportRow) -> str:
    """Return a row of the staging table in PostgreSQL's text format for COPY."""
    line, fields = row
    values = [line]
    values += [fields[n] if n in fields else DEFAULTS[n] for n in WRITABLE_FIELDS]
    values += [name in fields for name in OPTIONAL_FIELDS]
    return "\t".join(map(copy_cell, values)) + "\n"


def copy_rows(
    cursor: Cursor, rows: Iterable[ImportRow], reporter: ProgressReporter
) -> tuple[int, int]:
    """Copy rows into the staging table.

    Returns:
        The number of rows, and the line number of the last one.
    """
    iterator = iter(rows)
    staged = last_line = 0
    while batch := list(islice(iterator, BATCH_SIZE)):
        cursor.copy_expert(COPY, StringIO("".join(map(copy_line, batch))))
        staged, last_line = staged + len(batch), batch[-1].line
        reporter.progress("checked", staged)
    return staged, last_line


def write_rows(
    cursor: Cursor, policy: ConflictPolicy, last_line: int, reporter: ProgressReporter
) -> tuple[int, int]:
    """Write the staged rows to the users table, one batch of lines at a time.

    Returns:
        The numbers of users that were added and updated.
    """
    added = updated = 0
    for start in range(0, last_line + 1, BATCH_SIZE):
        lines = (start, start + BATCH_SIZE - 1)
        if not policy.insert_only:
            cursor.execute(UPDATE_USERS, lines)
            updated += cursor.rowcount
        cursor.execute(INSERT_USERS, lines)
        added += cursor.rowcount
        reporter.progress("written", added + updated)
    return added, updated


def stream_users() -> Iterator[UserData]:
    """Yield all users in the order of their ids, from one snapshot of the table."""
    statement = sa.select(*columns).order_by(users.c.id)
    with db.engine.connect() as connection:
        # A server-side cursor: memory holds one batch at a time.
        streaming = connection.execution_options(yield_per=BATCH_SIZE)
        for row in streaming.execute(statement):
            yield to_user(tuple(row))
