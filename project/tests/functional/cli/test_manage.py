"""manage.py and the `flask` command: commands, settings, errors, loaded modules."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from devtools.servers import ROOT, clean_environment
from project import __version__
from project.tests.functional.cli.helpers import run_manage, run_python

pytestmark = pytest.mark.subprocess

COMMANDS = ("db", "recreate_db", "run", "routes", "seed_db", "import_users", "shell")


# How a developer may call a command: the arguments of Python, and FLASK_APP.
WAYS = {
    "manage.py": (["manage.py"], ""),
    "flask": (["-m", "flask"], ""),
    "--app": (["-m", "flask", "--app", "project"], ""),
    "FLASK_APP=__init__.py": (["-m", "flask"], "project/__init__.py"),
    "FLASK_APP=manage.py": (["-m", "flask"], "manage.py"),
}


@pytest.mark.parametrize("way", WAYS)
def test_commands_can_be_called_in_every_way_of_flask(
    way: str, database_url: str
) -> None:
    program, flask_app = WAYS[way]
    # The `flask` command reads .flaskenv.
    variables = {"DATABASE_TEST_URL": database_url, "FLASK_SKIP_DOTENV": ""}
    if flask_app:
        variables["FLASK_APP"] = flask_app
    listed = run_python(*program, "--help", **variables)
    assert listed.returncode == 0, listed.stderr
    for command in COMMANDS:
        assert f"\n  {command} " in listed.stdout


@pytest.mark.parametrize("application", ["project", "manage.py"])
def test_commands_of_extensions_work_with_the_flask_command(
    application: str, database_url: str
) -> None:
    """`create_app` initializes Flask-Migrate for a command line only."""
    command = ("-m", "flask", "--app", application, "db", "current")
    result = run_python(*command, DATABASE_TEST_URL=database_url)
    assert result.returncode == 0, result.stderr


def test_flask_command_reports_an_unreachable_server_in_one_line() -> None:
    failed = run_python(
        *("-m", "flask", "--app", "project", "seed_db"),
        DATABASE_TEST_URL="postgresql://ada@127.0.0.1:1/users_test",
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: the database is not available")
    assert len(failed.stderr.splitlines()) == 1


def test_command_runs_from_another_folder(database_url: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "manage.py", "db", "upgrade"],
        cwd=tmp_path,
        env=clean_environment()
        | {
            "APP_SETTINGS": "project.config.TestingConfig",
            "DATABASE_TEST_URL": database_url,
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py"],
        ["manage.py", "run"],
        ["-m", "flask", "--app", "project", "seed_db"],
        ["-m", "gunicorn"],
    ],
    ids=" ".join,
)
def test_configuration_that_does_not_exist_is_reported_in_one_line(
    command: list[str],
) -> None:
    failed = run_python(
        *command, APP_SETTINGS="project.config.Development", FLASK_SKIP_DOTENV=""
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: APP_SETTINGS='project.config.Development'")
    assert len(failed.stderr.splitlines()) == 1


OLD_PYTHON = """
import runpy, sys
sys.version_info = (3, 10, 12, "final", 0)
sys.path.insert(0, ".")
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("path", ["project/python_version.py", "manage.py"])
def test_old_python_is_reported_in_one_line(path: str) -> None:
    failed = run_python("-c", OLD_PYTHON, path)
    assert failed.returncode == 1
    assert "needs Python 3.11 or later" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_version_option_prints_the_versions() -> None:
    shown = run_manage("--version")
    python, flask = platform.python_version(), version("flask")
    assert shown.stdout == f"users {__version__} (Python {python}, Flask {flask})\n"


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
