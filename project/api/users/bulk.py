"""Many users at once: into the table by COPY, all or none, and out of it."""

import csv
import io
from itertools import islice
from typing import NamedTuple

import sqlalchemy as sa

from project import db
from project.api.users.queries import columns, to_user, users

# Rows that are held in memory and written in one statement.
BATCH = 20_000

# The users wait in a table of their own until every one of them is known to be good:
# what is refused or interrupted leaves no dead rows in the table that is served.
PREPARE = """
    SET LOCAL statement_timeout = 0;
    CREATE TEMPORARY TABLE incoming (
        line bigint PRIMARY KEY, username text, email text, active boolean
    ) ON COMMIT DROP
"""
COPY = "COPY incoming FROM STDIN (FORMAT csv)"
TWICE = """
    SELECT line FROM (
        SELECT line, row_number() OVER (PARTITION BY lower(email) ORDER BY line) AS nth
        FROM incoming
    ) AS numbered WHERE nth > 1 ORDER BY line
"""
TAKEN = """
    SELECT line FROM incoming JOIN users ON lower(users.email) = lower(incoming.email)
    ORDER BY line
"""
UPDATE = """
    UPDATE users SET
        username = incoming.username,
        email = incoming.email,
        active = coalesce(incoming.active, users.active)
    FROM incoming
    WHERE lower(users.email) = lower(incoming.email) AND line BETWEEN %s AND %s
"""
INSERT = """
    INSERT INTO users (username, email, active)
    SELECT username, email, coalesce(active, true) FROM incoming
    WHERE line BETWEEN %s AND %s ORDER BY line
    ON CONFLICT (lower(email)) DO NOTHING
"""
# What to do about a user whose e-mail address is taken: the checks before anything
# is written, as `{reason: query}`, and the statements that write, in their order.
TWICE_CHECK = {"email: an earlier line has it": TWICE}
TAKEN_CHECK = {"email: another user has it": TAKEN}
WAYS = {
    "refuse": (TWICE_CHECK | TAKEN_CHECK, {"added": INSERT}),
    "skip": ({}, {"added": INSERT}),
    "update": (TWICE_CHECK, {"updated": UPDATE, "added": INSERT}),
}


class Row(NamedTuple):
    """A user to be; `active` is None where it is left out."""

    line: int
    username: str
    email: str
    active: bool | None


class NotLoaded(Exception):
    """No user was added or changed; the message says why."""


def load(rows, existing, watch):
    """Add users, all or none.

    Args:
        rows: the users, each a Row, with lines that rise; any number.
        existing: what to do about one whose e-mail address is taken, by an earlier
            row or by a user who is there: a key of WAYS.
        watch: whom to tell, by `progress(step, done)` and `refuse(line, reason)`; its
            `refused` counts what was refused, here or while the rows were made.

    Returns:
        How many users were added, updated and skipped, as a mapping.

    Raises:
        NotLoaded: a user was refused, or somebody else took an address meanwhile.
    """
    checks, writes = WAYS[existing]
    with db.engine.begin() as connection, connection.connection.cursor() as cursor:
        cursor.execute(PREPARE)
        count, last = copy(cursor, rows, watch)
        for reason, query in checks.items():
            cursor.execute(query)
            for (line,) in cursor:
                watch.refuse(line, reason)
        if watch.refused:
            raise NotLoaded(f"{watch.refused:,} line(s) refused")
        done = write(cursor, writes, last, watch)
        skipped = count - sum(done.values())
        if skipped and existing != "skip":
            raise NotLoaded(
                f"others took {skipped:,} address(es) meanwhile: run it again"
            )
    return {"added": 0, "updated": 0, **done, "skipped": skipped}


def copy(cursor, rows, watch):
    """Copy rows into the waiting table; return their number and the last one's line."""
    rows, count, line = iter(rows), 0, 0
    while batch := list(islice(rows, BATCH)):
        text = io.StringIO()
        csv.writer(text).writerows(batch)
        text.seek(0)
        cursor.copy_expert(COPY, text)
        count, line = count + len(batch), batch[-1].line
        watch.progress("checked", count)
    return count, line


def write(cursor, statements, last, watch):
    """Run the statements that write, a batch of lines at a time.

    Returns:
        How many users each of them wrote.
    """
    done = dict.fromkeys(statements, 0)
    for start in range(0, last + 1, BATCH):
        for name, statement in statements.items():
            cursor.execute(statement, (start, start + BATCH - 1))
            done[name] += cursor.rowcount
        watch.progress("written", sum(done.values()))
    return done


def stream():
    """Yield every user, by id and as of one moment, in the API's own shape."""
    statement = sa.select(*columns).order_by(users.c.id)
    with db.engine.connect() as connection:
        # A cursor on the server: the client never holds more than a batch.
        for row in connection.execution_options(yield_per=BATCH).execute(statement):
            yield to_user(row)
