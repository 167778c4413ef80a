"""`manage.py recreate_db`."""

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection

from devtools import sql
from project import create_app, db
from project.database import commands, migrations
from project.tests.functional.cli.helpers import (
    HEAD,
    assert_one_line_error,
    stored_emails,
)
from project.tests.types import AddUser, CreateProductionApp, RunCommand


@pytest.fixture
def production_app(
    create_production_app: CreateProductionApp, database_url: str
) -> Flask:
    """An application with production settings on the test database."""
    return create_production_app(DATABASE_URL=database_url)


def test_recreate_db_removes_users(run_command: RunCommand, add_user: AddUser) -> None:
    add_user("ada", "ada@example.com")
    result = run_command("recreate_db", "--yes")
    assert result.exit_code == 0
    assert "Recreated" in result.output
    assert stored_emails() == []


def test_recreate_db_works_without_a_schema(
    run_command: RunCommand, production_app: Flask, test_database: SQLAlchemy
) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE users, alembic_version")
    assert run_command("recreate_db", app=production_app).exit_code == 0
    assert run_command("recreate_db", app=production_app).exit_code == 0
    assert stored_emails() == []


def test_interrupted_recreate_db_keeps_users(
    run_command: RunCommand, add_user: AddUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user("ada", "ada@example.com")

    def fail(connection: Connection) -> None:
        raise RuntimeError("interrupted")

    monkeypatch.setattr(migrations, "upgrade", fail)
    assert run_command("recreate_db", "--yes").exit_code == 1
    assert stored_emails() == ["ada@example.com"]


@pytest.mark.parametrize("name", ["Development", "Testing", "Production"])
def test_recreate_db_needs_yes_without_a_terminal(
    run_command: RunCommand,
    database_url: str,
    add_user: AddUser,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    app = create_app(f"project.config.{name}Config")
    add_user("ada", "ada@example.com")
    refused = run_command("recreate_db", app=app)
    database = str(db.engine.url.database)
    assert_one_line_error(refused, database, "1 row(s) in users", "--yes")
    assert stored_emails() == ["ada@example.com"]
    assert run_command("recreate_db", "--yes", app=app).exit_code == 0
    assert stored_emails() == []


@pytest.mark.parametrize("reply, remaining", [("n", 1), ("y", 0)])
def test_recreate_db_asks_for_confirmation(
    run_command: RunCommand,
    add_user: AddUser,
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
    remaining: int,
) -> None:
    add_user("ada", "ada@example.com")
    monkeypatch.setattr(commands, "is_interactive", lambda: True)
    result = run_command("recreate_db", input=reply)
    assert "Continue? [y/N]" in result.output
    assert len(stored_emails()) == remaining


def test_recreate_db_does_not_ask_on_the_embedded_database(
    run_command: RunCommand,
    test_app: Flask,
    add_user: AddUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(test_app.config, "USES_EMBEDDED_DATABASE", True)
    add_user("ada", "ada@example.com")
    assert run_command("recreate_db").exit_code == 0
    assert stored_emails() == []


@pytest.mark.waiting
def test_recreate_db_reports_table_locked_by_another_session(
    run_command: RunCommand,
    create_production_app: CreateProductionApp,
    database_url: str,
    add_user: AddUser,
) -> None:
    add_user("ada", "ada@example.com")
    app = create_production_app(DATABASE_URL=database_url, DATABASE_LOCK_TIMEOUT=1)
    with db.engine.connect() as other_session:
        other_session.exec_driver_sql("SELECT * FROM users")
        blocked = run_command("recreate_db", "--yes", app=app)
    assert blocked.exit_code == 1
    assert "another session holds a lock on the table" in blocked.output
    assert stored_emails() == ["ada@example.com"]


def test_recreate_db_reports_objects_that_depend_on_the_table(
    run_command: RunCommand, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    with db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW addresses AS SELECT email FROM users")
        connection.exec_driver_sql("CREATE TABLE o (user_id bigint REFERENCES users)")
    try:
        refused = run_command("recreate_db", "--yes")
        assert_one_line_error(refused, "view addresses", "table o", "drop them first")
        assert stored_emails() == ["ada@example.com"]
    finally:
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE o")
            connection.exec_driver_sql("DROP VIEW addresses")


@pytest.mark.parametrize(
    "statement, reason",
    [
        ("CREATE TABLE users (id serial, email text)", "no column username, active"),
        (
            "CREATE TABLE alembic_version (version_num varchar(32));"
            "INSERT INTO alembic_version VALUES ('3f2a9c')",
            "has run the migration 3f2a9c, which this version of the service lacks",
        ),
        # Another application whose migrations have the same numbers.
        (
            "CREATE TABLE alembic_version (version_num varchar(32));"
            "INSERT INTO alembic_version VALUES ('0001');"
            "CREATE TABLE orders (id serial)",
            "are another application's",
        ),
    ],
)
def test_recreate_db_refuses_the_database_of_another_application(
    run_command: RunCommand,
    blank_app: Flask,
    blank_database_url: str,
    statement: str,
    reason: str,
) -> None:
    list_columns = """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' ORDER BY 1, 2
    """
    sql.execute(blank_database_url, statement)
    tables = sql.execute(blank_database_url, list_columns)
    for options in ([], ["--yes"]):
        refused = run_command("recreate_db", *options, app=blank_app)
        assert_one_line_error(refused, reason, "point DATABASE_URL to another")
        assert "recreate" not in refused.output
    assert sql.execute(blank_database_url, list_columns) == tables


def test_recreate_db_keeps_other_tables(
    run_command: RunCommand, blank_app: Flask, blank_database_url: str
) -> None:
    sql.execute(blank_database_url, "CREATE TABLE orders AS SELECT 1 AS id")
    for _ in range(2):
        assert run_command("recreate_db", app=blank_app).exit_code == 0
    assert sql.execute(blank_database_url, "TABLE orders") == [(1,)]


def test_recreate_db_works_after_create_all_and_drop_all(
    run_command: RunCommand, blank_app: Flask, blank_database_url: str
) -> None:
    with blank_app.app_context():
        db.create_all()
    assert run_command("recreate_db", app=blank_app).exit_code == 0
    with blank_app.app_context():
        db.drop_all()
    assert run_command("recreate_db", app=blank_app).exit_code == 0
    assert sql.execute(blank_database_url, "TABLE users") == []


def test_recreate_db_works_on_an_older_schema(
    run_command: RunCommand, blank_app: Flask, blank_database_url: str
) -> None:
    assert run_command("db", "upgrade", "0001", app=blank_app).exit_code == 0
    assert run_command("recreate_db", app=blank_app).exit_code == 0
    versions = sql.execute(blank_database_url, "TABLE alembic_version")
    assert versions == [(HEAD,)]
