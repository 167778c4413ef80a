"""`manage.py psql`."""

import pytest

from project.database.availability import DatabaseNotConfigured
from project.database.psql import find_psql
from project.tests.functional.cli.helpers import run_manage

pytestmark = pytest.mark.subprocess

try:
    find_psql()
except DatabaseNotConfigured:
    pytest.skip("psql is not installed", allow_module_level=True)


def test_psql_connects_to_the_database(database_url: str) -> None:
    arguments = ("psql", "-Atc", "SELECT 6 * 7")
    result = run_manage(*arguments, DATABASE_TEST_URL=database_url)
    assert (result.returncode, result.stdout) == (0, "42\n")
    failed = run_manage("psql", "-c", "wrong", DATABASE_TEST_URL=database_url)
    assert failed.returncode == 1
    assert "syntax error" in failed.stderr
