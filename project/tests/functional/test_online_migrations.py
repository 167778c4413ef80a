"""The procedure of docs/operations.md for changing a table under load.

`python -m chaos migration` runs it under load. These tests check each step.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import sql
from devtools.project_copy import ProjectCopy, copy_project_with_new_field
from devtools.servers import ROOT
from project.tests.databases import own_name, temporary_database

pytestmark = pytest.mark.subprocess

COLUMN = "example_language"
READ_VALUES = f"SELECT email, {COLUMN} FROM users ORDER BY email"
# A table that is rewritten gets another file.
READ_FILE = "SELECT pg_relation_filenode('users')"
READ_INDEX = f"""
    SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users_{COLUMN}'::regclass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the project with the four migrations."""
    return copy_project_with_new_field(tmp_path_factory.mktemp("new") / "project")


@pytest.fixture
def project_copy(folder: Path, database_url: str) -> Iterator[ProjectCopy]:
    """The copy, on a database with the schema of the project."""
    with temporary_database(database_url, own_name("online")) as url:
        ProjectCopy(ROOT, url).run("manage.py", "db", "upgrade")
        yield ProjectCopy(folder, url)


def add_user(project: ProjectCopy, email: str) -> None:
    """Add a user as the version that does not know the column."""
    sql.execute(
        project.database_url,
        f"INSERT INTO users (username, email) VALUES ('', '{email}')",
    )


def test_each_step_leaves_the_table_in_place(project_copy: ProjectCopy) -> None:
    url = project_copy.database_url
    expand, backfill, index, contract = project_copy.migrations()[-4:]
    add_user(project_copy, "a@example.com")
    add_user(project_copy, "b@example.de")
    file = sql.execute(url, READ_FILE)

    project_copy.run("manage.py", "db", "upgrade", expand)
    add_user(project_copy, "c@example.de")
    assert sql.execute(url, READ_VALUES) == [
        ("a@example.com", None),
        ("b@example.de", None),
        ("c@example.de", "en"),
    ]

    project_copy.run("manage.py", "db", "upgrade", backfill)
    assert sql.execute(url, READ_VALUES) == [
        ("a@example.com", "en"),
        ("b@example.de", "de"),
        ("c@example.de", "en"),
    ]

    project_copy.run("manage.py", "db", "upgrade", index)
    assert sql.execute(url, READ_INDEX) == [(True,)]

    project_copy.run("manage.py", "db", "upgrade", contract)
    add_user(project_copy, "d@example.com")
    assert sql.execute(url, READ_FILE) == file
    project_copy.run("manage.py", "db", "check")


def test_all_steps_run_in_one_upgrade_and_can_be_reverted(
    project_copy: ProjectCopy,
) -> None:
    previous = project_copy.migrations()[-5]
    add_user(project_copy, "a@example.com")
    for _ in range(2):
        project_copy.run("manage.py", "db", "upgrade")
        assert sql.execute(project_copy.database_url, READ_VALUES) == [
            ("a@example.com", "en")
        ]
        project_copy.run("manage.py", "db", "downgrade", previous)
    ProjectCopy(ROOT, project_copy.database_url).run("manage.py", "db", "check")


def test_recreate_db_runs_the_migrations_in_one_transaction(
    project_copy: ProjectCopy,
) -> None:
    project_copy.run("manage.py", "db", "upgrade")
    project_copy.run("manage.py", "recreate_db", "--yes")
    assert sql.execute(project_copy.database_url, READ_INDEX) == [(True,)]
    project_copy.run("manage.py", "db", "check")


def test_printed_sql_has_the_same_effect(
    project_copy: ProjectCopy, database_url: str
) -> None:
    printed = project_copy.run("manage.py", "db", "upgrade", "--sql")
    with temporary_database(database_url, own_name("printed")) as url:
        printed_copy = ProjectCopy(project_copy.folder, url)
        printed_copy.run("manage.py", "psql", "-v", "ON_ERROR_STOP=1", input=printed)
        assert sql.execute(url, READ_INDEX) == [(True,)]
        printed_copy.run("manage.py", "db", "check")
