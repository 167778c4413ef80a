"""The model, the migrations and the constraints of the users table."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import inspect
from sqlalchemy.exc import DataError, IntegrityError

from project import db
from project.api.users.models import User
from project.api.users.schemas import FIELDS
from project.database import migrations
from project.tests.types import AddUser, CreateProductionApp

INSERT = "INSERT INTO users (username, email) VALUES (%s, %s)"
TABLES = """
    SELECT relname, relkind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%%'
    ORDER BY 1
"""
COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
           pg_get_expr(adbin, adrelid)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY 1
"""
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'users'::regclass ORDER BY 1
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = 'users' ORDER BY 1"
EXTENSIONS = "SELECT extname FROM pg_extension ORDER BY 1"
FUNCTIONS = "SELECT prosrc, provolatile FROM pg_proc WHERE proname LIKE 'users\\_%%'"


@pytest.fixture
def blank_database(
    create_production_app: CreateProductionApp, blank_database_url: str
) -> Iterator[SQLAlchemy]:
    """An empty database of its own."""
    with create_production_app(DATABASE_URL=blank_database_url).app_context():
        yield db


def read_schema() -> dict[str, Sequence[Any]]:
    """Return the schema without Alembic's table, as PostgreSQL lists it."""
    queries = (TABLES, COLUMNS, CONSTRAINTS, INDEXES, EXTENSIONS, FUNCTIONS)
    with db.engine.connect() as connection:
        return {sql: connection.exec_driver_sql(sql).all() for sql in queries}


def test_migrations_and_create_all_create_the_same_schema(
    blank_database: SQLAlchemy,
) -> None:
    db.create_all()
    created = read_schema()
    assert ("pg_trgm",) in created[EXTENSIONS]
    assert len(created[FUNCTIONS]) == 2
    db.drop_all()
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP EXTENSION pg_trgm")
        connection.exec_driver_sql("DROP FUNCTION users_mailbox")
        migrations.upgrade(connection)
    assert read_schema() == created
    with db.engine.connect() as connection:
        options = {"compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, db.metadata) == []


def test_fixtures_of_the_tutorial_work_on_an_empty_database(
    blank_database: SQLAlchemy,
) -> None:
    for _ in range(2):
        db.drop_all()
        db.create_all()
        db.create_all()
        db.session.commit()
        db.session.add(User(username="ada", email="ada@example.com"))
        db.session.commit()
        assert db.session.scalars(db.select(User)).one().active
        db.session.remove()
    db.drop_all()
    assert not inspect(db.engine).has_table("users")


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
