"""Shared fixtures: a PostgreSQL server, the application on it, and its users."""

import contextvars
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import make_url

from devtools import sql
from project import create_app, db
from project.api.users.models import User
from project.config import DOTENV, Environment, ProductionConfig, load_dotenv
from project.database import embedded, migrations
from project.tests.browser import browser, browser_page
from project.tests.client import IsolatedClient
from project.tests.types import AddUser, CreateProductionApp, RunCommand

__all__ = ["browser", "browser_page"]

# The tests ignore the developer's environment and .env, except for the database.
# `manage` builds its application when a test module imports it, so the variables are
# removed here, before that.
load_dotenv(DOTENV)
os.environ["FLASK_SKIP_DOTENV"] = "1"
TEST_URL = os.environ.get("DATABASE_TEST_URL")
for name in Environment.model_fields:
    os.environ.pop(name, None)
os.environ["APP_SETTINGS"] = "project.config.TestingConfig"


@pytest.fixture(scope="session", autouse=True)
def database_url() -> str:
    """URL of the test database: DATABASE_TEST_URL or a temporary embedded server."""
    if TEST_URL:
        url = TEST_URL
    else:
        folder = Path(tempfile.mkdtemp(prefix="users_test_"))
        url = embedded.start(folder, "users_test", keep=False)
    os.environ["DATABASE_TEST_URL"] = url
    return url


@pytest.fixture
def blank_database_url(database_url: str) -> Iterator[str]:
    """URL of an empty database that only this test uses."""
    name = f"blank_{uuid4().hex}_test"
    sql.execute(database_url, embedded.CREATE_DATABASE.format(name))
    url = make_url(database_url).set(drivername="postgresql", database=name)
    yield url.render_as_string(hide_password=False)
    sql.execute(database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def test_app(database_url: str) -> Iterator[Flask]:
    """The application under TestingConfig, with its context pushed."""
    app = create_app("project.config.TestingConfig")
    app.test_client_class = IsolatedClient
    with app.app_context():
        yield app


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
    # A transaction that the previous test left open would block TRUNCATE.
    test_database.session.remove()
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE users RESTART IDENTITY")
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
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


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
