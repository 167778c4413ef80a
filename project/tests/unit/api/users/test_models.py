"""The model, the migrations and the constraints of the users table."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import DataError, IntegrityError

from project import db
from project.api.users.models import User
from project.api.users.schemas import FIELDS
from project.database import migrations
from project.tests.types import AddUser

INSERT = "INSERT INTO users (username, email) VALUES (%s, %s)"
COLUMNS = """
    SELECT table_name, column_name, data_type, character_maximum_length,
           is_nullable, column_default, is_identity, identity_generation
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = 'users'
    ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = 'users' ORDER BY 1"


def describe_table() -> list[Sequence[Any]]:
    """Return the columns and the indexes of the table, as PostgreSQL lists them."""
    with db.engine.connect() as connection:
        return [connection.exec_driver_sql(sql).all() for sql in (COLUMNS, INDEXES)]


def test_migrations_and_model_create_the_same_table(
    empty_database: SQLAlchemy,
) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        changes = compare_metadata(context, db.metadata)
    assert changes == []
    migrated = describe_table()
    db.drop_all()
    db.create_all()
    assert describe_table() == migrated
    migrations.recreate(db)
    assert describe_table() == migrated


def test_upgrade_of_a_current_schema_does_nothing(
    empty_database: SQLAlchemy, capsys: pytest.CaptureFixture[str]
) -> None:
    with db.engine.begin() as connection:
        migrations.upgrade(connection)
    assert capsys.readouterr().out == ""


def test_to_json_returns_every_field(add_user: AddUser) -> None:
    user = add_user("ada", "Ada@example.com")
    assert user.created_date.utcoffset() == timedelta(0)
    assert tuple(user.to_json()) == FIELDS
    assert (
        user.to_json().items()
        >= {
            "id": 1,
            "username": "ada",
            "email": "Ada@example.com",
            "active": True,
            "created_date": user.created_date.isoformat(),
        }.items()
    )


def test_database_sets_the_defaults(empty_database: SQLAlchemy) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(INSERT, ("ada", "ada@example.com"))
    user = db.session.scalars(db.select(User)).one()
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
def test_database_refuses_invalid_values(
    add_user: AddUser, values: tuple[str | None, str | None], error: type[Exception]
) -> None:
    add_user("grace", "grace@example.com")
    with pytest.raises(error), db.engine.begin() as connection:
        connection.exec_driver_sql(INSERT, values)
