"""`manage.py db migrate`, `db revision` and `db merge` write numbered migrations."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.util import compat
from click.testing import Result
from flask import Flask
from sqlalchemy.dialects.postgresql import JSONB

from project import db
from project.tests.functional.cli.helpers import HEAD, assert_one_line_error
from project.tests.types import RunCommand

FIRST, SECOND, THIRD = (f"{int(HEAD) + new:04}" for new in (1, 2, 3))

# The commands run the formatters.
pytestmark = pytest.mark.subprocess


class Phone(sa.TypeDecorator[str]):
    """A type that SQLAlchemy does not define."""

    impl = sa.String
    cache_ok = True


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> sa.Table:
    """The users table of a copy of the models, which a test may change."""
    metadata = sa.MetaData()
    for table in db.metadata.sorted_tables:
        table.to_metadata(metadata)
    monkeypatch.setitem(db.metadatas, None, metadata)
    return metadata.tables["users"]


def assert_formatted(path: Path) -> None:
    """Assert that the format checks accept a file."""
    for check in (["black", "--check"], ["isort", "--check"], ["flake8"]):
        command = [sys.executable, "-m", *check, str(path)]
        checked = subprocess.run(command, cwd=path.parent, capture_output=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def assert_written(result: Result, versions: Path, name: str) -> str:
    """Assert that a command has written a formatted migration, and return its text."""
    assert result.exit_code == 0, result.output
    assert_formatted(versions / name)
    return (versions / name).read_text()


def test_migrate_writes_nothing_if_nothing_changed(
    run_command: RunCommand, upgraded_app: Flask, versions: Path
) -> None:
    before = sorted(versions.glob("*.py"))
    result = run_command("db", "migrate", "-m", "Nothing", app=upgraded_app)
    assert result.exit_code == 0
    assert "nothing changed" in result.output
    assert sorted(versions.glob("*.py")) == before


def test_migrate_writes_the_next_number(
    run_command: RunCommand, upgraded_app: Flask, versions: Path, users: sa.Table
) -> None:
    users.append_column(sa.Column("phone", Phone(16)))
    users.append_column(sa.Column("settings", JSONB, server_default="{}"))
    message = f"Add {', '.join(['a phone'] * 12)}"
    result = run_command("db", "migrate", "-m", message, app=upgraded_app)
    [path] = versions.glob(f"{FIRST}_*.py")
    text = assert_written(result, versions, path.name)
    assert f'revision = "{FIRST}"\ndown_revision = "{HEAD}"' in text
    assert "from sqlalchemy.dialects import postgresql" in text
    assert f"{__name__}.Phone(length=16)" in text
    assert "###" not in text
    for command in ("upgrade", "check", "downgrade"):
        assert run_command("db", command, app=upgraded_app).exit_code == 0


def test_migrate_imports_only_what_it_uses(
    run_command: RunCommand, upgraded_app: Flask, versions: Path, users: sa.Table
) -> None:
    sa.Index("users_username_key", users.c.username)
    result = run_command("db", "migrate", "-m", "Add an index", app=upgraded_app)
    text = assert_written(result, versions, f"{FIRST}_add_an_index.py")
    assert "import sqlalchemy" not in text


def test_migrate_detects_a_new_default(
    run_command: RunCommand, upgraded_app: Flask, versions: Path, users: sa.Table
) -> None:
    users.c.active.server_default = sa.DefaultClause(sa.false())
    result = run_command("db", "migrate", "-m", "Change", app=upgraded_app)
    assert "alter_column" in assert_written(result, versions, f"{FIRST}_change.py")


def test_migrate_accepts_a_revision_id(
    run_command: RunCommand, upgraded_app: Flask, versions: Path, users: sa.Table
) -> None:
    users.append_column(sa.Column("phone", sa.String(16)))
    options = ("-m", "Add the phone", "--rev-id", "abc")
    assert run_command("db", "migrate", *options, app=upgraded_app).exit_code == 0
    assert (versions / "abc_add_the_phone.py").exists()


@pytest.mark.parametrize("command", ["migrate", "check"])
def test_migrate_needs_an_upgraded_database(
    run_command: RunCommand, blank_app: Flask, versions: Path, command: str
) -> None:
    failed = run_command("db", command, app=blank_app)
    assert_one_line_error(failed, "run `python manage.py db upgrade`")


def test_revision_writes_an_empty_migration_with_the_next_number(
    run_command: RunCommand, versions: Path
) -> None:
    result = run_command("db", "revision", "-m", 'Fill "x".')
    text = assert_written(result, versions, f"{FIRST}_fill_x.py")
    assert text.startswith('"""Fill "x"."""\n')
    assert f'revision = "{FIRST}"\ndown_revision = "{HEAD}"' in text


def test_missing_formatter_is_reported_without_a_traceback(
    run_command: RunCommand, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the production image."""
    monkeypatch.setattr(compat, "importlib_metadata_get", lambda group: [])
    result = run_command("db", "revision", "-m", "Empty")
    assert isinstance(result.exception, SystemExit)
    assert (versions / f"{FIRST}_empty.py").exists()


def test_two_latest_migrations_are_merged_with_the_next_number(
    run_command: RunCommand, upgraded_app: Flask, versions: Path
) -> None:
    assert run_command("db", "revision", "-m", "one").exit_code == 0
    result = run_command("db", "revision", "-m", "two", "--head", HEAD, "--splice")
    assert result.exit_code == 0
    failed = run_command("db", "upgrade", app=upgraded_app)
    assert_one_line_error(
        failed, f"{FIRST}, {SECOND}", "`python manage.py db merge heads"
    )
    merged = run_command("db", "merge", "heads", "-m", "Merge")
    text = assert_written(merged, versions, f"{THIRD}_merge.py")
    assert f'down_revision = ("{FIRST}", "{SECOND}")' in text
    assert run_command("db", "upgrade", app=upgraded_app).exit_code == 0


@pytest.mark.parametrize("command", ["upgrade", "migrate", "revision", "merge heads"])
def test_two_migrations_with_the_same_number_are_reported(
    run_command: RunCommand, upgraded_app: Flask, versions: Path, command: str
) -> None:
    """Two branches have added one. Alembic would ignore one of them."""
    assert run_command("db", "revision", "-m", "one").exit_code == 0
    text = (versions / f"{FIRST}_one.py").read_text()
    (versions / f"{FIRST}_two.py").write_text(text)
    failed = run_command("db", *command.split(), app=upgraded_app)
    assert_one_line_error(
        failed, f"{FIRST}_one.py and {FIRST}_two.py", "the next number"
    )
    # Follow the advice.
    renumbered = re.sub(f'"{FIRST}"', f'"{SECOND}"', text).replace(
        f'"{HEAD}"', f'"{FIRST}"'
    )
    (versions / f"{FIRST}_two.py").unlink()
    (versions / f"{SECOND}_two.py").write_text(renumbered)
    assert run_command("db", "upgrade", app=upgraded_app).exit_code == 0
