"""Fixtures: the admin without a login, as in development."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from project import create_app, db
from project.tests.client import IsolatedClient


@pytest.fixture(scope="module")
def admin_app(test_database: SQLAlchemy) -> Iterator[Flask]:
    """An application whose admin requires no login."""
    app = create_app({"FLASK_ENV": "development"})
    app.test_client_class = IsolatedClient
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def admin(admin_app: Flask, empty_database: SQLAlchemy) -> FlaskClient:
    """A client of `admin_app`; the users table is empty."""
    return admin_app.test_client()
