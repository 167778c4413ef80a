"""Fixtures: the admin without a login, as in development, and with one."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import start_gunicorn, start_process
from project import create_app
from project.admin import operators
from project.tests.client import IsolatedClient
from project.tests.databases import dispose_engines
from project.tests.passwords import PASSWORD_HASH
from project.tests.types import CreateProductionApp


@pytest.fixture(scope="module")
def admin_app(test_database: SQLAlchemy) -> Iterator[Flask]:
    """An application whose admin requires no login."""
    app = create_app({"FLASK_ENV": "development"})
    app.test_client_class = IsolatedClient
    yield app
    dispose_engines(app)


@pytest.fixture
def admin(admin_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of `admin_app`; the users table is empty."""
    return admin_app.test_client()


@pytest.fixture(scope="module")
def create_login_app(
    create_production_app: CreateProductionApp,
    database_url: str,
    test_database: SQLAlchemy,
) -> CreateProductionApp:
    """Factory of applications whose admin has a login; takes settings to override."""

    def create(**settings: Any) -> Flask:
        defaults = {"DATABASE_URL": database_url, "SECRET_KEY": "a secret, long enough"}
        app = create_production_app(**defaults | settings)
        app.test_client_class = IsolatedClient
        return app

    return create


@pytest.fixture(scope="module")
def login_app(create_login_app: CreateProductionApp) -> Flask:
    """An application whose admin has a login."""
    return create_login_app()


@pytest.fixture
def operators_database(empty_database: SQLAlchemy) -> SQLAlchemy:
    """The database with an editor and a reader, and without login attempts."""
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM admin_operators; DELETE FROM admin_login_attempts"
        )
    operators.save("ops", PASSWORD_HASH, "editor")
    operators.save("auditor", PASSWORD_HASH, "reader")
    return empty_database


@pytest.fixture
def operator(login_app: Flask, operators_database: SQLAlchemy) -> FlaskClient:
    """A client of `login_app`, not logged in."""
    return login_app.test_client()


@pytest.fixture(scope="module")
def open_url(test_database: SQLAlchemy, database_url: str) -> Iterator[str]:
    """URL of a development server, whose admin requires no login."""
    command = [sys.executable, "-m", "gunicorn", "manage:app"]
    with start_process(
        command,
        APP_SETTINGS="project.config.DevelopmentConfig",
        DATABASE_URL=database_url,
        WEB_CONCURRENCY="1",
    ) as (url, _):
        yield url


@pytest.fixture(scope="module")
def login_url(test_database: SQLAlchemy, database_url: str) -> Iterator[str]:
    """URL of a production server, whose admin requires a login."""
    with start_gunicorn(
        database_url,
        SECRET_KEY="a secret, long enough",
        WEB_CONCURRENCY="2",
    ) as (url, _):
        yield url
