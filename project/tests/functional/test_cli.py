"""`python manage.py …`, as an operator types it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url
from werkzeug.security import check_password_hash

import manage
from project import db, schema
from project.api.users.models import User
from project.database import normalise_url

# As PostgreSQL says it, or a pgbouncer in front of it.
NOWHERE = 'database "nowhere" does not exist|no such database: nowhere'

ROOT = Path(manage.__file__).parent


@pytest.fixture
def operator(production, database_url):
    """The application of an operator: production settings, the tests' database."""
    return production(DATABASE_URL=database_url)


def outside():
    """Return the environment of the tests without what names a database."""
    return {k: v for k, v in os.environ.items() if not k.startswith("DATABASE_")}


def run(*arguments, **variables):
    """Run `python manage.py` in a process of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**outside(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def emails():
    with db.engine.connect() as connection:
        return list(connection.scalars(db.select(User.email).order_by(User.id)))


def test_lists_its_commands():
    listed = run()
    for command in ("db", "recreate_db", "run", "seed_db", "shell"):
        assert f"\n  {command} " in listed.stdout + listed.stderr


def test_seed_db_can_run_again(invoke):
    first, second = invoke("seed_db"), invoke("seed_db")
    assert first.exit_code == second.exit_code == 0
    assert first.output.splitlines() == [
        "ada@example.com was added!",
        "grace@example.com was added!",
    ]
    assert "ada@example.com is there already." in second.output
    assert emails() == ["ada@example.com", "grace@example.com"]


def test_recreate_db(invoke, add_user):
    add_user("ada", "ada@example.com")
    done = invoke("recreate_db")
    assert done.exit_code == 0
    assert "Recreated" in done.output
    assert emails() == []


def test_recreate_db_on_nothing(invoke, operator, test_database):
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE users, alembic_version")
    assert invoke("recreate_db", app=operator).exit_code == 0
    assert invoke("recreate_db", app=operator).exit_code == 0
    assert emails() == []


def test_recreate_db_is_both_or_neither(invoke, add_user, monkeypatch):
    add_user("ada", "ada@example.com")

    def fail(connection):
        raise RuntimeError("interrupted")

    monkeypatch.setattr(schema, "upgrade", fail)
    assert invoke("recreate_db").exit_code == 1
    assert emails() == ["ada@example.com"]


def test_recreate_db_refuses_in_production_without_a_terminal(
    invoke, operator, add_user
):
    add_user("ada", "ada@example.com")
    refused = invoke("recreate_db", app=operator)
    assert refused.exit_code == 1
    assert "users_test" in refused.output
    assert "1 user(s)" in refused.output
    assert "--yes" in refused.output
    assert emails() == ["ada@example.com"]
    assert invoke("recreate_db", "--yes", app=operator).exit_code == 0
    assert emails() == []


@pytest.mark.parametrize("answer, left", [("n", 1), ("y", 0)])
def test_recreate_db_asks_in_production(
    invoke, operator, add_user, monkeypatch, answer, left
):
    add_user("ada", "ada@example.com")
    monkeypatch.setattr(manage, "has_terminal", lambda: True)
    asked = invoke("recreate_db", app=operator, input=answer)
    assert "Go on? [y/N]" in asked.output
    assert len(emails()) == left


def test_recreate_db_behind_an_open_transaction(
    invoke, production, database_url, add_user
):
    add_user("ada", "ada@example.com")
    impatient = production(
        DATABASE_URL=database_url, DATABASE_LOCK_TIMEOUT=1, GUARD_DATA=False
    )
    with db.engine.connect() as other:
        other.exec_driver_sql("SELECT * FROM users")
        blocked = invoke("recreate_db", app=impatient)
    assert blocked.exit_code == 1
    assert "another session holds the table" in blocked.output
    assert emails() == ["ada@example.com"]


@pytest.mark.parametrize("command", ["recreate_db", "seed_db", "db upgrade"])
def test_database_away(invoke, production, command):
    away = production(DATABASE_URL="postgresql://ada:secret@127.0.0.1:1/users")
    failed = invoke(*command.split(), app=away)
    assert failed.exit_code == 1
    assert "check that PostgreSQL runs" in failed.output
    assert len(failed.output.splitlines()) == 1
    assert "secret" not in failed.output


def test_wait_for_db(invoke):
    done = invoke("wait_for_db")
    assert done.exit_code == 0
    assert done.output.endswith("answers.\n")


def test_wait_for_db_ends(invoke, production):
    away = production(DATABASE_URL="postgresql://ada@127.0.0.1:1/users")
    failed = invoke("wait_for_db", "--seconds", "1", app=away)
    assert failed.exit_code == 1
    assert "check that PostgreSQL runs" in failed.output


def test_wait_for_db_does_not_wait_for_a_missing_database(
    invoke, production, database_url
):
    url = make_url(database_url).set(database="nowhere").render_as_string(False)
    start = time.monotonic()
    failed = invoke("wait_for_db", app=production(DATABASE_URL=url))
    assert time.monotonic() - start < 5
    assert failed.exit_code == 1
    assert re.search(NOWHERE, failed.output)


def test_database_not_there(database_url):
    nowhere = make_url(database_url).set(database="nowhere").render_as_string(False)
    failed = run(
        "recreate_db",
        APP_SETTINGS="project.config.ProductionConfig",
        DATABASE_URL=nowhere,
    )
    assert failed.returncode == 1
    assert re.search(NOWHERE, failed.stderr)
    assert len(failed.stderr.splitlines()) == 1


def test_seed_db_without_a_schema(invoke, test_database):
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE users, alembic_version")
    try:
        failed = invoke("seed_db")
        assert failed.exit_code == 1
        assert "python manage.py db upgrade" in failed.output
        assert invoke("db", "upgrade").exit_code == 0
        assert invoke("seed_db").exit_code == 0
    finally:
        schema.recreate()


@pytest.mark.parametrize("command", [["manage.py", "seed_db"], ["-m", "gunicorn"]])
def test_wrong_setting_is_one_line(command):
    failed = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=outside() | {"PORT": "none"},
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: wrong settings")
    assert len(failed.stderr.splitlines()) == 1


def test_shell_has_what_one_needs_at_hand(database_url):
    shell = subprocess.run(
        [sys.executable, "manage.py", "shell"],
        cwd=ROOT,
        env=outside() | {"DATABASE_TEST_URL": database_url},
        input="print(app.name, db.engine.dialect.name, User.__tablename__)\n",
        capture_output=True,
        text=True,
    )
    assert "project postgresql users" in shell.stdout


def test_serving_does_without_the_migrations():
    """What serves does not load them: a server starts the sooner."""
    check = (
        "import manage, sys; assert not {'alembic', 'mako'}.intersection(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=outside(), check=True)


def test_migrations_as_sql(invoke):
    assert "CREATE TABLE users" in invoke("db", "upgrade", "--sql").output


def test_hash_password(invoke):
    made = invoke("hash_password", input="correct horse battery\n" * 2)
    assert made.exit_code == 0
    assert check_password_hash(made.stdout.strip(), "correct horse battery")
    assert "correct" not in made.output


@pytest.mark.parametrize(
    "typed, said",
    [("short\nshort\n", "12 to 1024 characters"), ("one\nother\n", "do not match")],
)
def test_hash_password_refuses(invoke, typed, said):
    refused = invoke("hash_password", input=typed)
    assert refused.exit_code == 1
    assert said in refused.output
    assert refused.stdout == ""


def test_hash_password_helps_out_of_a_wrong_one():
    """The command that the message names works where the message comes up."""
    settings = {"APP_SETTINGS": "project.config.ProductionConfig"}
    refused = run("hash_password", ADMIN_PASSWORD="plain", **settings)
    assert refused.returncode == 1
    assert "`ADMIN_PASSWORD= python manage.py hash_password`" in refused.stderr
    assert run("hash_password", "--help", ADMIN_PASSWORD="", **settings).returncode == 0


def test_upgrade_by_a_role_that_may_not_create_extensions(database_url):
    """As on a managed PostgreSQL: the message says what its administrator has to do."""
    server = create_engine(
        normalise_url(database_url), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    own = make_url(database_url).set(database="restricted_test", username="restricted")
    settings = {
        "APP_SETTINGS": "project.config.ProductionConfig",
        "DATABASE_URL": own.set(password="x").render_as_string(False),
    }
    with server.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE restricted LOGIN PASSWORD 'x'")
        connection.exec_driver_sql("CREATE DATABASE restricted_test")
    try:
        url = normalise_url(database_url)
        inside = create_engine(
            make_url(url).set(database="restricted_test"), poolclass=NullPool
        )
        with inside.begin() as connection:
            connection.exec_driver_sql("GRANT CREATE ON SCHEMA public TO restricted")
        refused = run("db", "upgrade", **settings)
        assert refused.returncode == 1
        assert "run `CREATE EXTENSION pg_trgm;`" in refused.stderr
        assert "Traceback" not in refused.stderr
        with inside.begin() as connection:
            connection.exec_driver_sql("CREATE EXTENSION pg_trgm")
        assert run("db", "upgrade", **settings).returncode == 0
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE restricted_test WITH (FORCE)")
            connection.exec_driver_sql("DROP ROLE restricted")
