"""`manage.py wait_for_db`."""

import re
import time

import pytest
from sqlalchemy import make_url

from project.tests.functional.cli.helpers import MISSING_DATABASE
from project.tests.types import CreateProductionApp, RunCommand


def test_wait_for_db_returns_when_database_responds(run_command: RunCommand) -> None:
    result = run_command("wait_for_db")
    assert result.exit_code == 0
    assert result.output.endswith("answers.\n")


@pytest.mark.waiting
def test_wait_for_db_fails_after_the_given_seconds(
    run_command: RunCommand, create_production_app: CreateProductionApp
) -> None:
    app = create_production_app(DATABASE_URL="postgresql://ada@127.0.0.1:1/users")
    failed = run_command("wait_for_db", "--seconds", "1", app=app)
    assert failed.exit_code == 1
    assert "check that PostgreSQL is running" in failed.output


def test_wait_for_db_fails_at_once_if_database_does_not_exist(
    run_command: RunCommand,
    create_production_app: CreateProductionApp,
    database_url: str,
) -> None:
    url = make_url(database_url).set(database="nowhere").render_as_string(False)
    start = time.monotonic()
    failed = run_command("wait_for_db", app=create_production_app(DATABASE_URL=url))
    # Otherwise it takes 60 seconds.
    assert time.monotonic() - start < 30
    assert failed.exit_code == 1
    assert re.search(MISSING_DATABASE, failed.output)
