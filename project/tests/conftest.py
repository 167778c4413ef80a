"""Shared fixtures: a PostgreSQL server, the application on it, and its users."""

import contextvars
import os
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import ROOT
from project import create_app, db
from project.api.users.models import User
from project.config import DOTENV, Environment, ProductionConfig, load_dotenv
from project.database import embedded, migrations
from project.tests import databases
from project.tests.browser import browser, browser_page
from project.tests.client import IsolatedClient
from project.tests.types import AddUser, CreateProductionApp, RunCommand

__all__ = ["browser", "browser_page"]

# The tests ignore the developer's environment and .env, except for the database.
# `manage` builds its application when a test module imports it, so the variables are
# removed here, before that.
load_dotenv(DOTENV)
os.environ["FLASK_SKIP_DOTENV"] = "1"
for name in Environment.model_fields.keys() - {"DATABASE_TEST_URL"}:
    os.environ.pop(name, None)
os.environ["APP_SETTINGS"] = "project.config.TestingConfig"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse `-n` on a server where its processes cannot create their databases."""
    url = os.environ.get("DATABASE_TEST_URL")
    if url and session.config.getoption("numprocesses", None):
        if not databases.may_create(url):
            raise pytest.UsageError(
                "the user in DATABASE_TEST_URL may not create databases, which `-n`"
                " needs: run the tests with `pytest -n 0`"
            )


@pytest.fixture(scope="session", autouse=True)
def database_url(worker_id: str) -> Iterator[str]:
    """URL of the test database, which no other process uses.

    It is DATABASE_TEST_URL; with `pytest -n`, each process has a database of its own on
    that server, for one run at a time. Without DATABASE_TEST_URL, the database is on an
    embedded server, which keeps its data: initializing it takes longer than most tests.
    """
    server_url = os.environ.get("DATABASE_TEST_URL")
    name = f"users_{worker_id}_test"
    if server_url and worker_id == "master":
        yield server_url
        return
    if not server_url:
        server_url = embedded.start(ROOT / "instance" / "postgres_test", "postgres")
        databases.drop_leftovers(server_url)
        name = databases.own_name("users")
    with databases.temporary_database(server_url, name) as url:
        os.environ["DATABASE_TEST_URL"] = url
        yield url


@pytest.fixture
def blank_database_url(database_url: str) -> Iterator[str]:
    """URL of an empty database that only this test uses."""
    name = databases.own_name("blank")
    with databases.temporary_database(database_url, name) as url:
        yield url


@pytest.fixture(scope="module")
def test_app(database_url: str) -> Iterator[Flask]:
    """The application under TestingConfig, with its context pushed."""
    app = create_app("project.config.TestingConfig")
    app.test_client_class = IsolatedClient
    with app.app_context():
        yield app
    databases.dispose_engines(app)


@pytest.fixture(scope="module")
def test_database(test_app: Flask) -> Iterator[SQLAlchemy]:
    """The database with a fresh schema, dropped at the end of the module."""
    migrations.recreate(db)
    yield db
    # An open transaction would block DROP TABLE.
    db.session.remove()
    db.drop_all()


@pytest.fixture
def empty_database(test_database: SQLAlchemy) -> SQLAlchemy:
    """The database without users; ids start at 1."""
    # A transaction that the previous test left open would block the statements.
    test_database.session.remove()
    with test_database.engine.begin() as connection:
        # For a few rows, this is several times as fast as TRUNCATE.
        connection.exec_driver_sql(
            "DELETE FROM users; DELETE FROM user_history;"
            " ALTER TABLE users ALTER id RESTART"
        )
    return test_database


@pytest.fixture
def client(test_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """An API client; the users table is empty."""
    return test_app.test_client()


@pytest.fixture(scope="module")
def create_production_app() -> Iterator[CreateProductionApp]:
    """Factory of applications on ProductionConfig; disposes of their engines."""
    apps = []

    def create(**settings: Any) -> Flask:
        app = create_app(type("Settings", (ProductionConfig,), settings))
        apps.append(app)
        return app

    yield create
    for app in apps:
        databases.dispose_engines(app)


@pytest.fixture
def run_command(test_app: Flask, empty_database: SQLAlchemy) -> RunCommand:
    """Function that runs a command of manage.py on the test database."""
    import manage

    def run(*arguments: str, app: Flask | None = None, **options: Any) -> Result:
        application = app or test_app
        # `create_app` does this when a command line calls it.
        migrations.init_migrate(application, db)
        runner = application.test_cli_runner()
        # In an empty context, so that the command has to push its own application.
        return contextvars.Context().run(
            runner.invoke, manage.cli, arguments, **options
        )

    return run


@pytest.fixture
def add_user(empty_database: SQLAlchemy) -> AddUser:
    """Function that inserts a user and returns it."""

    def add(username: str, email: str, **fields: Any) -> User:
        user = User(username=username, email=email, **fields)
        db.session.add(user)
        db.session.commit()
        db.session.refresh(user)
        db.session.close()
        return user

    return add
