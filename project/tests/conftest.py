"""Fixtures: a real PostgreSQL, the application on it, and users to work with."""

import contextvars
import os
import tempfile
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from project.config import Environment, ProductionConfig

# Whatever the developer's own environment says, the tests have their own settings,
# and so has the application that `manage` builds where it is imported.
TEST_URL = os.environ.get("DATABASE_TEST_URL")
for name in Environment.model_fields:
    os.environ.pop(name, None)
os.environ["APP_SETTINGS"] = "project.config.TestingConfig"

from project import create_app, db, embedded, schema  # noqa: E402
from project.api.users.models import User  # noqa: E402
from project.tests.browser import browser, browser_page  # noqa: E402, F401


class IsolatedClient(FlaskClient):
    """A test client whose requests share no context with the test, as in production.

    Flask lets a request use the application context that is there; then a session
    left over from a failed request would serve the next one, too.
    """

    def open(self, *args, **kwargs):
        """Make a request in an empty context."""
        return contextvars.Context().run(super().open, *args, **kwargs)


@pytest.fixture(scope="session", autouse=True)
def database_url():
    """The tests' database: DATABASE_TEST_URL's, or a throwaway server's."""
    if not TEST_URL:
        folder = Path(tempfile.mkdtemp(prefix="users_test_"))
    url = TEST_URL or embedded.start(folder, "users_test", keep=False)
    os.environ["DATABASE_TEST_URL"] = url
    return url


@pytest.fixture(scope="module")
def test_app(database_url):
    """The application under TestingConfig."""
    app = create_app("project.config.TestingConfig")
    app.test_client_class = IsolatedClient
    with app.app_context():
        yield app


@pytest.fixture(scope="module")
def test_database(test_app):
    """The database with a fresh schema, dropped at the end of the module."""
    schema.recreate()
    yield db
    # An open transaction would block the tables' end.
    db.session.remove()
    db.drop_all()


@pytest.fixture
def empty_database(test_database):
    """The database without a user, and ids that begin at 1."""
    # A transaction that a test left open would block the TRUNCATE.
    test_database.session.remove()
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE users RESTART IDENTITY")
    return test_database


@pytest.fixture
def client(test_app, empty_database):
    """A client of the API, whose users table is empty."""
    return test_app.test_client()


@pytest.fixture(scope="module")
def production():
    """A function that builds an app under production settings, with some changed."""
    apps = []

    def _production(**settings):
        app = create_app(type("Settings", (ProductionConfig,), settings))
        apps.append(app)
        return app

    yield _production
    for app in apps:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture
def invoke(test_app, empty_database):
    """A function that runs a command on the tests' database."""

    import manage

    def _invoke(*arguments, app=test_app, **options):
        invoke = schema.with_commands(app).test_cli_runner().invoke
        # In an empty context: the command has to find its application by itself.
        return contextvars.Context().run(invoke, manage.cli, arguments, **options)

    return _invoke


@pytest.fixture(scope="function")
def add_user(empty_database):
    """A function that adds a user and returns it."""

    def _add_user(username, email, **fields):
        user = User(username=username, email=email, **fields)
        db.session.add(user)
        db.session.commit()
        db.session.refresh(user)
        db.session.close()
        return user

    return _add_user
