"""`manage.py db upgrade` while other sessions use the tables."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import indent
from typing import TypeAlias

import pytest
from flask import Flask
from psycopg2.errors import DivisionByZero
from sqlalchemy import make_url

from devtools import sql
from devtools.project_copy import ProjectCopy
from devtools.servers import ROOT, clean_environment
from project import db
from project.database import migrations, online
from project.tests.functional.cli.helpers import HEAD, assert_one_line_error
from project.tests.types import CreateProductionApp, RunCommand
from project.tests.waiting import wait_until

FIRST, SECOND = (f"{int(HEAD) + new:04}" for new in (1, 2))

MIGRATION = """
import sqlalchemy as sa
from alembic import op

from project.database import online


def upgrade():
"""
ADD_COLUMN = 'op.add_column("users", sa.Column("team", sa.String))'
FILL_COLUMN = """
online.backfill("users", "team = username", "team IS NULL", batch_size=2)
"""
REQUIRE_COLUMN = 'online.set_not_null("users", "team")'
CREATE_INDEX = """
online.create_index("users_name_key", "users", ["username"], unique=True)
"""

READ_VERSION = "SELECT version_num FROM alembic_version"
READ_TEAMS = "SELECT team FROM users ORDER BY id"
READ_INDEX = """
    SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('users_name_key')
"""
# Whether the column is required, and how many CHECK constraints the table has.
READ_CONSTRAINTS = """
    SELECT attnotnull, (
        SELECT count(*) FROM pg_constraint WHERE conrelid = attrelid AND contype = 'c'
    )
    FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'team'
"""

# The advisory lock in this database, of the rows of pg_locks.
IS_LOCK = """
    locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
ASSERT_LOCKED = f"""
    DO $$ BEGIN
        PERFORM pg_sleep(3);
        ASSERT EXISTS (SELECT FROM pg_locks WHERE {IS_LOCK});
    END $$
"""

# Sessions that try to get the lock.
READ_WAITING = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
    AND query LIKE '%pg_try_advisory_xact_lock%' AND pid NOT IN (
        SELECT pid FROM pg_locks WHERE locktype = 'advisory'
    )
"""

# Seconds in which a command starts, also on a busy machine.
START_TIMEOUT = 60

AddMigrations: TypeAlias = Callable[..., None]


@pytest.fixture
def add_migrations(
    upgraded_app: Flask, versions: Path, blank_database_url: str
) -> AddMigrations:
    """Function that adds migrations, each with a body of `upgrade`."""
    project = ProjectCopy(versions.parents[1], blank_database_url)

    def add(*bodies: str) -> None:
        for body in bodies:
            project.add_migration("test", MIGRATION + indent(body, "    "))

    return add


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a migration try twice to get a lock, for a short time."""
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.1)
    monkeypatch.setattr(migrations, "ATTEMPTS", 2)
    monkeypatch.setattr(migrations, "RETRY_SECONDS", 0)
    wait = "SET statement_timeout = 0; SET lock_timeout = 100"
    monkeypatch.setattr(online, "WAIT_FOR_TRANSACTIONS", wait)


