"""Commands report an unavailable database, or a missing schema, with a hint."""

import re

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import make_url

from project import db
from project.database import migrations
from project.tests.functional.cli.helpers import MISSING_DATABASE, run_manage
from project.tests.types import CreateProductionApp, RunCommand


@pytest.mark.parametrize("command", ["recreate_db", "seed_db", "db upgrade"])
def test_unreachable_server_is_reported_in_one_line(
    run_command: RunCommand, create_production_app: CreateProductionApp, command: str
) -> None:
    app = create_production_app(
        DATABASE_URL="postgresql://ada:secret@127.0.0.1:1/users"
    )
    failed = run_command(*command.split(), app=app)
    assert failed.exit_code == 1
    assert "check that PostgreSQL is running" in failed.output
    assert len(failed.output.splitlines()) == 1
    assert "secret" not in failed.output


@pytest.mark.subprocess
def test_missing_database_is_reported_in_one_line(database_url: str) -> None:
    url = make_url(database_url).set(database="nowhere").render_as_string(False)
    failed = run_manage(
        "recreate_db",
        APP_SETTINGS="project.config.ProductionConfig",
        DATABASE_URL=url,
    )
    assert failed.returncode == 1
    assert re.search(MISSING_DATABASE, failed.stderr)
    assert len(failed.stderr.splitlines()) == 1


def test_missing_schema_is_reported_with_the_command_that_creates_it(
    run_command: RunCommand, test_database: SQLAlchemy
) -> None:
    with db.engine.begin() as connection:
        db.metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    try:
        failed = run_command("seed_db")
        assert failed.exit_code == 1
        assert "python manage.py db upgrade" in failed.output
        assert run_command("db", "upgrade").exit_code == 0
        assert run_command("seed_db").exit_code == 0
    finally:
        migrations.recreate(db)
