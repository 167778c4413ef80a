"""The users table and its model."""

from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DataError, IntegrityError

from project import db, schema
from project.api.users.models import User

INSERT = "INSERT INTO users (username, email) VALUES (%s, %s)"
SHAPE = """
    SELECT table_name, column_name, data_type, character_maximum_length,
           is_nullable, column_default, is_identity, identity_generation
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = 'users'
    ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = 'users' ORDER BY 1"


def shape():
    """Return what PostgreSQL knows of the table."""
    with db.engine.connect() as connection:
        return [connection.exec_driver_sql(s).all() for s in (SHAPE, INDEXES)]


def test_migrations_and_model_agree(empty_database):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        changes = compare_metadata(context, db.metadata)
    assert changes == []
    migrated = shape()
    db.drop_all()
    db.create_all()
    assert shape() == migrated
    schema.recreate()
    assert shape() == migrated


def test_upgrade_can_run_again(empty_database, capsys):
    with db.engine.begin() as connection:
        schema.upgrade(connection)
    assert capsys.readouterr().out == ""


def test_user_to_json(add_user):
    user = add_user("ada", "Ada@example.com")
    assert user.created_date.utcoffset() == timedelta(0)
    assert user.to_json() == {
        "id": 1,
        "username": "ada",
        "email": "Ada@example.com",
        "active": True,
        "created_date": user.created_date.isoformat(),
    }


def test_defaults_are_in_the_database(empty_database):
    with db.engine.begin() as connection:
        connection.exec_driver_sql(INSERT, ("ada", "ada@example.com"))
    user = db.session.scalar(db.select(User))
    assert user.active is True
    assert user.created_date.tzinfo is not None


@pytest.mark.parametrize(
    "values, error",
    [
        (("a" * 129, "ada@example.com"), DataError),
        (("ada", "a" * 129), DataError),
        ((None, "ada@example.com"), IntegrityError),
        (("ada", None), IntegrityError),
        (("ada", "GRACE@example.com"), IntegrityError),
    ],
)
def test_rules_are_in_the_database(add_user, values, error):
    add_user("grace", "grace@example.com")
    with pytest.raises(error), db.engine.begin() as connection:
        connection.exec_driver_sql(INSERT, values)
