"""`manage.py db upgrade`, and what other commands say about the schema."""

import os
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import make_url

from devtools import sql
from devtools.servers import free_port
from project import db
from project.cli import prepare_development_server
from project.database.schema import SchemaError
from project.tests.functional.cli.helpers import HEAD, assert_one_line_error
from project.tests.types import CreateProductionApp, RunCommand

# In the order in which they are created.
EXTENSIONS = ("pg_trgm", "btree_gist")

# Roles belong to the server, which other test processes use, too.
ROLE = f"restricted_{os.getpid()}"


@pytest.fixture
def restricted_app(
    create_production_app: CreateProductionApp, blank_database_url: str
) -> Iterator[Flask]:
    """An application on a blank database whose role may not create an extension."""
    url = make_url(blank_database_url).set(username=ROLE, password="x")
    sql.execute(blank_database_url, f"CREATE ROLE {ROLE} LOGIN PASSWORD 'x'")
    sql.execute(blank_database_url, f"GRANT CREATE ON SCHEMA public TO {ROLE}")
    yield create_production_app(DATABASE_URL=url.render_as_string(False))
    sql.execute(blank_database_url, f"DROP OWNED BY {ROLE}")
    sql.execute(blank_database_url, f"DROP ROLE {ROLE}")


def test_upgrade_prints_sql(run_command: RunCommand) -> None:
    printed = run_command("db", "upgrade", "--sql").output
    assert "CREATE TABLE users" in printed
    for name in EXTENSIONS:
        assert f"CREATE EXTENSION IF NOT EXISTS {name}" in printed
    assert "CREATE OR REPLACE FUNCTION users_mailbox" in printed


def test_upgrade_without_permission_names_the_extension_to_create(
    run_command: RunCommand, restricted_app: Flask, blank_database_url: str
) -> None:
    """On a managed PostgreSQL, only an administrator may create an extension."""
    for name in EXTENSIONS:
        refused = run_command("db", "upgrade", app=restricted_app)
        *steps, message = refused.output.splitlines()
        assert refused.exit_code == 1
        assert message.startswith("Error: permission denied")
        assert f"run `CREATE EXTENSION {name};`" in message
        sql.execute(blank_database_url, f"CREATE EXTENSION {name}")
    assert run_command("db", "upgrade", app=restricted_app).exit_code == 0


def test_role_that_is_not_the_owner_can_write_after_the_upgrade(
    run_command: RunCommand,
    restricted_app: Flask,
    blank_app: Flask,
    blank_database_url: str,
) -> None:
    assert run_command("db", "upgrade", "0005", app=blank_app).exit_code == 0
    privileges = "SELECT, INSERT, UPDATE, DELETE"
    sql.execute(blank_database_url, f"GRANT {privileges} ON users TO {ROLE}")
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    assert run_command("seed_db", app=restricted_app).exit_code == 0
    assert (
        run_command("purge_history", "--days", "0", app=restricted_app).exit_code == 0
    )
    assert sql.execute(blank_database_url, "SELECT count(*) FROM users") == [(2,)]


def test_create_all_without_permission_names_the_extension_to_create(
    restricted_app: Flask, blank_database_url: str
) -> None:
    with restricted_app.app_context():
        for name in EXTENSIONS:
            with pytest.raises(SchemaError, match=f"run `CREATE EXTENSION {name};`"):
                db.create_all()
            sql.execute(blank_database_url, f"CREATE EXTENSION {name}")
        db.create_all()


def test_upgrade_without_permission_for_the_schema_is_one_line(
    run_command: RunCommand, restricted_app: Flask, blank_database_url: str
) -> None:
    sql.execute(blank_database_url, f"REVOKE CREATE ON SCHEMA public FROM {ROLE}")
    refused = run_command("db", "upgrade", app=restricted_app)
    assert_one_line_error(refused, "permission denied", "grant the missing privileges")


@pytest.mark.parametrize(
    "command", ["upgrade", "downgrade", "current", "check", "migrate", "stamp head"]
)
def test_unknown_revision_is_reported_in_one_line(
    run_command: RunCommand, blank_app: Flask, blank_database_url: str, command: str
) -> None:
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    sql.execute(blank_database_url, "UPDATE alembic_version SET version_num = '0099'")
    failed = run_command("db", *command.split(), app=blank_app)
    assert_one_line_error(
        failed, "0099", "use the version that has it", "another application"
    )


def test_unknown_revision_of_the_embedded_database_is_reported_with_its_remedy(
    run_command: RunCommand,
    blank_app: Flask,
    blank_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    sql.execute(blank_database_url, "UPDATE alembic_version SET version_num = '0099'")
    monkeypatch.setitem(blank_app.config, "USES_EMBEDDED_DATABASE", True)
    failed = run_command("recreate_db", app=blank_app)
    assert_one_line_error(failed, "0099", "db downgrade", "delete the folder")
    with pytest.raises(SchemaError, match="0099.*db downgrade.*delete the folder"):
        prepare_development_server(blank_app, db, "127.0.0.1", free_port())


def test_mistyped_revision_is_reported_in_one_line(run_command: RunCommand) -> None:
    failed = run_command("db", "upgrade", "0099")
    assert_one_line_error(failed, "Can't locate revision identified by '0099'")


def test_upgrade_after_create_all_keeps_the_users(
    run_command: RunCommand, blank_app: Flask, blank_database_url: str
) -> None:
    with blank_app.app_context():
        db.create_all()
    assert run_command("seed_db", app=blank_app).exit_code == 0
    failed = run_command("db", "upgrade", app=blank_app)
    assert_one_line_error(failed, "python manage.py db stamp head")
    stamped = run_command("db", "stamp", "head", app=blank_app)
    assert stamped.output == f"schema: stamped as {HEAD}\n"
    upgraded = run_command("db", "upgrade", app=blank_app)
    assert (upgraded.exit_code, upgraded.output) == (0, "")
    assert run_command("db", "check", app=blank_app).exit_code == 0
    assert sql.execute(blank_database_url, "SELECT count(*) FROM users") == [(2,)]


def test_upgrade_after_drop_all_needs_a_stamp(
    run_command: RunCommand, blank_app: Flask
) -> None:
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    with blank_app.app_context():
        db.drop_all()
    assert_one_line_error(
        run_command("seed_db", app=blank_app), "python manage.py db stamp base"
    )
    stamped = run_command("db", "stamp", "base", app=blank_app)
    assert stamped.output == "schema: stamped as base\n"
    for command in (["db", "upgrade"], ["seed_db"]):
        assert run_command(*command, app=blank_app).exit_code == 0


def test_upgrade_of_another_application_s_table_is_refused(
    run_command: RunCommand, blank_app: Flask, blank_database_url: str
) -> None:
    sql.execute(blank_database_url, "CREATE TABLE users (id serial, email text)")
    for command in (["db", "upgrade"], ["seed_db"], ["export_users"]):
        failed = run_command(*command, app=blank_app)
        assert failed.exit_code == 1
        assert "recreate" not in failed.output
    refused = run_command("db", "upgrade", app=blank_app)
    assert_one_line_error(refused, "point DATABASE_URL to another database")
