"""manage.py itself: its commands, its shell, and wrong settings."""

import pytest

from project.tests.functional.cli.helpers import run_manage, run_python


def test_manage_lists_its_commands() -> None:
    listed = run_manage()
    for command in ("db", "recreate_db", "run", "seed_db", "shell"):
        assert f"\n  {command} " in listed.stdout + listed.stderr


@pytest.mark.parametrize("command", [["manage.py", "seed_db"], ["-m", "gunicorn"]])
def test_wrong_setting_is_reported_in_one_line(command: list[str]) -> None:
    failed = run_python(*command, PORT="none")
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: invalid settings")
    assert len(failed.stderr.splitlines()) == 1


def test_shell_provides_app_db_and_user(database_url: str) -> None:
    shell = run_python(
        "manage.py",
        "shell",
        input="print(app.name, db.engine.dialect.name, User.__tablename__)\n",
        DATABASE_TEST_URL=database_url,
    )
    assert "project postgresql users" in shell.stdout


def test_import_of_app_does_not_import_migrations() -> None:
    """Importing them would make a server start more slowly."""
    modules = {"alembic", "mako"}
    check = f"import manage, sys; assert not {modules}.intersection(sys.modules)"
    imported = run_python("-c", check)
    assert imported.returncode == 0, imported.stderr
