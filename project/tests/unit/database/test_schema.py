"""Tests that choose their configuration too late do not change another database."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import make_url

from devtools import sql
from project import create_app, db
from project.api.users.models import User
from project.config import DevelopmentConfig
from project.database import embedded
from project.database.schema import SchemaError


@pytest.fixture
def development_app(database_url: str) -> Iterator[Flask]:
    """An application on a database of its own, which is not a test database."""
    name = f"development_{uuid4().hex}"
    sql.execute(database_url, embedded.CREATE_DATABASE.format(name))
    url = make_url(database_url).set(drivername="postgresql", database=name)
    settings = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    app = create_app(type("Settings", (DevelopmentConfig,), settings))
    with app.app_context():
        yield app
        db.session.remove()
    sql.execute(database_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_configuration_after_create_app_neither_wipes_nor_breaks_anything(
    development_app: Flask,
) -> None:
    db.create_all()
    db.session.add(User(username="ada", email="ada@example.com"))
    db.session.commit()
    development_app.config.from_object("project.config.TestingConfig")
    for change in (db.drop_all, db.create_all):
        with pytest.raises(SchemaError, match="create_app.*TestingConfig"):
            change()
    response = development_app.test_client().get("/users")
    assert [user["username"] for user in response.get_json()["data"]["users"]] == [
        "ada"
    ]


def test_create_all_and_drop_all_work_in_development(development_app: Flask) -> None:
    client = development_app.test_client()
    db.create_all()
    assert client.get("/users").status_code == 200
    db.drop_all()
    assert client.get("/users").status_code == 503