@contextmanager
def open_transaction(url: str, statement: str) -> Iterator[None]:
    """Execute a statement, and commit when the context ends."""
    with closing(sql.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(statement)
        yield
        cursor.execute("COMMIT")


def add_users(url: str, number: int) -> None:
    sql.execute(
        url,
        "INSERT INTO users (username, email) SELECT n, n || '@example.com'"
        f" FROM generate_series(1, {number}) n",
    )


def assert_upgraded(run_command: RunCommand, app: Flask) -> None:
    upgraded = run_command("db", "upgrade", app=app)
    assert upgraded.exit_code == 0, upgraded.output


def start_upgrade(run_command: RunCommand, app: Flask) -> threading.Thread:
    """Start an upgrade in a thread. If it fails, pytest fails the test."""
    thread = threading.Thread(target=assert_upgraded, args=(run_command, app))
    thread.start()
    return thread


def test_failed_migration_keeps_those_before_it(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
    versions: Path,
) -> None:
    divide = f'{ADD_COLUMN.replace("team", "city")}\nop.execute("SELECT 1 / 0")'
    add_migrations(ADD_COLUMN, divide)
    failed = run_command("db", "upgrade", app=upgraded_app)
    assert isinstance(failed.exception.orig, DivisionByZero)  # type: ignore[union-attr]
    assert sql.execute(blank_database_url, READ_VERSION) == [(FIRST,)]
    [path] = versions.glob(f"{SECOND}_*.py")
    path.write_text(path.read_text().replace("1 / 0", "1"))
    assert_upgraded(run_command, upgraded_app)
    assert sql.execute(blank_database_url, READ_VERSION) == [(SECOND,)]


def test_migration_that_gets_no_lock_is_one_line_and_can_be_repeated(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
    short_timeouts: None,
) -> None:
    add_migrations("pass", ADD_COLUMN)
    with open_transaction(blank_database_url, "SELECT FROM users"):
        failed = run_command("db", "upgrade", app=upgraded_app)
        assert failed.exit_code == 1
        *steps, retry, message = failed.output.splitlines()
        assert "trying again" in retry
        assert "pg_stat_activity" in message and "run this command again" in message
        assert sql.execute(blank_database_url, READ_VERSION) == [(FIRST,)]
    assert_upgraded(run_command, upgraded_app)


def test_migration_is_repeated_until_it_gets_its_lock(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
    short_timeouts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_migrations(ADD_COLUMN)
    monkeypatch.setattr(migrations, "ATTEMPTS", 1000)
    is_locked = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with open_transaction(blank_database_url, "SELECT FROM users"):
        upgrade = start_upgrade(run_command, upgraded_app)
        wait_until(lambda: sql.execute(blank_database_url, is_locked) != [])
    upgrade.join()
    assert sql.execute(blank_database_url, READ_TEAMS) == []


def test_upgrade_waits_for_another_upgrade(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
) -> None:
    add_migrations(ADD_COLUMN)
    acquire = "SELECT pg_advisory_xact_lock(7240183)"
    with open_transaction(blank_database_url, acquire):
        upgrade = start_upgrade(run_command, upgraded_app)
        wait_until(lambda: sql.execute(blank_database_url, READ_WAITING) != [])
        assert sql.execute(blank_database_url, READ_VERSION) == [(HEAD,)]
    upgrade.join()
    assert sql.execute(blank_database_url, READ_VERSION) == [(FIRST,)]


@pytest.mark.subprocess
def test_index_does_not_wait_for_an_upgrade_that_waits(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
) -> None:
    """Otherwise both would wait for each other."""
    add_migrations(CREATE_INDEX)
    is_creating = "SELECT 1 FROM pg_stat_progress_create_index"
    # The index waits for the transaction, because it is older.
    with open_transaction(blank_database_url, "SELECT FROM alembic_version"):
        upgrade = start_upgrade(run_command, upgraded_app)
        wait_until(lambda: sql.execute(blank_database_url, is_creating) != [])
        other = subprocess.Popen(
            [sys.executable, "manage.py", "db", "upgrade"],
            cwd=ROOT,
            env=clean_environment() | {"DATABASE_URL": blank_database_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: sql.execute(blank_database_url, READ_WAITING) != [],
            timeout=START_TIMEOUT,
        )
    upgrade.join(START_TIMEOUT)
    assert sql.execute(blank_database_url, READ_INDEX) == [(True,)]
    # It does not have the migration.
    assert other.wait(START_TIMEOUT) == 1


@pytest.mark.waiting
def test_lock_is_held_while_a_migration_runs(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
) -> None:
    """Also if the server ends idle transactions early."""
    database = make_url(blank_database_url).database
    timeout = "idle_in_transaction_session_timeout = 2000"
    sql.execute(blank_database_url, f"ALTER DATABASE {database} SET {timeout}")
    with upgraded_app.app_context():
        db.engine.dispose()
    add_migrations(f'op.execute("""{ASSERT_LOCKED}""")')
    assert_upgraded(run_command, upgraded_app)


def test_upgrade_that_loses_the_lock_reports_it_after_the_migrations(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
) -> None:
    terminate = f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {IS_LOCK}"
    add_migrations(f'op.execute("""{terminate}""")', ADD_COLUMN)
    failed = run_command("db", "upgrade", app=upgraded_app)
    assert failed.exit_code == 1
    assert failed.output.splitlines()[-1].startswith("Error: the database is not")
    assert sql.execute(blank_database_url, READ_VERSION) == [(SECOND,)]


def test_upgrade_needs_one_connection_of_the_pool(
    run_command: RunCommand,
    blank_database_url: str,
    create_production_app: CreateProductionApp,
) -> None:
    app = create_production_app(DATABASE_URL=blank_database_url, DATABASE_POOL_SIZE=1)
    assert_upgraded(run_command, app)


def test_backfill_commits_each_batch_and_continues(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
    short_timeouts: None,
) -> None:
    add_migrations(ADD_COLUMN, FILL_COLUMN)
    add_users(blank_database_url, 5)
    assert run_command("db", "upgrade", FIRST, app=upgraded_app).exit_code == 0
    lock_last_user = "SELECT FROM users WHERE id = 5 FOR UPDATE"
    with open_transaction(blank_database_url, lock_last_user):
        assert run_command("db", "upgrade", app=upgraded_app).exit_code == 1
        filled = [("1",), ("2",), ("3",), ("4",)]
        assert sql.execute(blank_database_url, READ_TEAMS) == [*filled, (None,)]
    assert_upgraded(run_command, upgraded_app)
    assert sql.execute(blank_database_url, READ_TEAMS) == [*filled, ("5",)]
    count_transactions = "SELECT count(DISTINCT xmin::text) FROM users"
    assert sql.execute(blank_database_url, count_transactions) == [(3,)]


def test_invalid_index_of_a_failed_run_is_replaced(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
) -> None:
    add_migrations(CREATE_INDEX)
    add_users(blank_database_url, 2)
    sql.execute(blank_database_url, "UPDATE users SET username = 'same'")
    assert run_command("db", "upgrade", app=upgraded_app).exit_code == 1
    assert sql.execute(blank_database_url, READ_INDEX) == [(False,)]
    sql.execute(blank_database_url, "DELETE FROM users WHERE id = 1")
    assert_upgraded(run_command, upgraded_app)
    assert sql.execute(blank_database_url, READ_INDEX) == [(True,)]


def test_index_that_waits_for_an_older_transaction_is_one_line(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
    short_timeouts: None,
) -> None:
    add_migrations(CREATE_INDEX)
    with open_transaction(blank_database_url, "SELECT FROM users"):
        failed = run_command("db", "upgrade", app=upgraded_app)
        assert_one_line_error(failed, "users_name_key", "pg_stat_activity", "again")
    assert_upgraded(run_command, upgraded_app)
    assert sql.execute(blank_database_url, READ_INDEX) == [(True,)]


def test_column_with_null_is_not_made_required_until_it_is_filled(
    run_command: RunCommand,
    upgraded_app: Flask,
    blank_database_url: str,
    add_migrations: AddMigrations,
) -> None:
    add_migrations(ADD_COLUMN, REQUIRE_COLUMN)
    add_users(blank_database_url, 1)
    assert run_command("db", "upgrade", app=upgraded_app).exit_code == 1
    assert sql.execute(blank_database_url, READ_CONSTRAINTS) == [(False, 1)]
    sql.execute(blank_database_url, "UPDATE users SET team = 'a'")
    assert_upgraded(run_command, upgraded_app)
    assert sql.execute(blank_database_url, READ_CONSTRAINTS) == [(True, 0)]
