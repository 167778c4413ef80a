"""`manage.py recreate_db`."""

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection

import manage
from project import db
from project.database import migrations
from project.tests.functional.cli.helpers import stored_emails
from project.tests.types import AddUser, CreateProductionApp, RunCommand


@pytest.fixture
def production_app(
    create_production_app: CreateProductionApp, database_url: str
) -> Flask:
    """An application with production settings on the test database."""
    return create_production_app(DATABASE_URL=database_url)


def test_recreate_db_removes_users(run_command: RunCommand, add_user: AddUser) -> None:
    add_user("ada", "ada@example.com")
    result = run_command("recreate_db")
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
    assert run_command("recreate_db").exit_code == 1
    assert stored_emails() == ["ada@example.com"]


def test_recreate_db_needs_yes_in_production_without_a_terminal(
    run_command: RunCommand, production_app: Flask, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    refused = run_command("recreate_db", app=production_app)
    assert refused.exit_code == 1
    assert "users_test" in refused.output
    assert "1 user(s)" in refused.output
    assert "--yes" in refused.output
    assert stored_emails() == ["ada@example.com"]
    assert run_command("recreate_db", "--yes", app=production_app).exit_code == 0
    assert stored_emails() == []


@pytest.mark.parametrize("reply, remaining", [("n", 1), ("y", 0)])
def test_recreate_db_asks_for_confirmation_in_production(
    run_command: RunCommand,
    production_app: Flask,
    add_user: AddUser,
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
    remaining: int,
) -> None:
    add_user("ada", "ada@example.com")
    monkeypatch.setattr(manage, "is_interactive", lambda: True)
    result = run_command("recreate_db", app=production_app, input=reply)
    assert "Continue? [y/N]" in result.output
    assert len(stored_emails()) == remaining


def test_recreate_db_reports_table_locked_by_another_session(
    run_command: RunCommand,
    create_production_app: CreateProductionApp,
    database_url: str,
    add_user: AddUser,
) -> None:
    add_user("ada", "ada@example.com")
    app = create_production_app(
        DATABASE_URL=database_url, DATABASE_LOCK_TIMEOUT=1, CONFIRM_RECREATE=False
    )
    with db.engine.connect() as other_session:
        other_session.exec_driver_sql("SELECT * FROM users")
        blocked = run_command("recreate_db", app=app)
    assert blocked.exit_code == 1
    assert "another session holds a lock on the table" in blocked.output
    assert stored_emails() == ["ada@example.com"]
